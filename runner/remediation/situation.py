"""Reads what an action meets, fresh from the API server: the object, and its revisions or the node's pods where they matter."""

from knowledge.diagnosis.fields import sub
from protocol.remediation import Remediation
from runner.commands.ask import Ask
from runner.commands.pods import owned_by, pod_selector
from runner.commands.rollout import revision_of
from runner.kube.errors import KubeError
from runner.kube.resources import POD, REPLICA_SET, Resource
from runner.remediation.types import Obj, Revision, Situation
from runner.remediation.workloads import template_of

_WITH_REVISIONS = ("Deployment", "StatefulSet", "DaemonSet")


async def read_situation(action: Remediation, resource: Resource, ask: Ask) -> Situation:
    """Raises KubeError; an absent object is a Situation without one."""
    target = action.target
    try:
        obj = await ask.object(resource, target.namespace, target.name)
    except KubeError as error:
        if error.status != 404:
            raise
        return Situation(None, ask.now())
    if target.kind in _WITH_REVISIONS and action.type != "scale":
        revisions, current = await _revisions(target.kind, obj, ask)
        return Situation(obj, ask.now(), revisions=revisions, current_revision=current)
    if action.type == "drain":
        pods = await ask.objects(POD, ("",), fields=f"spec.nodeName={target.name}")
        return Situation(obj, ask.now(), node_pods=tuple(pods))
    return Situation(obj, ask.now())


async def _revisions(kind: str, obj: Obj, ask: Ask) -> tuple[tuple[Revision, ...], int]:
    """Kept templates, oldest first, and the number of the current one (0 if unknown)."""
    namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
    selector = pod_selector(obj)
    if kind == "Deployment":
        sets = [rs for rs in await ask.objects(REPLICA_SET, [namespace], labels=selector) if owned_by(rs, uid)]
        found = [Revision(revision_of(rs), rs["spec"]["template"]) for rs in sets if revision_of(rs)]
        number = str(sub(obj["metadata"], "annotations").get("deployment.kubernetes.io/revision", "0"))
        return _in_order(found), int(number) if number.isdigit() else 0
    kept = [
        row for row in await ask.objects_or_none("ControllerRevision", [namespace], labels=selector) or [] if owned_by(row, uid)
    ]
    found = [Revision(int(row.get("revision") or 0), _whole(obj, row)) for row in kept]
    current = next((int(row.get("revision") or 0) for row in kept if row["metadata"]["name"] == _current_name(obj)), 0)
    return _in_order(found), current or max((row.number for row in found), default=0)


def _current_name(obj: Obj) -> str:
    return str(sub(obj, "status").get("updateRevision") or "")


def _whole(obj: Obj, revision: Obj) -> Obj:
    """A ControllerRevision holds the template with `$patch: replace`."""
    template = dict(sub(revision, "data", "spec").get("template") or template_of(obj))
    template.pop("$patch", None)
    return template


def _in_order(found: list[Revision]) -> tuple[Revision, ...]:
    return tuple(sorted(found, key=lambda row: row.number))
