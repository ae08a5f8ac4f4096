"""A sandbox as a whole: cluster, kubelet, API, scenarios, metrics; made in its broken state, at once."""

import contextlib
import gc
import time
from collections.abc import Generator, Sequence

from sandbox import programs, rbac, state
from sandbox.api import Api
from sandbox.auth import Tokens
from sandbox.clock import Clock
from sandbox.cluster import Cluster
from sandbox.controllers.accounts import Accounts
from sandbox.controllers.autoscalers import Autoscalers
from sandbox.controllers.budgets import Budgets
from sandbox.controllers.cleanup import LostPods, Namespaces, OwnerCollector
from sandbox.controllers.daemonsets import DaemonSets
from sandbox.controllers.deployments import Deployments
from sandbox.controllers.endpoints import Endpoints
from sandbox.controllers.gitops import GitOps
from sandbox.controllers.jobs import CronJobs, Jobs
from sandbox.controllers.nodes import Nodes
from sandbox.controllers.quotas import Quotas
from sandbox.controllers.replicasets import ReplicaSets
from sandbox.controllers.scheduler import Scheduler
from sandbox.controllers.statefulsets import StatefulSets
from sandbox.controllers.volumes import Volumes
from sandbox.faults import Faults
from sandbox.kubelet import Kubelet
from sandbox.live import Live
from sandbox.objects import Obj
from sandbox.promql.series import SeriesSource
from sandbox.scenarios import DEFAULT_SCENARIOS, Scenarios
from sandbox.steps import Stage


@contextlib.contextmanager
def _no_collection() -> Generator[None]:
    """History makes many objects and hardly any cycles: the collector would only cost a third of the start."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Sandbox:
    """Everything but the listening socket. `live` must be started by who serves it."""

    def __init__(self, scenarios: Sequence[str] = DEFAULT_SCENARIOS, *, speed: float = 1.0, kept: Obj | None = None) -> None:
        """With `kept` (of `state.read`) it goes on where that was, and `scenarios` are not looked at."""
        now = time.time()
        self.catalogue = programs.Catalogue()
        self.cluster = Cluster(Clock(now))
        self.kubelet = Kubelet(self.cluster, self.catalogue)
        self.autoscalers, self.nodes = Autoscalers(self.cluster, self.kubelet), Nodes(self.cluster, self.kubelet)
        self.gitops = GitOps(self.cluster)
        self.cluster.install(
            Namespaces(self.cluster),
            Accounts(self.cluster),
            OwnerCollector(self.cluster),
            LostPods(self.cluster),
            Deployments(self.cluster),
            ReplicaSets(self.cluster),
            StatefulSets(self.cluster),
            DaemonSets(self.cluster),
            Jobs(self.cluster),
            CronJobs(self.cluster),
            Volumes(self.cluster),
            Scheduler(self.cluster),
            self.kubelet,
            Endpoints(self.cluster),
            Budgets(self.cluster),
            Quotas(self.cluster),
            self.autoscalers,
            self.nodes,
            self.gitops,
        )
        self.scenarios = Scenarios(Stage(self.cluster, self.kubelet, self.nodes, self.gitops), self.catalogue)
        with _no_collection():
            if kept is None:
                self.scenarios.play_history(scenarios, now)
            else:
                self.scenarios.learn_programs()
                state.put_back(self, kept)
        self.cluster.clock.speed = speed
        self.autoscalers.keep_looking()
        self.nodes.keep_beating()
        self.cluster.run_until(now)
        rbac.install(self.cluster)
        self.tokens = Tokens(kept["tokens"] if kept else None)
        self.api = Api(self.cluster, self.kubelet, self.tokens)
        self.faults = Faults()
        self.series = SeriesSource(self.cluster, self.kubelet)
        self.live = Live(self.cluster)
