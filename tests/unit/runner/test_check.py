"""When a workload counts as healed, as still waiting, and as worse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.remediation.check import judge_drain, judge_workload

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def stamp(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def deployment(**status: int) -> dict[str, Any]:
    counts = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, **status}
    return {"metadata": {"name": "web", "generation": 2}, "spec": {"replicas": 2}, "status": counts}


def pod(name: str, *, ready_at: float | None = 0, **status: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(ready_at)} if ready_at is not None else {}
    return {"metadata": {"name": name}, "status": {"conditions": [condition], **status}}


def container(**fields: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "app", **fields}]}


BROKEN = container(state={"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})
RESTARTED = container(restartCount=2, lastState={"terminated": {"reason": "OOMKilled", "finishedAt": stamp(5)}})
BEFORE = container(restartCount=9, lastState={"terminated": {"reason": "OOMKilled", "finishedAt": stamp(-60)}})
ONCE = container(restartCount=1, lastState={"terminated": {"reason": "Error", "finishedAt": stamp(15)}})


@pytest.mark.parametrize(
    ("obj", "pods", "after_s", "outcome", "words"),
    [
        (deployment(), [pod("a"), pod("b")], 20, "healthy", "2 of 2 pods ready, no restart for 20 s"),
        (deployment(), [pod("a"), pod("b", ready_at=15)], 20, "waiting", "for 5 s"),
        (deployment(), [pod("a"), pod("b", ready_at=None)], 20, "waiting", "1 of 2 pods ready"),
        (deployment(updatedReplicas=1), [pod("a")], 20, "waiting", "1 of 2"),
        (deployment(replicas=3), [pod("a"), pod("b")], 20, "waiting", "1 old pods are still ending"),
        (deployment(observedGeneration=1), [pod("a"), pod("b")], 20, "waiting", "has not seen the change"),
        (deployment(), [pod("a"), pod("b", ready_at=None, **BROKEN)], 20, "worse", "ImagePullBackOff not found"),
        (deployment(), [pod("a"), pod("b", ready_at=None, **RESTARTED)], 20, "worse", "last by OOMKilled"),
        (deployment(), [pod("a"), pod("b", **BEFORE)], 20, "healthy", "no restart"),
        (deployment(), [pod("a"), pod("b", **ONCE)], 20, "waiting", "for 5 s"),
    ],
)
def test_workloads(obj: dict[str, Any], pods: list[dict[str, Any]], after_s: float, outcome: str, words: str) -> None:
    seen = judge_workload("Deployment", obj, pods, START, START + timedelta(seconds=after_s))
    assert seen.outcome == outcome
    assert words in seen.message


def test_a_drain_is_done_when_only_daemons_are_left() -> None:
    node = {"spec": {"unschedulable": True}}
    daemon = {"metadata": {"name": "d", "ownerReferences": [{"kind": "DaemonSet", "controller": True}]}}
    web = {"metadata": {"name": "w", "ownerReferences": [{"kind": "ReplicaSet", "controller": True}]}}
    assert judge_drain(node, [daemon]).outcome == "healthy"
    assert judge_drain(node, [daemon, web]).outcome == "waiting"
    assert judge_drain({"spec": {}}, [daemon]).outcome == "worse"
