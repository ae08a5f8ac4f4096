"""Which API path belongs to which kind. Names are validated and quoted before they reach a path."""

from dataclasses import dataclass

from protocol.kubectl import paths
from protocol.kubectl.resources import RESOURCES


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource as the API server serves it. `group` is "" for core."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def full_name(self) -> str:
        """`deployments.apps`, as kubectl's messages say it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def printed_name(self) -> str:
        """`deployment.apps`, the prefix of `-o name`."""
        return f"{self.kind.lower()}.{self.group}" if self.group else self.kind.lower()

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of a collection (no name), an object, or a subresource. Raises ValueError for what is no name."""
        kind = paths.discovered(
            plural=self.plural, group=self.group, version=self.version, kind=self.kind, namespaced=self.namespaced
        )
        if name:
            return paths.object_path(kind, namespace or None, name, subresource)
        return paths.list_path(kind, namespace or None)


BUILT_IN: dict[str, Resource] = {
    row.kind: Resource(
        group=row.group,
        version=row.versions[0],
        plural=row.plural,
        kind=row.kind,
        namespaced=row.namespaced,
        short_names=row.short,
    )
    for row in reversed(RESOURCES)
}
"""By kind, the first group of protocol's table wins. `Discovery.of_kind` finds an older version where only that is served."""

POD = BUILT_IN["Pod"]
EVENT = BUILT_IN["Event"]
NAMESPACE = BUILT_IN["Namespace"]
CONFIG_MAP = BUILT_IN["ConfigMap"]
NODE = BUILT_IN["Node"]
REPLICA_SET = BUILT_IN["ReplicaSet"]
