"""What hypothesis makes lines, names and calls from."""

from typing import Any

from hypothesis import strategies as st

from protocol.kubectl import calls, resources
from protocol.objects import ObjectRef
from protocol.remediation import (
    CordonNode,
    DeletePod,
    DrainNode,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    UncordonNode,
)

HOSTILE = (
    "..", ".", "../..", "a/b", "a/../b", "/", "%2f", "%2e%2e", "a%00b", "a?b=c", "a#b", "a&b=c", "a;b", "a b",
    "a\nb", "a\x00b", "?watch=true", "&watch=true", "#", "a=b", "a,b", "'", '"', "`id`", "$(id)", "${IFS}", "|", ">",
    "-A", "--all", "--", "{", "}", "{.a}?x=1", "\u202ea", "\uff0f", "\u2215", "é", "𝔞", "a\\b", "\\", "@", "a@b",
    "[0]", "*", "~", "name.", ".name", "-name", "kube-system/pods", "exec", "proxy", "log", "default/secrets/x",
    "x" * 300,
)  # fmt: skip
"""Texts that would change a path, a query or a command line if somebody let them."""

hostile = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40), st.text(alphabet="ab./%?#&=-_:,'\" \\{}[]*", max_size=20))

WRITE_VERBS = (
    "apply", "create", "delete", "edit", "patch", "replace", "scale", "autoscale", "annotate", "label", "taint",
    "drain", "cordon", "uncordon", "expose", "run", "exec", "cp", "attach", "debug", "port-forward", "proxy",
    "rollout restart", "rollout undo", "rollout pause", "rollout resume", "set image", "set env", "set resources",
    "set serviceaccount", "set selector", "auth reconcile", "certificate approve", "certificate deny",
    "config set-credentials", "config use-context", "plugin", "kustomize", "cluster-info dump", "diff", "wait",
)  # fmt: skip
"""Every verb of kubectl that changes something, runs something or opens something."""

READ_VERBS = (
    "get", "describe", "logs", "top", "events", "version", "cluster-info", "api-resources", "rollout status",
    "rollout history", "auth can-i",
)  # fmt: skip

flags = st.sampled_from(
    (
        "-n", "-n=shop", "-nshop", "--namespace", "--namespace=shop", "-A", "--all-namespaces", "-l", "-lapp=web",
        "--selector=a=b", "-o", "-o=json", "-oyaml", "--output=name", "-f", "-f=x.yaml", "-k", "-R", "-w", "--watch",
        "--dry-run", "--dry-run=none", "--dry-run=server", "--dry-run=client", "--force", "--grace-period=0",
        "--all", "--replicas=0", "--replicas", "-c", "--to-revision=1", "--limits=cpu=1", "--kubeconfig=/x",
        "--server=https://x", "--token", "--as=root", "--context=x", "-it", "--raw", "--", "--cascade=orphan",
        "--now", "--previous", "--tail=5", "--list", "--subresource=log", "--types=Warning", "--for", "-p",
    )
)  # fmt: skip
words = st.sampled_from(
    (
        "pods", "pod", "po", "secrets", "secret", "deploy", "deploy/web", "deployment", "node", "node/n1", "ns",
        "web", "web-0", "pods/web-0", "all", "po,deploy", "app=web", "A=b", "A-", "app=nginx:1", "get", "status",
        "restart", "delete", "kubectl", "default", "list", "shop", "|", ">", ";", "&&", "$(id)", "sh", "-c",
    )
)  # fmt: skip
verbs = st.sampled_from(WRITE_VERBS + READ_VERBS).map(str.split)
soup = st.one_of(words, words, flags, st.sampled_from(HOSTILE))

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)
maybe_namespace = st.none() | labels
selectors = st.sampled_from(("app=web", "app in (web, api),tier!=db", "!legacy", "app.kubernetes.io/name==x", "env notin (a)"))
json_paths = st.sampled_from(
    ("{.items[*].metadata.name}", "{.a.b[0]['k.l']}", '{.a}{"\\n"}', ".status.phase", "name: {.metadata.name}")
)


def _type(row: resources.Resource) -> calls.ResourceType:
    return calls.ResourceType(plural=row.plural, group=row.group, kind=row.kind, namespaced=row.namespaced)


types = st.sampled_from([_type(row) for row in resources.RESOURCES]) | st.builds(
    calls.ResourceType,
    plural=st.just("certificates"),
    group=st.just("cert-manager.io"),
    version=st.sampled_from(("", "v1", "v1beta1")),
)
all_of_types = st.lists(types.map(lambda kind: calls.NamedResource(type=kind)), min_size=1, max_size=4)
named = st.lists(st.builds(calls.NamedResource, type=types, name=names), min_size=1, max_size=4)


def _of_kinds(*kinds: str) -> st.SearchStrategy[calls.NamedResource]:
    rows = [row for row in resources.RESOURCES if row.kind in kinds]
    return st.builds(calls.NamedResource, type=st.sampled_from([_type(row) for row in rows]), name=names)


rolled_out = _of_kinds("Deployment", "StatefulSet", "DaemonSet")
logged = _of_kinds("Pod", "Deployment", "Job")


Fields = st.SearchStrategy[dict[str, Any]]

reaches: Fields = maybe_namespace.map(lambda namespace: {"namespace": namespace}) | st.just({"all_namespaces": True})
in_one: Fields = maybe_namespace.map(lambda namespace: {"namespace": namespace})
outputs: Fields = st.sampled_from(("table", "wide", "yaml", "json", "name")).map(lambda form: {"output": form})
spelled_outputs: Fields = outputs | json_paths.map(lambda path: {"output": "jsonpath", "jsonpath": path})


def _calls(model: type[Any], *shared: Fields, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[calls.Call]:
    """Calls of a model: each field from its strategy, and sets of fields that go together."""
    alone: Fields = st.fixed_dictionaries(fields)

    def build(parts: tuple[dict[str, Any], ...]) -> calls.Call:
        return model.model_validate({name: value for part in parts for name, value in part.items()})

    return st.tuples(alone, *shared).map(build)


read_calls: st.SearchStrategy[calls.Call] = st.one_of(
    _calls(
        calls.GetCall,
        reaches,
        spelled_outputs,
        resources=all_of_types,
        label_selector=st.just("") | selectors,
        field_selector=st.sampled_from(("", "a.b!=c")),
        show_labels=st.booleans(),
        no_headers=st.booleans(),
        sort_by=st.sampled_from(("", ".metadata.name")),
    ),
    _calls(calls.GetCall, in_one, spelled_outputs, resources=named, ignore_not_found=st.booleans()),
    _calls(calls.DescribeCall, in_one, resources=named, show_events=st.booleans()),
    _calls(calls.DescribeCall, reaches, resources=all_of_types, label_selector=st.just("") | selectors),
    _calls(
        calls.LogsCall,
        in_one,
        resource=logged,
        container=st.just("") | labels,
        previous=st.booleans(),
        tail=st.none() | st.integers(-1, 1000),
        since_seconds=st.none() | st.integers(1, 100_000),
        timestamps=st.booleans(),
        prefix=st.booleans(),
        limit_bytes=st.none() | st.integers(1, 10_000),
    ),
    _calls(calls.LogsCall, in_one, label_selector=selectors, all_containers=st.booleans()),
    _calls(
        calls.TopCall,
        in_one,
        what=st.just("pods"),
        name=st.just("") | names,
        containers=st.booleans(),
        sort_by=st.sampled_from(("", "cpu", "memory")),
    ),
    _calls(calls.TopCall, what=st.just("nodes"), name=st.just("") | names),
    _calls(
        calls.EventsCall,
        reaches,
        outputs,
        for_object=st.none() | logged,
        types=st.sampled_from(((), ("Warning",), ("Normal", "Warning"))),
    ),
    _calls(calls.VersionCall, output=st.sampled_from(("table", "json", "yaml"))),
    _calls(calls.ClusterInfoCall),
    _calls(calls.ApiResourcesCall, namespaced=st.none() | st.booleans(), api_group=st.none() | st.just("apps")),
    _calls(calls.RolloutStatusCall, in_one, resource=rolled_out),
    _calls(calls.RolloutHistoryCall, in_one, resource=rolled_out, revision=st.none() | st.integers(1, 99)),
    _calls(
        calls.CanICall,
        reaches,
        action=st.sampled_from(("get", "delete")),
        resource=st.builds(calls.NamedResource, type=types, name=st.just("") | names),
        subresource=st.sampled_from(("", "log")),
    ),
    _calls(calls.CanICall, reaches, list_all=st.just(True)),
)


def _refs(*kinds: str) -> st.SearchStrategy[ObjectRef]:
    return st.builds(ObjectRef, kind=st.sampled_from(kinds), namespace=labels, name=names)


workloads = _refs("Deployment", "StatefulSet", "DaemonSet")
nodes = st.builds(ObjectRef, kind=st.just("Node"), namespace=st.just(""), name=names)
quantities = st.dictionaries(st.sampled_from(("cpu", "memory")), st.sampled_from(("1", "250m", "512Mi")), min_size=1)
spoken_remediations: st.SearchStrategy[Remediation] = st.one_of(
    st.builds(RestartWorkload, target=workloads),
    st.builds(ScaleWorkload, target=_refs("Deployment", "StatefulSet", "ReplicaSet"), replicas=st.integers(0, 10_000)),
    st.builds(RollbackWorkload, target=workloads, to_revision=st.none() | st.integers(1, 99)),
    st.builds(SetImage, target=workloads, container=labels, image=st.just("registry.example/a/b:1.2@sha256:" + "0" * 64)),
    st.builds(SetResources, target=workloads, container=labels, limits=quantities),
    st.builds(SetResources, target=workloads, container=labels, limits=quantities, requests=quantities),
    st.builds(
        SetEnv, target=workloads, container=labels,
        env=st.dictionaries(st.sampled_from(("A", "B_C")), st.none() | st.text(alphabet="a b'\"$=;|é", max_size=8), min_size=1),
    ),
    st.builds(DeletePod, target=_refs("Pod")),
    st.builds(CordonNode, target=nodes),
    st.builds(UncordonNode, target=nodes),
    st.builds(DrainNode, target=nodes, delete_emptydir_data=st.booleans()),
)  # fmt: skip
"""The remediations that kubectl has words for."""
