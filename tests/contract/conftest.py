"""Fixtures of the contract suite."""

import os
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.contract.cluster import Cluster, Namespace, practice_cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[Cluster]:
    home: Path = tmp_path_factory.mktemp("contract")
    if os.environ.get("OPSTHREAD_CONTRACT_CLUSTER") == "1":
        named = os.environ.get("KUBECONFIG", "")
        assert named, "OPSTHREAD_CONTRACT_CLUSTER=1 needs KUBECONFIG to name the cluster"
        yield Cluster(named, os.environ.get("OPSTHREAD_CONTRACT_VIEWER", ""), False, home)
        return
    with practice_cluster(home) as running:
        yield running


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Generator[Namespace]:
    name = f"contract-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    yield Namespace(cluster, name)
    cluster.kubectl("delete", "namespace", name, "--wait=false")
