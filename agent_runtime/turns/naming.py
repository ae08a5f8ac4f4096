"""Whether a turn's model may see the names of objects, and what they are: read from the cluster once, as the asker."""

from agent_runtime.pseudonyms import PLAIN, Names, Pseudonyms, conversation_key, known_names
from control_plane.errors import ServiceError
from control_plane.fleet import Cluster
from protocol.commands import CommandResult, Kubectl
from protocol.kubectl import WriteCall, parse
from tools.context import ToolContext
from tools.reads import send

KINDS = (
    "deployments,statefulsets,daemonsets,replicasets,jobs,cronjobs,services,configmaps,ingresses,persistentvolumeclaims,"
    "horizontalpodautoscalers,serviceaccounts,pods"
)
NODES = "{.items[*].spec.nodeName}"
MOST_NAMESPACES = 40
"""A scope of more can't be listed in time, so that no model is asked."""
DEADLINE_S = 10.0


class NamesUnknown(Exception):
    """The names can't be read, so that none can be hidden: nothing may go to a model."""


async def names_for(context: ToolContext, cluster: Cluster) -> Names:
    """Raises NamesUnknown."""
    wanted = context.plane.settings.pseudonyms
    if not {"*", cluster.id, cluster.name} & set(wanted):
        return PLAIN
    scope = context.conversation.scope.namespaces
    where = ["-A"] if scope is None else [f"-n {namespace}" for namespace in scope]
    if len(where) > MOST_NAMESPACES:
        raise NamesUnknown(f"{len(where)} namespaces are too many to list the names of")
    listed: list[str] = []
    for place in where:
        listed += await _list(context, f"get {KINDS} {place} -o name", needed=True)
    if scope is None:
        listed += await _list(context, "get nodes,persistentvolumes,storageclasses -o name", needed=True)
    else:
        # Who may not list nodes still meets their names, beside the pods that run there.
        for place in where:
            found = await _list(context, f"get pods {place} -o jsonpath={NODES}", needed=True)
            listed += [f"node/{name}" for line in found for name in line.split()]
    namespaces = {*cluster.summary.namespaces, *(scope or ())}
    key = conversation_key(context.plane.grant_key.encode(), context.conversation.id)
    return Pseudonyms(key, known_names(listed, sorted(namespaces), (cluster.name,)))


async def _list(context: ToolContext, line: str, *, needed: bool) -> list[str]:
    call = parse(line)
    if isinstance(call, WriteCall):
        raise NamesUnknown(f"{line} is no read")
    try:
        result: CommandResult = await send(context, Kubectl(call=call), deadline_s=DEADLINE_S)
    except ServiceError as error:
        raise NamesUnknown(error.message) from error
    if needed and (not result.good or result.cut):
        raise NamesUnknown(result.error or result.cut or result.status.value)
    return result.text.splitlines() if result.good else []
