"""When a workload counts as healed, as still waiting, and as worse."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.remediation.check import fell_by_new_values, judge_drain, judge_workload, waits_for_scaling

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


HPA_OBJECT = {"metadata": {"name": "web", "generation": 3}, "spec": {"minReplicas": 2, "maxReplicas": 9}}


def scaler(**status: Any) -> dict[str, Any]:
    return {**HPA_OBJECT, "status": status}


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason, "message": f"{reason} it is"}]}


@pytest.mark.parametrize(
    ("hpa", "replicas", "words"),
    [
        (scaler(), 4, ""),
        (scaler(), 1, "1 replicas, not yet within 2 to 9"),
        (scaler(observedGeneration=2), 4, "has not seen the new bounds"),
        (scaler(observedGeneration=3, desiredReplicas=4), 4, ""),
        (scaler(desiredReplicas=7), 4, "wants 7 replicas, there are 4"),
        (scaler(**condition("ScalingActive", "False", "FailedGetResourceMetric")), 4, "can't tell the load"),
        (scaler(**condition("ScalingActive", "False", "ScalingDisabled")), 4, ""),
        (scaler(desiredReplicas=9, **condition("ScalingLimited", "True", "TooManyReplicas")), 9, "more than the maximum of 9"),
        (scaler(desiredReplicas=2, **condition("ScalingLimited", "True", "TooFewReplicas")), 2, ""),
    ],
)
def test_an_autoscaler_is_healed_when_the_load_has_what_it_asks_for(hpa: dict[str, Any], replicas: int, words: str) -> None:
    found = waits_for_scaling(hpa, replicas)
    assert words in found
    assert bool(found) == bool(words)


AS_ENV = {"containers": [{"name": "app", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
AS_FILE = {"containers": [{"name": "app"}], "volumes": [{"name": "c", "configMap": {"name": "settings"}}]}
MISSING = {"waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key URL in ConfigMap shop/settings"}}


def reader(spec: dict[str, Any], *, born: float = -600, turned: float | None = 8, **row: Any) -> dict[str, Any]:
    """A pod that reads the ConfigMap and is not ready since `turned`."""
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": stamp(turned)} if turned is not None else {}
    status = {"conditions": [ready], **container(**row)}
    return {"metadata": {"name": "web-1", "creationTimestamp": stamp(born)}, "spec": spec, "status": status}


def ended(started: float, finished: float) -> dict[str, Any]:
    run = {"reason": "Error", "startedAt": stamp(started), "finishedAt": stamp(finished)}
    return {"restartCount": 3, "lastState": {"terminated": run}}


@pytest.mark.parametrize(
    ("pod", "fell"),
    [
        (reader(AS_ENV, **ended(3, 8)), True),
        (reader(AS_ENV, **ended(-20, 8)), False),  # it ran with the old values
        (reader(AS_ENV, turned=-30, **ended(3, 8)), False),  # it was broken before
        (reader(AS_FILE, **ended(3, 8)), False),  # its files may not have changed yet
        (reader(AS_FILE, **ended(95, 100)), True),
        (reader(AS_ENV, state=MISSING), True),
        (reader(AS_ENV, turned=-30, state=MISSING), False),
        (reader(AS_ENV, born=2, turned=None, state=MISSING), True),  # a new pod
        (reader(AS_ENV), False),
    ],
)
def test_a_config_map_is_worse_when_what_read_the_new_values_falls(pod: dict[str, Any], fell: bool) -> None:
    assert fell_by_new_values(pod, "settings", START) == fell
