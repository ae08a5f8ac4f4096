"""Typed resources into paths and queries of the Kubernetes API. Pure; the only place that builds such an address.

Every variable part is validated and percent-encoded as one segment, so nothing that a line carries changes the structure of
a path or query. Send the result as it is (`yarl.URL(path, encoded=True)`), or it is encoded twice.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from protocol.kubectl import resources
from protocol.kubectl.calls import ResourceType
from protocol.objects import valid_name, valid_namespace

SUBRESOURCES = frozenset(("", "log", "scale", "status", "eviction"))
"""exec, attach, portforward, proxy, token and ephemeralcontainers are not among them."""


def api_version(kind: ResourceType) -> str:
    """The version in the path. Raises ValueError for a type that only discovery can tell."""
    row = resources.by_plural(kind.plural, kind.group)
    version = kind.version or (row.versions[0] if row else "")
    if not version:
        raise ValueError(f"the version of {kind.plural} is not known; ask discovery and use `discovered`")
    return version


def discovered(*, plural: str, group: str, version: str, kind: str, namespaced: bool) -> ResourceType:
    """A type as the cluster's discovery describes it. Judge a call again once its type is replaced by this."""
    return ResourceType(plural=plural, group=group, version=version, kind=kind, namespaced=namespaced)


def group_path(kind: ResourceType) -> str:
    """`/api/v1` or `/apis/GROUP/VERSION`."""
    version = quote(api_version(kind), safe="")
    return f"/apis/{quote(kind.group, safe='')}/{version}" if kind.group else f"/api/{version}"


def list_path(kind: ResourceType, namespace: str | None) -> str:
    """The collection; `namespace` None is every namespace. Cluster-scoped kinds take no namespace and ignore it."""
    plural = quote(kind.plural, safe="")
    if namespace is None or not kind.namespaced:
        return f"{group_path(kind)}/{plural}"
    if not valid_namespace(namespace):
        raise ValueError(f"{namespace!r} is not a namespace")
    return f"{group_path(kind)}/namespaces/{quote(namespace, safe='')}/{plural}"


def object_path(kind: ResourceType, namespace: str | None, name: str, subresource: str = "") -> str:
    """One object, or one of its harmless subresources. Raises ValueError for anything that is not a name."""
    if kind.namespaced and namespace is None:
        raise ValueError(f"{kind.plural} live in a namespace, and none is given")
    if not valid_name(name):
        raise ValueError(f"{name!r} is not an object name")
    if subresource not in SUBRESOURCES:
        raise ValueError(f"the subresource {subresource!r} is not used here")
    path = f"{list_path(kind, namespace)}/{quote(name, safe='')}"
    return f"{path}/{subresource}" if subresource else path


def query(params: Mapping[str, str]) -> str:
    """`?a=b&c=d`, percent-encoded, in the order given; "" when empty. Parameters with an empty value are left out."""
    pairs = [(key, value) for key, value in params.items() if value]
    return f"?{urlencode(pairs, quote_via=quote, safe='')}" if pairs else ""
