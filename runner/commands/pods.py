"""From a workload, Service or selector to its pods: shared by logs, rollout and plans."""

from typing import cast

from knowledge.diagnosis.fields import rows, sub
from protocol.commands import CommandStatus
from runner.commands.answer import Refusal
from runner.commands.ask import Ask, Obj
from runner.commands.render import selector_query
from runner.kube.resources import POD, Resource

SELECTING = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Service"})


def pod_selector(obj: Obj) -> str:
    """The label query for an object's pods; "" when it selects none by labels."""
    return selector_query(sub(obj, "spec").get("selector"))


async def pods_of(ask: Ask, resource: Resource, obj: Obj) -> list[Obj]:
    """The pods of a workload, newest first. Raises Refusal for a kind that has none."""
    if resource.kind == "Pod":
        return [obj]
    metadata = obj["metadata"]
    if resource.kind == "CronJob":
        return await _pods_of_cronjob(ask, metadata)
    if resource.kind not in SELECTING:
        message = (
            f"error: {resource.plural} have no pods of their own; name a pod or a workload (deployment, statefulset, job, ...)"
        )
        raise Refusal(CommandStatus.INVALID, message)
    selector = pod_selector(obj)
    if not selector:
        return []
    return newest_first(await ask.objects(POD, [metadata["namespace"]], labels=selector))


async def _pods_of_cronjob(ask: Ask, metadata: Obj) -> list[Obj]:
    jobs = [job for job in await ask.objects("Job", [metadata["namespace"]]) if owned_by(job, metadata["uid"])]
    uids = {job["metadata"]["uid"] for job in jobs}
    pods = await ask.objects(POD, [metadata["namespace"]])
    return newest_first([pod for pod in pods if any(owner.get("uid") in uids for owner in owners(pod))])


def owners(obj: Obj) -> list[Obj]:
    return cast(list[Obj], obj.get("metadata", {}).get("ownerReferences") or [])


def owned_by(obj: Obj, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in owners(obj))


def newest_first(objects: list[Obj]) -> list[Obj]:
    return sorted(
        objects, key=lambda o: (str(o["metadata"].get("creationTimestamp") or ""), o["metadata"]["name"]), reverse=True
    )


def container_names(pod: Obj, *, init: bool = True) -> list[str]:
    spec = sub(pod, "spec")
    lists = [rows(spec, "containers")]
    if init:
        lists += [rows(spec, "initContainers"), rows(spec, "ephemeralContainers")]
    return [row["name"] for table in lists for row in table]
