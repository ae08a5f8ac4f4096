"""PromQL within namespaces: what is confined, and what reaches further."""

import pytest

from protocol import promql
from protocol.commands import PromQuery, ScopeLimit
from protocol.policy import Decided, PolicyContext, judge


@pytest.mark.parametrize(
    "expression",
    [
        'up{namespace="shop"}',
        "up{namespace='shop'}",
        "up{namespace=`shop`}",
        '{namespace="shop"}',
        '{"up", namespace="shop"}',
        '{"my.metric", "namespace"="shop"}',
        '{__name__=~"container_.+", namespace="shop",}',
        'up{namespace=~"shop|pay"}',
        'up{namespace=~"(shop|pay)"}',
        'up{namespace="shop", namespace=~".*"}',
        'up{pod!="}", namespace="shop"}',
        'sum by (pod) (rate(http_requests_total{namespace="shop"}[5m]))',
        'sum(rate(x{namespace="shop"}[5m])) by (namespace, pod)',
        'sum without (instance) (x{namespace="shop"}) / on (pod) group_left (node) y{namespace="pay"}',
        'histogram_quantile(0.99, sum by (le) (rate(x_bucket{namespace="shop"}[1h30m] offset 5m)))',
        'max_over_time(x{namespace="shop"}[1h:5m] @ end())',
        'x{namespace="shop"} > bool 0.5e3 and y{namespace="shop"} unless z{namespace="shop"}',
        'topk(5, x{namespace="shop"}) or vector(0)',
        'absent(up{namespace="shop"})',
        'label_replace(up{namespace="shop"}, "namespace", "kube-system", "pod", ".*")',
        'x{namespace="shop"} == NaN',
        "time() - 3600",
        'up{namespace="shop"} # all of {it}\n+ up{namespace="pay"}',
    ],
)
def test_expressions_within_the_namespaces(expression: str) -> None:
    promql.confine(expression, ("shop", "pay"))


@pytest.mark.parametrize(
    "expression",
    [
        "up",
        "up{}",
        "{}",
        'up{job="x"}',
        'up{namespace="kube-system"}',
        'up{namespace!="kube-system"}',
        'up{namespace=~".*"}',
        'up{namespace=~"shop|.*"}',
        'up{namespace=~"shop|"}',
        'up{namespace=~"sho."}',
        'up{namespace=~"(shop|pay)|kube-system"}',
        'up{namespace!~"x"}',
        'up{namespace=""}',
        'up{namespace=~""}',
        'up{namespace="sh\\x6fp"}',
        'up{exported_namespace="shop"}',
        'up{namespace="shop"} + up',
        'up + up{namespace="shop"}',
        'sum(up) by (namespace)',
        'sum by (namespace) (up)',
        'up{namespace="shop"} or up{namespace="kube-system"}',
        'up{namespace="shop" or namespace="kube-system"}',
        'up{namespace="shop"} offset 5m + down[5m]',
        'up # {namespace="shop"}',
        '"{namespace=\\"shop\\"}" + up',
        'up{pod="x\\"", namespace="kube-system"}',
        'rate(container_cpu_usage_seconds_total[5m])',
        'count({__name__=~".+"})',
        'by',
        'sum',
        'inf_total',
        'offset{job="x"}',
        'WITH (x = up) x',
        'with (f(a) = a) f(up{namespace="shop"})',
        'up{namespace="shop",,}',
        'up{namespace="shop"',
        'up{namespace=shop}',
        'up{namespace}',
        'info(up{namespace="shop"})',
        'unheard_of(up{namespace="shop"})',
        'up{namespace="shop"}[{job="x"}]',
        'sum by (up{namespace="x"}) (y{namespace="shop"})',
        '$namespace',
        'up{namespace="shop"}; up',
        "up{namespace='shop\n'}",
        '{"up"}',
        'up{"namespace"="kube-system"}',
    ],
)  # fmt: skip
def test_expressions_that_reach_further(expression: str) -> None:
    with pytest.raises(promql.NotConfined):
        promql.confine(expression, ("shop", "pay"))
    verdict = judge(PromQuery(expr=expression), PolicyContext(scope=ScopeLimit(namespaces=("shop",))))
    assert verdict.decision is Decided.DENY
    assert 'namespace="shop"' in verdict.reason


def test_nobody_without_a_namespace_sees_a_series() -> None:
    nothing = PolicyContext(scope=ScopeLimit(namespaces=()))
    assert judge(PromQuery(expr='up{namespace=""}'), nothing).decision is Decided.DENY
