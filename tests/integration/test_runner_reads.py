"""What people ask of a cluster, through the bus and the runner, on the practice cluster."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from protocol.bus import HEARTBEAT_S, Heartbeat
from protocol.commands import CommandStatus, Diagnose, ListChanges, PromQuery
from protocol.objects import ObjectRef
from tests.integration.runner_rig import Stand, stand
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stand]:
    async with stand(tmp_path_factory.mktemp("reads"), "payments-oom") as made:
        yield made


@pytest.fixture(autouse=True)
async def no_faults(here: Stand) -> AsyncGenerator[None]:
    yield
    await here.cluster.admin("faults", method="DELETE")
    await here.cluster.admin("metrics-server", {"present": True})
    await here.cluster.admin("prometheus", {"present": True})


async def test_a_runner_says_hello_and_what_its_cluster_looks_like(here: Stand) -> None:
    hello, beat = here.plane.hellos[-1], await until(lambda: _warm(here), "a warm heartbeat")
    assert hello.mode.writes
    assert hello.kubernetes_version.startswith("v1.")
    assert hello.boot == beat.boot
    assert beat.summary.nodes == 3
    assert beat.summary.pods_failing >= 1
    assert "shop" in beat.summary.namespaces


async def test_what_is_wrong_is_told_with_a_heartbeat_of_its_own(here: Stand) -> None:
    beats = here.plane.beats
    await until(lambda: next((beat for beat in beats if beat.summary.findings), None), "a heartbeat that counts findings")
    first = next(n for n, beat in enumerate(beats) if beat.summary.findings)
    assert first == 0 or beats[first].uptime_s - beats[first - 1].uptime_s < HEARTBEAT_S


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("get pods -n shop", "NAME "),
        ("get pods -A", "NAMESPACE "),
        ("get po,svc -n shop", "pod/"),
        ("get nodes -o wide", "KERNEL-VERSION"),
        ("get deploy payments -n shop -o yaml", "kind: Deployment"),
        ("get deploy payments -n shop -o json", '"kind": "Deployment"'),
        ("get deploy -n shop -o name", "deployment.apps/payments"),
        ("get deploy payments -n shop -o jsonpath={.spec.replicas}", "2"),
        ("get pods -n shop -l app=payments --show-labels", "app=payments"),
        ("get pods -n shop --field-selector=status.phase=Running", "Running"),
        ("get pods -n shop --sort-by=.metadata.name", "cart-"),
        ("describe deploy payments -n shop", "ReplicaSets:"),
        ("describe node worker-1", "Non-terminated Pods"),
        ("describe cm checkout-config -n shop", "Data"),
        ("describe hpa web -n shop", "Deployment/web"),
        ("describe cronjob nightly-export -n shop", "15 2 * * *"),
        ("logs deploy/payments -n shop --previous --tail=5", "fraud model"),
        ("logs -l app=web -n shop --tail=1", "[pod/web-"),
        ("top pods -n shop", "MEMORY(BYTES)"),
        ("top nodes", "CPU(%)"),
        ("events -n shop --types=Warning", "BackOff"),
        ("version", "Server Version: v1"),
        ("cluster-info", "control plane is running at"),
        ("api-resources --api-group=apps", "deployments"),
        ("rollout status deploy/web -n shop", "successfully rolled out"),
        ("rollout history deploy/payments -n shop", "REVISION"),
        ("auth can-i list pods -n shop", "yes"),
    ],
)
async def test_reads(here: Stand, line: str, found: str) -> None:
    result = await here.plane.kubectl(line)
    assert result.status is CommandStatus.OK, result.error
    assert found in result.text


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("get pod nope -n shop", CommandStatus.NOT_FOUND, 'pods "nope" not found'),
        ("get pods -n nowhere", CommandStatus.EMPTY, "No resources found in nowhere namespace."),
        ("describe deploy nope -n shop", CommandStatus.NOT_FOUND, '"nope" not found'),
        ("get secrets -n shop", CommandStatus.DENIED, "Secrets"),
        ("get gadgets -n shop", CommandStatus.NOT_FOUND, 'doesn\'t have a resource type "gadgets"'),
        ("logs deploy/payments -n shop -c nope", CommandStatus.NOT_FOUND, "nope"),
        ("rollout history deploy/payments -n shop --revision=99", CommandStatus.NOT_FOUND, "99"),
    ],
)
async def test_what_is_not_there_is_said_as_kubectl_says_it(here: Stand, line: str, status: CommandStatus, words: str) -> None:
    result = await here.plane.kubectl(line)
    assert result.status is status, (result.text, result.error)
    assert words in result.text + result.error


async def test_a_scope_holds_whatever_the_call_is(here: Stand) -> None:
    outside = await here.plane.kubectl("get pods -n kube-system", namespaces=("shop",))
    everywhere = await here.plane.kubectl("get pods -A --field-selector=status.phase=Running", namespaces=("shop",))
    nodes = await here.plane.kubectl("get nodes", namespaces=("shop",))
    inside = await here.plane.kubectl("get pods -n shop", namespaces=("shop",))
    assert [r.status for r in (outside, everywhere, nodes)] == [CommandStatus.DENIED] * 3
    assert inside.status is CommandStatus.OK


async def test_a_diagnosis_in_a_scope_names_nothing_outside(here: Stand) -> None:
    result = await here.plane.ask(Diagnose(words=("payments",)), namespaces=("shop",))
    assert result.good, result.error
    causes = result.diagnosis().root_causes
    assert causes
    assert {cause.object.namespace for cause in causes} == {"shop"}
    assert any("shop" in limit for limit in result.diagnosis().limits)


async def test_diagnosis_finds_the_memory_limit_with_proof(here: Stand) -> None:
    result = await here.plane.ask(Diagnose(words=("payments",)))
    cause = result.diagnosis().root_causes[0]
    assert cause.code == "memory-limit-too-low"
    assert cause.object == ObjectRef.parse("Deployment/shop/payments")
    assert any("OOMKilled" in item.excerpt for item in cause.evidence)


async def test_changes_name_who_and_what(here: Stand) -> None:
    result = await here.plane.ask(ListChanges(namespace="shop", since_s=86_400))
    limits = [change for change in result.changes() if change.path.endswith("limits.memory")]
    assert limits[0].before == "512Mi"
    assert limits[0].after == "256Mi"


@pytest.mark.parametrize(
    ("status", "expected", "words"),
    [
        (403, CommandStatus.FORBIDDEN, "Ask for the right"),
        (404, CommandStatus.NOT_FOUND, ""),
        (500, CommandStatus.UNAVAILABLE, "etcdserver"),
    ],
)
async def test_api_errors_become_words(here: Stand, status: int, expected: CommandStatus, words: str) -> None:
    await here.cluster.fault("namespaces/shop/configmaps", status=status)
    result = await here.plane.kubectl("get cm -n shop")
    assert result.status is expected
    assert result.error
    assert words in result.error


async def test_an_overloaded_api_server_is_asked_again(here: Stand) -> None:
    await here.cluster.fault("namespaces/shop/configmaps", status=429, count=2)
    assert (await here.plane.kubectl("get cm -n shop")).status is CommandStatus.OK


async def test_a_silent_api_server_ends_at_the_deadline(here: Stand) -> None:
    await here.cluster.fault("namespaces/shop/configmaps", delay=30)
    result = await here.plane.kubectl("get cm -n shop", deadline_s=0.5)
    assert result.status is CommandStatus.TIMEOUT
    assert "0.5 s" in result.error


async def test_no_metrics_server_is_said(here: Stand) -> None:
    await here.cluster.admin("metrics-server", {"present": False})
    result = await here.plane.kubectl("top pods -n shop")
    assert result.status is CommandStatus.UNAVAILABLE
    assert "metrics-server" in result.error


async def test_series_have_at_most_300_points(here: Stand) -> None:
    expr = 'container_memory_working_set_bytes{namespace="shop",container="web"}'
    start = datetime.now(UTC) - timedelta(hours=6)
    result = await here.plane.ask(PromQuery(expr=expr, start=start, step_s=1))
    assert result.status is CommandStatus.OK, result.error
    assert result.data is not None
    series = result.data["series"]
    assert series
    assert all(len(row["values"]) <= 300 for row in series)
    assert "instead of 1 s" in result.cut


async def test_a_wrong_expression_says_what_is_wrong(here: Stand) -> None:
    result = await here.plane.ask(PromQuery(expr="sum(rate("))
    assert result.status is CommandStatus.INVALID
    assert "Prometheus" in result.error


async def test_prometheus_that_is_down_does_not_stop_a_diagnosis(here: Stand) -> None:
    await here.cluster.admin("prometheus", {"present": False})
    asked = await here.plane.ask(PromQuery(expr="up"))
    assert asked.status is CommandStatus.UNAVAILABLE
    found = (await here.plane.ask(Diagnose(words=("payments",)))).diagnosis()
    assert found.root_causes
    assert any("metrics" in limit for limit in found.limits)


async def test_texts_are_cut_where_it_is_said(here: Stand) -> None:
    result = await here.plane.kubectl("get pods -A -o yaml", max_bytes=2048)
    assert len(result.text.encode()) <= 2048
    assert "lines shown" in result.cut


def _warm(here: Stand) -> Heartbeat | None:
    return next((beat for beat in reversed(here.plane.beats) if beat.summary.cache == "warm"), None)
