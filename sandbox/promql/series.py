"""The series of the practice cluster."""

from sandbox.cluster import Cluster
from sandbox.kubelet import Kubelet


class SeriesSource:
    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self.available = True
