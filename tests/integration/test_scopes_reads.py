"""What somebody who sees one namespace learns of the others, from the runner on a real cluster: nothing. Not by a read, not by
what belongs to the whole cluster, not by a diagnosis, a change, a metric, or the words of a refusal."""

import base64
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import pytest
import pytest_asyncio

from protocol.commands import CommandResult, CommandStatus, Diagnose, ListChanges, PromQuery
from protocol.objects import ObjectRef
from tests.integration.runner_rig import Stand, stand
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ASIDE = ("aside",)
SHARED = {"default", "kube-root-ca.crt", "kubernetes"}
"""Names that every namespace has."""
PASSWORD = "correct-horse-battery"


def visitor() -> list[tuple[str, dict[str, Any]]]:
    """A namespace beside the shop, whose one workload fails and talks about the shop as little as it can."""
    container: dict[str, Any] = {
        "name": "visitor",
        "image": "registry.shop.example/nowhere:1",
        "env": [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "MODE", "value": "slow"}],
        "envFrom": [{"configMapRef": {"name": "visitor-settings"}}],
    }
    labels = {"app": "visitor"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "visitor", "namespace": "aside"}}
    return [
        ("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "aside"}}),
        ("/apis/apps/v1/namespaces/aside/deployments", {**deployment, "spec": spec}),
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stand]:
    async with stand(tmp_path_factory.mktemp("scopes"), "payments-oom", speed=8) as made:
        headers = {"Authorization": f"Bearer {made.cluster.token}"}
        async with aiohttp.ClientSession() as session:
            for path, body in visitor():
                async with session.post(made.cluster.url + path, json=body, headers=headers, ssl=False) as answer:
                    assert answer.status == 201, await answer.text()

        async def told_of() -> bool:
            found = await made.plane.ask(Diagnose(namespace="aside"))
            return "visitor-settings" in {cause.object.name for cause in found.diagnosis().root_causes}

        await until(told_of, "the visitor's failure is found", 30)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hidden(here: Stand) -> set[str]:
    """The names of everything outside of the namespace."""
    kinds = "po,rs,deploy,ds,svc,cm,sa,hpa,cronjob"
    everywhere = await _listed(here, f"get {kinds} -A -o name") | await _listed(here, "get nodes -o name")
    names = everywhere - await _listed(here, f"get {kinds} -n aside -o name") - SHARED
    assert {"payments", "worker-1"} <= names
    return names


async def _listed(here: Stand, line: str) -> set[str]:
    found = await here.plane.kubectl(line)
    assert found.good, told(found)
    return {word.rpartition("/")[2] for word in found.text.split()}


def told(result: CommandResult) -> str:
    return f"{result.text}\n{result.error}\n{result.data}"


READS = {
    # in the namespace
    "get pods -n aside": CommandStatus.OK,
    "get deploy visitor -n aside -o yaml": CommandStatus.OK,
    "describe deploy visitor -n aside": CommandStatus.OK,
    "get ns aside": CommandStatus.OK,
    "get svc -n aside": CommandStatus.EMPTY,
    "rollout history deploy/visitor -n aside": CommandStatus.OK,
    # others
    "get pods -n shop": CommandStatus.DENIED,
    "get pods -A": CommandStatus.DENIED,
    "get pods": CommandStatus.DENIED,
    "get all -A -o name": CommandStatus.DENIED,
    "get deploy,svc,cm -n kube-system": CommandStatus.DENIED,
    "describe deploy payments -n shop": CommandStatus.DENIED,
    "logs deploy/payments -n shop": CommandStatus.DENIED,
    "logs -l app=payments -n shop --previous": CommandStatus.DENIED,
    "events -n shop": CommandStatus.DENIED,
    "events -A": CommandStatus.DENIED,
    "get events -A -o json": CommandStatus.DENIED,
    "top pods -n shop": CommandStatus.DENIED,
    "top pods -A": CommandStatus.DENIED,
    "rollout status deploy/payments -n shop": CommandStatus.DENIED,
    "auth can-i list pods -n shop": CommandStatus.DENIED,
    # the whole cluster's
    "get nodes": CommandStatus.DENIED,
    "describe node worker-1": CommandStatus.DENIED,
    "top nodes": CommandStatus.DENIED,
    "get ns": CommandStatus.DENIED,
    "get ns shop": CommandStatus.DENIED,
    "get pv": CommandStatus.DENIED,
    "get storageclass": CommandStatus.DENIED,
    "get clusterroles": CommandStatus.DENIED,
    "cluster-info": CommandStatus.DENIED,
    # events of what has no namespace stand in default
    "get events -n default": CommandStatus.DENIED,
    "events --for node/worker-1 -n default": CommandStatus.DENIED,
    # Secrets, wherever
    "get secrets -n aside": CommandStatus.DENIED,
    "get secret db-credentials -n shop -o yaml": CommandStatus.DENIED,
}


@pytest.mark.parametrize("line", READS)
async def test_a_read_stays_in_its_namespace(here: Stand, hidden: set[str], line: str) -> None:
    result = await here.plane.kubectl(line, namespaces=ASIDE)
    assert result.status is READS[line], told(result)
    asked = set(line.replace("/", " ").split())
    # A pod says itself which node it is on.
    nodes = {name for name in hidden if name.startswith("worker-")} if result.good else set[str]()
    assert [name for name in sorted(hidden - asked - nodes) if _names(told(result), name)] == []


def _names(text: str, name: str) -> bool:
    return any(word.strip("'\",.:;()[]{}").rpartition("/")[2] == name for word in text.replace("=", " ").split())


QUERIES = {
    'up{namespace="aside"}': True,
    'sum(kube_pod_status_ready{namespace=~"aside"}) by (pod)': True,
    "up": False,
    'up{namespace="shop"}': False,
    'up{namespace="aside"} or up': False,
    'up{namespace="aside"} or up{namespace="shop"}': False,
    'up{namespace="aside" or namespace="shop"}': False,
    "max_over_time(up[5m:1m])": False,
    'max_over_time(up{namespace="shop"}[5m:1m])': False,
    'count({__name__=~".+"})': False,
    'up{namespace=~"aside|shop"}': False,
    'up{namespace=~"aside|"}': False,
    'up{namespace=~".*"}': False,
    'up{namespace!="shop"}': False,
    'label_replace(up, "namespace", "aside", "", "")': False,
    'up{namespace="aside"} * on() group_left(pod) up': False,
    'up{namespace="aside"} unless up{namespace="shop"}': False,
    "absent(up{namespace='shop'})": False,
    'up#{namespace="aside"}': False,
    "up{namespace=`shop`}": False,
    "topk(3, up @ start() offset 5m)": False,
}


@pytest.mark.parametrize("query", QUERIES)
async def test_a_metric_stays_in_its_namespace(here: Stand, hidden: set[str], query: str) -> None:
    now = datetime.now(UTC)
    for range_of in ({}, {"start": now - timedelta(minutes=10), "end": now, "step_s": 60}):
        result = await here.plane.ask(PromQuery(expr=query, **cast(Mapping[str, Any], range_of)), namespaces=ASIDE)
        assert (result.status is not CommandStatus.DENIED) is QUERIES[query], told(result)
        assert not [name for name in hidden if _names(result.text, name)]
        assert result.data is None or "shop" not in str(result.data)


async def test_without_a_limit_the_same_questions_tell(here: Stand, hidden: set[str]) -> None:
    """What the other tests look for would be found."""
    assert _names(told(await here.plane.kubectl("get pods -A")), "kube-system")
    everything = await here.plane.ask(Diagnose())
    assert "payments" in {cause.object.name for cause in everything.diagnosis().root_causes}
    assert [name for name in hidden if _names(told(everything), name)]


@pytest.mark.parametrize("words", [(), ("visitor",), ("everything",)])
async def test_a_diagnosis_stays_in_its_namespace(here: Stand, hidden: set[str], words: tuple[str, ...]) -> None:
    result = await here.plane.ask(Diagnose(words=words), namespaces=ASIDE)
    diagnosis = result.diagnosis()
    assert "visitor-settings" in {cause.object.name for cause in diagnosis.root_causes}
    places = {cause.object.namespace for cause in diagnosis.root_causes} | {s.object.namespace for s in diagnosis.symptoms}
    places |= {evidence.object.namespace for cause in diagnosis.root_causes for evidence in cause.evidence}
    places |= {change.object.namespace for change in diagnosis.changes}
    assert places <= {"aside"}
    assert [name for name in sorted(hidden) if _names(told(result), name)] == []
    assert any("only the namespaces aside" in limit for limit in diagnosis.limits)


@pytest.mark.parametrize(
    "command",
    [
        Diagnose(namespace="shop"),
        Diagnose(target=ObjectRef.parse("Deployment/shop/payments")),
        Diagnose(target=ObjectRef.parse("Node//worker-1")),
        ListChanges(since_s=86_400, namespace="shop"),
        ListChanges(since_s=86_400, target=ObjectRef.parse("Deployment/shop/payments")),
    ],
    ids=str,
)
async def test_what_is_named_outside_is_refused(here: Stand, command: Diagnose | ListChanges) -> None:
    result = await here.plane.ask(command, namespaces=ASIDE)
    assert result.status is CommandStatus.DENIED
    assert result.data is None
    assert "outside" in result.error
    if command.target is not None and command.target.name == "payments":
        # The same words for what is not there at all: nobody learns that it is.
        unreal = ObjectRef.parse("Deployment/shop/nothing")
        again = await here.plane.ask(command.model_copy(update={"target": unreal}), namespaces=ASIDE)
        assert again.error == result.error


async def test_changes_stay_in_their_namespace(here: Stand, hidden: set[str]) -> None:
    everything = await here.plane.ask(ListChanges(since_s=86_400))
    assert "payments" in everything.text
    result = await here.plane.ask(ListChanges(since_s=86_400), namespaces=ASIDE)
    assert [name for name in sorted(hidden) if _names(told(result), name)] == []
    assert "shop/" not in told(result)


async def test_a_value_without_its_key_is_no_way_to_a_password(here: Stand) -> None:
    """`-o jsonpath` prints a value alone; what it is can be seen in the document only."""
    paths = ("{.spec.template.spec.containers[0].env[0].value}", "{.spec.template.spec.containers[*].env[*].value}")
    for path in paths:
        result = await here.plane.kubectl(f"get deploy visitor -n aside -o jsonpath='{path}'", namespaces=ASIDE)
        assert PASSWORD not in result.text
        assert "[redacted]" in result.text
        assert result.redacted >= 1
    for output in ("yaml", "json"):
        result = await here.plane.kubectl(f"get deploy visitor -n aside -o {output}", namespaces=ASIDE)
        assert PASSWORD not in result.text
        assert base64.b64encode(PASSWORD.encode()).decode() not in result.text
        assert "slow" in result.text
