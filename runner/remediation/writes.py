"""The only place that writes to a cluster, and its twin that cannot: `DryRun` adds dryRun=All to every call by itself."""

from protocol.commands import CommandStatus
from protocol.remediation import Remediation
from runner.commands.answer import Refusal
from runner.kube.client import KubeClient, Params
from runner.kube.discovery import Discovery
from runner.kube.resources import Resource
from runner.remediation.diff import guarded, json_patch
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Situation

FIELD_MANAGER = "opsthread"


class Executor:
    """Sends an action to the API server. Each call writes at most one object, under the preconditions of a fresh read."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client

    def _params(self) -> Params:
        return {"fieldManager": FIELD_MANAGER}

    async def send(self, action: Remediation, resource: Resource, situation: Situation, timeout_s: float) -> Obj:
        """The object as the server has it now ({} when it is gone). Raises KubeError and Unfit."""
        row = row_of(action)
        target = action.target
        if row.how == "create":
            body = row.after(action, situation)
            return await self._client.post(resource.path(target.namespace), body, params=self._params(), timeout=timeout_s)
        path = resource.path(target.namespace, target.name)
        obj = situation.existing()
        if row.how == "delete":
            row.after(action, situation)
            options = self._delete_options(obj)
            await self._client.delete(path, options, params={}, timeout=timeout_s)
            return {}
        after = row.after(action, situation)
        operations = guarded(json_patch(obj, after or {}), obj)
        return await self._client.patch(path, operations, "json", params=self._params(), timeout=timeout_s)

    def _delete_options(self, obj: Obj) -> Obj:
        metadata = obj["metadata"]
        return {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]},
        }


class DryRun(Executor):
    """Asks the server what an action would do. It has no way to leave dryRun=All out."""

    def _params(self) -> Params:
        return {"fieldManager": FIELD_MANAGER, "dryRun": "All"}

    def _delete_options(self, obj: Obj) -> Obj:
        return {**super()._delete_options(obj), "dryRun": ["All"]}


async def evict(client: KubeClient, version: str, pod: Obj, timeout_s: float) -> None:
    """Raises KubeError; 429 means that a PodDisruptionBudget holds the pod for now."""
    metadata = pod["metadata"]
    body = {
        "apiVersion": f"policy/{version}",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
    await client.post(path, body, timeout=timeout_s)


async def eviction_version(discovery: Discovery) -> str:
    """policy/v1 from Kubernetes 1.22 on, v1beta1 before."""
    rows = [row for row in await discovery.resources() if row.group == "policy"]
    return "v1" if any(row.version == "v1" for row in rows) else "v1beta1"


async def resource_of(discovery: Discovery, kind: str) -> Resource:
    """Raises Refusal when the server does not serve the kind."""
    found = await discovery.of_kind(kind)
    if found is None:
        raise Refusal(CommandStatus.NOT_FOUND, f"the API server does not serve {kind}")
    return found
