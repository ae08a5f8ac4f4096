"""Tables of the metrics client: which Services count, which settings hold, how labels are called, what an answer leaves out."""

from typing import Any

import pytest
from pydantic import ValidationError

from protocol.commands import CommandStatus
from protocol.promql import NotConfined, confine, shut_exported, with_matchers
from runner.commands.answer import Refusal
from runner.config import RunnerConfig
from runner.metrics.dialect import DIALECTS, NEEDED, Dialect, missing
from runner.metrics.found import candidates
from runner.metrics.reading import NoApi, read


def service(
    name: str, *ports: int, namespace: str = "monitoring", labels: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    rows = [{"name": "web", "port": port} for port in ports]
    fields = {"clusterIP": "10.0.0.7", "selector": {"a": "b"}, "ports": rows}
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "spec": fields | spec}


@pytest.mark.parametrize(
    ("found", "url"),
    [
        (service("prometheus-operated", 9090, clusterIP="None"), "http://prometheus-operated.monitoring.svc:9090"),
        (service("prometheus-server", 80), "http://10.0.0.7:80"),
        (service("kps-kube-prometheus-stack-prometheus", 9090), "http://10.0.0.7:9090"),
        (service("x", 9090, labels={"app": "kube-prometheus-stack-prometheus"}), "http://10.0.0.7:9090"),
        (service("x", 9090, labels={"app.kubernetes.io/name": "prometheus"}), "http://10.0.0.7:9090"),
        (service("vmsingle-main", 8429), "http://10.0.0.7:8429"),
        (service("vm-victoria-metrics-single-server", 8428), "http://10.0.0.7:8428"),
        (service("vmselect-main", 8481), "http://10.0.0.7:8481/select/0/prometheus"),
        (service("thanos-query", 9090), "http://10.0.0.7:9090"),
        (service("my-thanos-query-frontend", 9090), "http://10.0.0.7:9090"),
        (service("mimir-nginx", 80), "http://10.0.0.7:80/prometheus"),
        (service("cortex-gateway", 8080), "http://10.0.0.7:8080/prometheus"),
        (service("prometheus", 9090, clusterIP="fd00::7"), "http://[fd00::7]:9090"),
        (
            service("prometheus-k8s", ports=[{"name": "web", "port": 9091, "appProtocol": "https"}]),
            "https://prometheus-k8s.monitoring.svc:9091",
        ),
    ],
)
def test_well_known_services(found: dict[str, Any], url: str) -> None:
    (candidate,) = candidates([found]).usable
    assert candidate.url == url


@pytest.mark.parametrize(
    "other",
    [
        service("prometheus-alertmanager", 9093),
        service("prometheus-node-exporter", 9100, labels={"app.kubernetes.io/name": "prometheus-node-exporter"}),
        service("prometheus-pushgateway", 9091),
        service("kube-state-metrics", 8080),
        service("prometheus-operator", 8443),
        service("prometheus", ports=[{"name": "metrics", "port": 9100}]),
        service("prometheus", 9090, type="ExternalName", externalName="metrics.example.org"),
        service("prometheus", 9090, selector={}),
        service("web", 9090),
        {"metadata": {}, "spec": {}},
        service("prometheus", 9090, namespace="../../secrets"),
    ],
)
def test_services_that_are_none(other: dict[str, Any]) -> None:
    assert candidates([other]) == candidates([])


def test_the_clusters_own_server_comes_first_and_strangers_are_only_told() -> None:
    found = candidates(
        [
            service("thanos-query", 9090, namespace="thanos"),
            service("prometheus-operated", 9090, clusterIP="None"),
            service("prometheus-k8s", 9090),
            service("prometheus", 9090, namespace="shop"),
        ]
    )
    assert [one.service for one in found.usable] == ["prometheus-k8s", "prometheus-operated", "thanos-query"]
    assert found.elsewhere == ("Service/shop/prometheus:9090",)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"prometheus_url": "https://me:secret@metrics"}, "prometheus_password_file"),
        ({"prometheus_url": "ftp://metrics"}, "http"),
        ({"prometheus_url": "https://metrics/?x=1"}, "no ?"),
        ({"prometheus_token": "a", "prometheus_user": "b", "prometheus_password": "c"}, "exclude"),
        ({"prometheus_user": "b"}, "prometheus_password_file"),
        ({"prometheus_cert_file": "/a"}, "belong together"),
        ({"prometheus_headers": {"Authorization": "Bearer x"}}, "settings of their own"),
        ({"prometheus_headers": {"X\nY": "1"}}, "not the name of a header"),
        ({"prometheus_labels": {"cluster": 'x"} or up{a="'}}, "without quotes"),
        ({"prometheus_labels": {"clu-ster": "x"}}, "a label's name"),
        ({"prometheus_tenant": "a\r\nX: y"}, "one line"),
    ],
)
def test_settings_that_do_not_hold(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RunnerConfig(**values)
    assert word in str(caught.value)
    assert "secret@" not in str(caught.value.errors(include_input=False))


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://m/prometheus/", "https://m/prometheus"),
        ("https://m/api/prom/api/v1/query", "https://m/api/prom"),
        ("http://m:9090/graph", "http://m:9090"),
        ("", None),
    ],
)
def test_a_url_as_people_copy_it(given: str, base: str | None) -> None:
    assert RunnerConfig(prometheus_url=given).prometheus_url == base


QUERY = 'container_memory_working_set_bytes{namespace="shop",container!="",container!="POD"}'


@pytest.mark.parametrize(
    ("dialect", "asked", "labels"),
    [
        (
            DIALECTS[0],
            'container_memory_working_set_bytes{exported_namespace="shop",exported_container!="",exported_container!="POD"}',
            {
                "namespace": "kube-system",
                "exported_namespace": "shop",
                "exported_pod": "p",
                "exported_container": "c",
                "pod": "x",
            },
        ),
        (DIALECTS[1], QUERY, {"namespace": "shop", "pod": "p", "container": "c"}),
        (
            DIALECTS[2],
            'container_memory_working_set_bytes{namespace="shop",container_name!="",container_name!="POD"}',
            {"namespace": "shop", "pod_name": "p", "container_name": "c"},
        ),
    ],
)
def test_container_labels_by_any_name(dialect: Dialect, asked: str, labels: dict[str, str]) -> None:
    assert dialect.query(QUERY) == asked
    assert dialect.row({"metric": labels, "values": []})["metric"] == {"namespace": "shop", "pod": "p", "container": "c"}


def test_only_exporters_that_were_looked_for_are_missing() -> None:
    assert missing({}) == ()
    assert missing(dict.fromkeys(NEEDED, True)) == ()
    assert [said.split(":")[0] for said in missing(dict.fromkeys(NEEDED, False))] == [
        "no series of cAdvisor", "no series of kube-state-metrics", "no series of node-exporter",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "outcome", "word"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', CommandStatus.INVALID, "parse error"),
        (422, b'{"status":"error","errorType":"execution","error":"too many samples"}', CommandStatus.INVALID, "samples"),
        (422, b'{"status":"error","errorType":"422","error":"unknown func"}', CommandStatus.INVALID, "unknown func"),
        (503, b'{"status":"error","errorType":"timeout","error":"query timed out"}', CommandStatus.UNAVAILABLE, "timed out"),
        (401, b"no org id", CommandStatus.UNAVAILABLE, "PROMETHEUS_TENANT"),
        (403, b"", CommandStatus.UNAVAILABLE, "credentials"),
        (502, b"<html>Bad Gateway", CommandStatus.UNAVAILABLE, "502"),
    ],
)
def test_errors_in_the_servers_words(status: int, body: bytes, outcome: CommandStatus, word: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(status, body)
    assert caught.value.status is outcome
    assert word in caught.value.message


@pytest.mark.parametrize(
    "data",
    [
        "[1]", '"x"', "5", "{}", '{"result": 5}', '{"resultType": "vector", "result": {"a": 1}}',
        '{"resultType": "vector", "result": [1, null, {"metric": [1], "value": [1, "2"]}, {"metric": {}, "value": [1]}]}',
        '{"resultType": "scalar", "result": "1"}',
    ],
)  # fmt: skip
def test_what_is_no_series_is_left_out(data: str) -> None:
    assert read(200, f'{{"status": "success", "data": {data}}}'.encode()).rows() == []


@pytest.mark.parametrize("body", [b"404 page not found", b"<html>", b"[]", b"{}", b'{"status":"success"}', b"\xff\xfe"])
def test_what_is_no_such_api(body: bytes) -> None:
    with pytest.raises(NoApi):
        read(200, body)


@pytest.mark.parametrize(
    ("expr", "asked"),
    [
        ('up{namespace="a"}', 'up { namespace = "a" ,exported_namespace=~"|a|b" }'),
        ('up{namespace="a",}', 'up { namespace = "a" , exported_namespace=~"|a|b" }'),
        (
            'sum by (pod) (rate(x{namespace=~"a|b"}[5m]))',
            'sum by ( pod ) ( rate ( x { namespace =~ "a|b" ,exported_namespace=~"|a|b" } [5m] ) )',
        ),
        ('{namespace="a",x="}"}', '{ namespace = "a" , x = "}" ,exported_namespace=~"|a|b" }'),
    ],
)
def test_every_selector_is_shut_against_other_exported_namespaces(expr: str, asked: str) -> None:
    assert shut_exported(expr, ("b", "a")) == asked
    with pytest.raises(NotConfined):
        shut_exported("up", ("a",))


@pytest.mark.parametrize(
    ("expr", "asked"),
    [
        ("up", 'up {c="1"}'),
        ("up{}", 'up { c="1" }'),
        ('up{a="}"}', 'up { a = "}" ,c="1" }'),
        ("rate(up[5m])", 'rate ( up {c="1"} [5m] )'),
        ("sum by (pod) (up)", 'sum by ( pod ) ( up {c="1"} )'),
        ("sum(up) by (pod)", 'sum ( up {c="1"} ) by ( pod )'),
        ("a / on (b) group_left (d) e", 'a {c="1"} / on ( b ) group_left ( d ) e {c="1"}'),
        ("up offset 5m unless absent(x)", 'up {c="1"} offset 5m unless absent ( x {c="1"} )'),
        ("up @ start() > bool 1", 'up {c="1"} @ start ( ) > bool 1'),
        ('{__name__="up"}', '{ __name__ = "up" ,c="1" }'),
        ("max_over_time(rate(up[1m])[5m:30s])", 'max_over_time ( rate ( up {c="1"} [1m] ) [5m:30s] )'),
        ("vector(1) + time()", "vector ( 1 ) + time ( )"),
        ("Inf == NaN", "Inf == NaN"),
        ("sum", 'sum {c="1"}'),
        ("x{} and ignoring (a) y OR z", 'x { c="1" } and ignoring ( a ) y {c="1"} OR z {c="1"}'),
        ("a * on (b) group_left c", 'a {c="1"} * on ( b ) group_left c {c="1"}'),
        ("x @ 5 offset -5m and 1 atan2 y", 'x {c="1"} @ 5 offset - 5m and 1 atan2 y {c="1"}'),
    ],
)
def test_every_selector_gets_the_clusters_labels(expr: str, asked: str) -> None:
    assert with_matchers(expr, 'c="1"') == asked


NOT_UNDERSTOOD = (
    "up{", "{{}}", "up}", "sum by (pod", "`a` ~ b", "up{a='\n'}", "up{a}",
    # VictoriaMetrics: the label would go into the last alternative alone, and a template could stand for a selector.
    '{a="b" or d="e"}', 'up{a="b" or d="e"}', 'up{a="b", or d="e"}',
    'WITH (x = {c="2"}) up{x}', "WITH (x() = up) x()",
    # Servers take a keyword for the name of a metric where an operand is due.
    "and", "sum(offset)", "1 + unless", "sum(by)", "by", "group_left", "x + bool",
    # target_info of whatever cluster has the same job and instance
    "info(up)",
)  # fmt: skip


@pytest.mark.parametrize("expr", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_not_asked(expr: str) -> None:
    with pytest.raises(NotConfined):
        with_matchers(expr, 'c="1"')


@pytest.mark.parametrize("expr", ["and", "sum(offset)", "group_left", "or + unless", 'up{namespace="a"} + offset'])
def test_a_keyword_is_no_metric_of_every_namespace(expr: str) -> None:
    with pytest.raises(NotConfined):
        confine(expr, ("a",))
