"""What the pods of all nodes share: programs, pulled images, addresses, and what containers did."""

from dataclasses import dataclass, field

from sandbox.cluster import Cluster
from sandbox.environment import ClusterWorld
from sandbox.programs import Catalogue
from sandbox.runtime import Load, Trace

_TRACES_KEPT = 21_600.0


@dataclass
class Machines:
    """`silent` are the nodes whose kubelet is out of reach."""

    cluster: Cluster
    catalogue: Catalogue
    world: ClusterWorld
    traces: list[Trace] = field(default_factory=list[Trace])
    images: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    silent: set[str] = field(default_factory=set[str])
    loads: list[Load] = field(default_factory=list[Load])
    addresses: int = 10

    def address(self) -> str:
        self.addresses += 1
        return f"10.244.{self.addresses // 250 % 250}.{self.addresses % 250 + 1}"

    def remember(self, trace: Trace, now: float) -> None:
        """Keep a container's trace; those of containers that are gone for six hours are dropped."""
        self.traces = [*(t for t in self.traces if t.gone is None or now - t.gone < _TRACES_KEPT), trace]
