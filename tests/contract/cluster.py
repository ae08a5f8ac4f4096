"""The cluster under contract: the practice cluster, or the one that KUBECONFIG names.

With OPSTHREAD_CONTRACT_CLUSTER=1 the same assertions run on KUBECONFIG's cluster, in temporary
namespaces of their own; OPSTHREAD_CONTRACT_VIEWER may name a kubeconfig with read rights only.
What differs by server version is data (`Features`), never a branch in a test.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

DEADLINE = 60.0


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Features:
    """What a server of this version offers."""

    budgets: str
    """apiVersion of PodDisruptionBudget"""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: str
    viewer: str
    """kubeconfig of an identity that may read, but no Secrets, and write nothing; '' if there is none"""
    sandbox: bool
    home: Path

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, kubeconfig: str = "") -> Result:
        """Run the real kubectl. With `check`, anything but exit 0 fails the test with what it said."""
        program = shutil.which("kubectl")
        assert program, "kubectl is not installed: apt-get install kubernetes-client"
        env = {**os.environ, "KUBECONFIG": kubeconfig or self.kubeconfig, "HOME": str(self.home), "KUBE_EDITOR": "true"}
        done = subprocess.run(
            [program, *args], input=stdin, capture_output=True, text=True, timeout=DEADLINE, env=env, check=False
        )
        assert not check or done.returncode == 0, (
            f"kubectl {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def features(self) -> Features:
        served = self.kubectl("api-versions").out.split()
        return Features(budgets="policy/v1" if "policy/v1" in served else "policy/v1beta1")


@dataclass(frozen=True)
class Namespace:
    """A namespace of the test's own."""

    cluster: Cluster
    name: str

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True, kubeconfig: str = "") -> Result:
        return self.cluster.kubectl("--namespace", self.name, *args, stdin=stdin, check=check, kubeconfig=kubeconfig)

    def get(self, *args: str) -> Any:
        return self.kubectl("get", *args, "-o", "json").json

    def apply(self, *objects: Any) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def rolled_out(self, what: str) -> None:
        self.kubectl("rollout", "status", what, "--timeout=50s")


T = TypeVar("T")


def until(ask: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Ask until the answer is true; asking takes a process each time, so there is no pause between."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        if answer := ask():
            return answer
    raise AssertionError(f"not within {deadline:g} s: {what}")


@contextmanager
def practice_cluster(home: Path, *more: str) -> Generator[Cluster]:
    """`python -m sandbox` as a child, ended when the block ends."""
    command = [sys.executable, "-m", "sandbox", "--kubeconfig-dir", str(home), "--exit-with-parent", "--speed", "4", *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            ready = json.loads(child.stdout.readline())
            yield Cluster(ready["kubeconfigs"]["admin"], ready["kubeconfigs"]["viewer"], True, home)
        finally:
            child.terminate()
            child.wait(timeout=10)


def deployment(name: str, image: str = "nginx:1.25", replicas: int = 1, **container: Any) -> dict[str, Any]:
    """A Deployment with one container `app`."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image, **container}]},
            },
        },
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": name}}, "data": data}
