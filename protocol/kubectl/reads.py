"""What was given for a read verb, as its typed call. One function a verb."""

from collections.abc import Callable
from typing import Literal, cast

from protocol.kubectl import operands
from protocol.kubectl.arguments import Given
from protocol.kubectl.calls import (
    ApiResourcesCall,
    CanICall,
    ClusterInfoCall,
    ContainerName,
    DescribeCall,
    EventsCall,
    GetCall,
    GrammarError,
    LogsCall,
    NamedResource,
    Output,
    ReadCall,
    RolloutHistoryCall,
    RolloutStatusCall,
    TopCall,
    VersionCall,
)
from protocol.kubectl.flags import REFUSED_VERBS

LOGGED = ("Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Service")
ROLLED_OUT = ("Deployment", "StatefulSet", "DaemonSet")


def _reach(given: Given) -> tuple[str | None, bool]:
    """(namespace, all of them). Both at once is a contradiction; kubectl silently takes all."""
    everywhere = given.switch("all-namespaces")
    if everywhere and given.namespace is not None:
        raise GrammarError("-A", "'-A' and '-n' contradict each other; give one")
    return given.namespace, everywhere


def _output(given: Given) -> tuple[Output, str]:
    """(form, jsonpath expression)."""
    form = given.text("output") or "table"
    if form.startswith("jsonpath="):
        return "jsonpath", form.removeprefix("jsonpath=")
    return cast(Output, form), ""


def _no_names_with(given: Given, named: bool, *flags: str) -> None:
    for flag in flags:
        if named and given.flags.get(flag):
            raise GrammarError(f"--{flag}", f"--{flag} chooses among all objects of a type; leave out the names")


def _get(given: Given) -> ReadCall:
    namespace, everywhere = _reach(given)
    resources = operands.listed(given.operands, "get")
    named = any(r.name for r in resources)
    _no_names_with(given, named, "selector", "field-selector", "all-namespaces")
    form, path = _output(given)
    return GetCall(
        resources=resources,
        namespace=namespace,
        all_namespaces=everywhere,
        label_selector=given.text("selector"),
        field_selector=given.text("field-selector"),
        output=form,
        jsonpath=path,
        show_labels=given.switch("show-labels"),
        no_headers=given.switch("no-headers"),
        sort_by=given.text("sort-by"),
        ignore_not_found=given.switch("ignore-not-found"),
    )


def _describe(given: Given) -> ReadCall:
    namespace, everywhere = _reach(given)
    resources = operands.listed(given.operands, "describe")
    _no_names_with(given, any(r.name for r in resources), "selector", "all-namespaces")
    return DescribeCall(
        resources=resources,
        namespace=namespace,
        all_namespaces=everywhere,
        label_selector=given.text("selector"),
        show_events=given.switch("show-events", default=True),
    )


def _logs(given: Given) -> ReadCall:
    resource, container = _logged(given)
    selector = given.text("selector")
    if (resource is None) == (not selector):
        raise GrammarError("logs", "logs needs a pod, a TYPE/NAME or a selector with -l, and only one of them")
    if given.switch("all-containers") and container:
        raise GrammarError(container, "--all-containers and a container contradict each other; give one")
    if given.number("since") is not None and given.text("since-time"):
        raise GrammarError("--since", "--since and --since-time contradict each other; give one")
    return LogsCall(
        resource=resource,
        namespace=given.namespace,
        label_selector=selector,
        container=container,
        all_containers=given.switch("all-containers"),
        previous=given.switch("previous"),
        tail=given.number("tail"),
        since_seconds=given.number("since"),
        since_time=given.text("since-time"),
        timestamps=given.switch("timestamps"),
        prefix=given.switch("prefix"),
        limit_bytes=given.number("limit-bytes"),
    )


def _logged(given: Given) -> tuple[NamedResource | None, ContainerName]:
    """The pod or workload and the container: `POD [CONTAINER]`, `TYPE/NAME`."""
    container = operands.container(given.text("container")) if "container" in given.flags else ""
    words = given.operands
    if len(words) > 2:
        raise GrammarError(words[2], f"logs takes one pod and one container, not also {words[2]!r}")
    if len(words) == 2:
        if "/" not in words[0] and operands.is_type(words[0]):
            raise GrammarError(words[0], f"write {words[0]}/{words[1]}: logs takes POD or TYPE/NAME")
        if container:
            raise GrammarError(words[1], f"the container is given twice: -c {container} and {words[1]!r}")
        container = operands.container(words[1])
    if not words:
        return None, container
    if "/" not in words[0]:
        return NamedResource(type=operands.resource_type("pods"), name=operands.object_name(words[0])), container
    resource = operands.type_and_name(words[0])
    if resource.type.kind not in LOGGED:
        raise GrammarError(words[0], f"{words[0]!r} has no logs; allowed: {', '.join(LOGGED)}")
    return resource, container


def _top(given: Given) -> ReadCall:
    if not given.operands:
        raise GrammarError("top", "top needs pods or nodes")
    what = operands.resource_type(given.operands[0])
    if (what.plural, what.group) not in (("pods", ""), ("nodes", "")):
        raise GrammarError(given.operands[0], f"top knows pods and nodes, not {given.operands[0]!r}")
    names = given.operands[1:]
    if len(names) > 1:
        raise GrammarError(names[1], "top takes one name or none")
    nodes = what.plural == "nodes"
    if nodes and given.switch("containers"):
        raise GrammarError("--containers", "nodes have no --containers; use top pods")
    if nodes and given.switch("all-namespaces"):
        raise GrammarError("-A", "nodes are in no namespace; leave out -A")
    namespace, everywhere = _reach(given)
    _no_names_with(given, bool(names), "selector", "all-namespaces")
    return TopCall(
        what="nodes" if nodes else "pods",
        name=operands.object_name(names[0]) if names else "",
        namespace=None if nodes else namespace,
        all_namespaces=everywhere,
        label_selector=given.text("selector"),
        containers=given.switch("containers"),
        sort_by=cast(Literal["", "cpu", "memory"], given.text("sort-by")),
    )


def _events(given: Given) -> ReadCall:
    operands.none(given.operands, "events")
    namespace, everywhere = _reach(given)
    about = given.text("for")
    return EventsCall(
        for_object=operands.type_and_name(about) if "for" in given.flags else None,
        namespace=namespace,
        all_namespaces=everywhere,
        types=cast(tuple[Literal["Normal", "Warning"], ...], given.many("types")),
        output=_output(given)[0],
    )


def _version(given: Given) -> ReadCall:
    operands.none(given.operands, "version")
    return VersionCall(output=_output(given)[0])


def _cluster_info(given: Given) -> ReadCall:
    if given.operands[:1] == ["dump"]:
        raise GrammarError("dump", f"'cluster-info dump' is refused: {REFUSED_VERBS['cluster-info dump']}")
    operands.none(given.operands, "cluster-info")
    return ClusterInfoCall()


def _api_resources(given: Given) -> ReadCall:
    operands.none(given.operands, "api-resources")
    group = given.text("api-group") if "api-group" in given.flags else None
    if group:
        operands.api_group(group)
    return ApiResourcesCall(namespaced=given.maybe("namespaced"), api_group=group, output=_output(given)[0])


def _rolled_out(given: Given) -> NamedResource:
    resource = operands.one(given.operands, given.verb)
    if resource.type.kind not in ROLLED_OUT:
        raise GrammarError(given.operands[0], f"{given.verb} knows {', '.join(ROLLED_OUT)}, not {resource.type.plural}")
    return resource


def _rollout_status(given: Given) -> ReadCall:
    return RolloutStatusCall(resource=_rolled_out(given), namespace=given.namespace)


def _rollout_history(given: Given) -> ReadCall:
    # kubectl's --revision=0 means all of them, as if it were not given.
    return RolloutHistoryCall(resource=_rolled_out(given), namespace=given.namespace, revision=given.number("revision") or None)


def _can_i(given: Given) -> ReadCall:
    namespace, everywhere = _reach(given)
    if given.switch("list"):
        operands.none(given.operands, "auth can-i --list")
        return CanICall(list_all=True, namespace=namespace, all_namespaces=everywhere)
    if len(given.operands) != 2:
        raise GrammarError("can-i", "auth can-i needs VERB TYPE or VERB TYPE/NAME, or --list")
    action, what = given.operands
    kind, slash, name = what.partition("/")
    subresource = operands.api_word(given.text("subresource"), "such as log") if "subresource" in given.flags else ""
    return CanICall(
        action=operands.api_word(action, "an API verb such as get, list or delete"),
        resource=NamedResource(type=operands.resource_type(kind), name=operands.object_name(name) if slash else ""),
        subresource=subresource,
        namespace=namespace,
        all_namespaces=everywhere,
    )


READS: dict[str, Callable[[Given], ReadCall]] = {
    "get": _get,
    "describe": _describe,
    "logs": _logs,
    "top": _top,
    "events": _events,
    "version": _version,
    "cluster-info": _cluster_info,
    "api-resources": _api_resources,
    "rollout status": _rollout_status,
    "rollout history": _rollout_history,
    "auth can-i": _can_i,
}
