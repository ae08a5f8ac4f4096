"""A runner in a pod: its account from a mounted directory whose token changes, its key in one named Secret, its way back after
a revocation. The practice cluster and the real control plane; the mount is a folder."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from protocol.commands import CommandStatus
from runner.enrolment import EnrolmentRefused
from runner.identity import Identity
from runner.key_secret import IdentitySecret, SecretRefused
from runner.kube.access import AccessError, load_access
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.main import run
from tests.integration.plane import Plane, plane
from tests.integration.runner_rig import Cluster, practice_cluster
from tests.integration.test_runner_enrol import configured, until_served
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
SECRET = "/api/v1/namespaces/default/secrets"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/default/leases/opsthread-runner"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Cluster]:
    async with practice_cluster(tmp_path_factory.mktemp("key")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def admin(cluster: Cluster) -> AsyncGenerator[KubeClient]:
    async with client_of(cluster, "admin") as made:
        yield made


@contextlib.asynccontextmanager
async def client_of(cluster: Cluster, who: str) -> AsyncGenerator[KubeClient]:
    async with KubeClient(await load_access(cluster.kubeconfigs[who], None, in_cluster=False)) as made:
        yield made


def kubeconfig_of(cluster: Cluster, who: str) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(cluster.kubeconfigs[who].read_text()))


def token_of(cluster: Cluster, who: str) -> str:
    return str(kubeconfig_of(cluster, who)["users"][0]["user"]["token"])


@pytest.fixture
def mount(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kubelet mounts into a pod, and the two variables that it sets."""
    where = kubeconfig_of(cluster, "admin")["clusters"][0]["cluster"]
    address = urlsplit(str(where["server"]))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", str(address.hostname))
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "ca.crt").write_bytes(base64.b64decode(where["certificate-authority-data"]))
    (folder / "namespace").write_text("default")
    (folder / "token").write_text(f"{token_of(cluster, 'admin')}\n")
    return folder


async def make_secret(admin: KubeClient, name: str, **data: str) -> None:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    with contextlib.suppress(KubeError):
        await admin.delete(f"{SECRET}/{name}", {})
    await admin.post(SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})


# The account.


async def test_a_rotated_token_is_read_again(mount: Path, cluster: Cluster) -> None:
    good = (mount / "token").read_text()
    (mount / "token").write_text("out-of-date")
    access = await load_access(None, None, in_cluster=True, mount=mount)
    assert (access.in_cluster, access.namespace) == (True, "default")
    async with KubeClient(access) as client:
        with pytest.raises(KubeError) as refused:
            await client.get("/api/v1/namespaces/shop")
        assert refused.value.status == 401
        # The kubelet writes the next one: a 401 is answered with what is there now.
        (mount / "token").write_text(good)
        assert (await client.get("/api/v1/namespaces/shop"))["metadata"]["name"] == "shop"
        # While the file is being replaced, the one before goes on.
        (mount / "token").unlink()
        assert await client.access.authorization(renew=True) == f"Bearer {good.strip()}"
        assert (await client.get("/api/v1/namespaces/shop"))["metadata"]["name"] == "shop"


@pytest.mark.parametrize(
    ("missing", "words"),
    [("token", "token"), ("ca.crt", "ca.crt"), ("KUBERNETES_SERVICE_HOST", "this is no pod")],
)
async def test_what_is_missing_is_named(mount: Path, missing: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing.isupper():
        monkeypatch.delenv(missing)
    else:
        (mount / missing).unlink()
    with pytest.raises(AccessError, match=words):
        await load_access(None, None, in_cluster=True, mount=mount)
    with pytest.raises(AccessError, match="service account"):
        await load_access(None, None, in_cluster=True, mount=mount / "nowhere")


# The Secret.


async def test_two_pods_that_start_at_once_have_one_key(admin: KubeClient) -> None:
    await make_secret(admin, "race", other="kept")
    pods = [IdentitySecret(admin, "default", "race") for _ in range(5)]
    found = await asyncio.gather(*(pod.load() for pod in pods))
    assert len({identity.public_key for identity in found}) == 1
    await pods[0].save(found[0].enrolled_as("c" * 16, "r" * 16, "enrol-token"))
    again = await IdentitySecret(admin, "default", "race").load()
    assert (again.cluster, again.runner, again.seed) == ("c" * 16, "r" * 16, found[0].seed)
    data = (await admin.get(f"{SECRET}/race"))["data"]
    assert base64.b64decode(data["other"]) == b"kept"
    assert b"enrol-token" not in base64.b64decode(data["identity.json"])


async def test_a_secret_that_is_not_there_or_not_ours_says_what_to_do(admin: KubeClient, cluster: Cluster) -> None:
    with pytest.raises(SecretRefused, match="kubectl -n default create secret generic nowhere"):
        await IdentitySecret(admin, "default", "nowhere").load()
    await make_secret(admin, "garbage", **{"identity.json": "[not ours]"})
    with pytest.raises(SecretRefused, match="holds no runner's key"):
        await IdentitySecret(admin, "default", "garbage").load()
    async with client_of(cluster, "runner") as runner:
        with pytest.raises(SecretRefused, match="may not get and patch Secret default/garbage"):
            await IdentitySecret(runner, "default", "garbage").load()


async def test_an_api_server_that_does_not_answer_yet_is_waited_for(admin: KubeClient, cluster: Cluster) -> None:
    await make_secret(admin, "late")
    await cluster.fault("secrets/late", status=500, count=3)
    assert (await IdentitySecret(admin, "default", "late").load()).public_key


# All of it.


@contextlib.asynccontextmanager
async def pod(here: Plane, folder: Path, mount: Path, token: Path) -> AsyncGenerator[asyncio.Task[None]]:
    """A runner as the manifests start it: in the cluster, a disk of its own, the token in an optional file."""
    settings = configured(here, folder, Path("unused"), in_cluster=True, service_account_dir=mount, enrol_token_file=token)
    stop = asyncio.Event()
    task = asyncio.create_task(run(settings.model_copy(update={"kubeconfig": None}), stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 25)


async def kept(admin: KubeClient) -> Identity:
    data = (await admin.get(f"{SECRET}/opsthread-runner-identity"))["data"]
    return Identity.from_json(base64.b64decode(data["identity.json"]))


async def test_enrol_restart_revoke_and_enrol_again(mount: Path, admin: KubeClient, tmp_path: Path) -> None:
    await make_secret(admin, "opsthread-runner-identity")
    token = tmp_path / "token"
    async with plane(tmp_path / "plane", connect=False) as here:
        token.write_text(await here.fleet.enrolment_token(here.cluster.id, by="admin"))
        async with pod(here, tmp_path / "one", mount, token) as task:
            await until_served(here, task)
            assert (await admin.get(LEASE))["spec"]["holderIdentity"]
            assert not (tmp_path / "one" / "identity.json").exists()
        first = await kept(admin)
        assert (await admin.get(LEASE))["spec"]["holderIdentity"] == ""

        # Another pod on another disk: it needs no token any more, and the used one does no harm.
        async with pod(here, tmp_path / "two", mount, token) as task:
            await until_served(here, task)
            assert await kept(admin) == first

            began = time.monotonic()
            await here.fleet.revoke_runner(first.runner, by="admin")
            await until(lambda: gone(here), "it is out", 10)
            assert time.monotonic() - began < 5
            assert (await here.run(deadline_s=1)).status is CommandStatus.OFFLINE
            assert not task.done(), "it goes on trying, and says why it can't"

        # The same used token does not bring it back; a new one does, with a new key.
        token.write_text(await here.fleet.enrolment_token(here.cluster.id, by="admin"))
        async with pod(here, tmp_path / "three", mount, token) as task:
            await until_served(here, task)
        again = await kept(admin)
        assert again.runner != first.runner
        assert again.public_key != first.public_key

        # That token is used up now: it is worth nothing to another runner.
        await make_secret(admin, "opsthread-runner-identity")
        with pytest.raises(EnrolmentRefused):
            async with pod(here, tmp_path / "four", mount, token) as task:
                await asyncio.wait_for(task, 20)


async def gone(here: Plane) -> bool:
    return not (await here.fleet.get(here.cluster.id)).online
