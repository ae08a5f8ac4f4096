"""A runner comes into a cluster as its administrator does it: one command, and the token works once."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
import yaml

from tests.integration.runner_rig import Cluster, practice_cluster
from tests.integration.waiting import until
from tests.product import Process

CLI_S = 60
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Site:
    """A running serve, a cluster without a runner, and the command line."""

    serve: Process
    cluster: Cluster
    folder: Path

    async def cli(self, *args: str, code: int = 0) -> tuple[str, str]:
        """Output and error output of `opsthread …` as the administrator of that serve."""
        return await run(
            sys.executable, "-m", "bot.cli", *args, "--url", self.serve.url, "--token", self.serve.token("admin"), code=code
        )

    async def kubectl(self, *args: str, stdin: str = "", code: int = 0) -> str:
        config = str(self.cluster.kubeconfigs["admin"])
        return (await run("kubectl", "--kubeconfig", config, *args, stdin=stdin, code=code))[0]

    async def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.serve.token('admin')}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{self.serve.url}{path}") as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def online(self, name: str) -> bool:
        return bool((await self.get(f"/api/v1/clusters/{name}"))["online"])

    async def sees_nodes(self, name: str) -> bool:
        return int((await self.get(f"/api/v1/clusters/{name}"))["node_count"]) > 0

    async def mount(self) -> Path:
        """What a pod of the runner's ServiceAccount finds in its file system."""
        folder = self.folder / "serviceaccount"
        if not folder.exists():
            folder.mkdir()
            (folder / "token").write_text(await self.kubectl("create", "token", "opsthread-runner", "-n", "opsthread"))
            (folder / "namespace").write_text("opsthread")
            config = yaml.safe_load(self.cluster.kubeconfigs["admin"].read_text())["clusters"][0]["cluster"]
            (folder / "ca.crt").write_bytes(base64.b64decode(config["certificate-authority-data"]))
        return folder

    @asynccontextmanager
    async def pod(self, documents: list[dict[str, Any]], name: str, **more: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """The manifests' pod as a process: its environment, its mounts as folders, its ServiceAccount with just its rights."""
        folder = self.folder / name
        (folder / "data").mkdir(parents=True)
        address = urlsplit(self.cluster.url)
        env = pod_environment(documents, folder) | {
            "PATH": os.environ["PATH"],
            "KUBERNETES_SERVICE_HOST": str(address.hostname),
            "KUBERNETES_SERVICE_PORT": str(address.port),
            "OPSTHREAD_RUNNER_SERVICE_ACCOUNT_DIR": str(await self.mount()),
            **more,
        }
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "runner", env=env, cwd=Path(__file__).parents[2], stdout=log, stderr=log
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 30)


def pod_environment(documents: list[dict[str, Any]], folder: Path) -> dict[str, str]:
    kinds = {(item["kind"], item["metadata"]["name"]): item for item in documents}
    env = dict(cast(dict[str, str], kinds["ConfigMap", "opsthread-runner"]["data"]))
    container = kinds["Deployment", "opsthread-runner"]["spec"]["template"]["spec"]["containers"][0]
    env |= {row["name"]: row["value"] for row in container["env"] if "value" in row}
    token = folder / "token"
    token.write_text(kinds["Secret", "opsthread-runner-enrolment"]["stringData"]["token"])
    return env | {
        "OPSTHREAD_RUNNER_DATA_DIR": str(folder / "data"),
        "OPSTHREAD_RUNNER_ENROL_TOKEN_FILE": str(token),
        "OPSTHREAD_RUNNER_HEALTH_PORT": "0",
        "OPSTHREAD_RUNNER_HEALTH_HOST": "127.0.0.1",
    }


async def run(*command: str, stdin: str = "", code: int = 0) -> tuple[str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), CLI_S)
    assert process.returncode == code, f"{command}: {process.returncode}\n{out.decode()}\n{err.decode()}"
    return out.decode(), err.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: Any) -> AsyncGenerator[Site]:
    folder = cast(Path, tmp_path_factory.mktemp("install"))
    serve = Process(["serve", "--port", "0", "--data-dir", str(folder / "data")], folder)
    async with practice_cluster(folder / "cluster") as cluster:
        await serve.start()
        try:
            yield Site(serve, cluster, folder)
        finally:
            await serve.stop()


def shell_of(command: str, kubeconfig: Path) -> str:
    """The printed command as an administrator of the cluster would run it; what is applied is kept in `applied`."""
    fetch, _, apply = command.strip().rpartition(" | ")
    assert apply == "kubectl apply -f -"
    return f"set -o pipefail; {fetch} | tee {kubeconfig.parent}/applied | kubectl --kubeconfig {kubeconfig} apply -f -"


async def test_one_command_brings_a_runner_into_a_cluster_and_its_token_works_once(site: Site) -> None:
    command, said = await site.cli(
        "cluster", "add", "prod", "--mode", "remediation", "--in", "shop", "--environment", "production"
    )
    assert "which is this machine alone" in said  # the bus of this serve listens on loopback, and that is said

    kubeconfig = site.cluster.kubeconfigs["admin"]
    applied, _ = await run("bash", "-c", shell_of(command, kubeconfig))
    for line in (
        "deployment.apps/opsthread-runner created",
        "clusterrole.rbac.authorization.k8s.io/opsthread-runner-write created",
    ):
        assert line in applied
    documents = list(yaml.safe_load_all((kubeconfig.parent / "applied").read_text()))

    async with site.pod(documents, "first") as runner:
        await until(lambda: site.online("prod"), "the new runner is online")
        await until(lambda: site.sees_nodes("prod"), "it has seen the cluster's nodes")
        cluster = await site.get("/api/v1/clusters/prod")
        assert cluster["writes"] is True
        assert cluster["environment"] == "production"
        agent = next(a for a in (await site.get("/api/v1/agents"))["agents"] if a["cluster_id"] == cluster["id"])
        assert agent["mode"]["namespaces"] == ["shop"]
        assert "drain" not in agent["mode"]["remediations"]

        # The same token again: no manifests any more, and no place for a second runner with a key of its own.
        _, refused = await run("bash", "-c", shell_of(command, kubeconfig), code=1)
        assert "401" in refused
        other_key = {"OPSTHREAD_RUNNER_KEY_SECRET": "", "OPSTHREAD_RUNNER_KEY_FILE": str(site.folder / "other.json")}
        async with site.pod(documents, "second", **other_key, OPSTHREAD_RUNNER_LEASE="off") as second:
            assert await asyncio.wait_for(second.wait(), 30) != 0
            assert "make a new one" in (site.folder / "second" / "log").read_text()

        kept = json.loads(await site.kubectl("get", "secret", "opsthread-runner-identity", "-n", "opsthread", "-o", "json"))
        assert kept["data"]
        held = json.loads(await site.kubectl("get", "lease", "opsthread-runner", "-n", "opsthread", "-o", "json"))
        assert held["spec"]["holderIdentity"]

        await site.cli("cluster", "revoke", "prod")

        async def out() -> bool:
            return not await site.online("prod")

        await until(out, "the revoked runner is out")
        assert runner.returncode is None or runner.returncode > 0
        await site.cli("cluster", "revoke", "prod", code=2)


async def test_the_yaml_itself_can_be_taken_to_where_no_curl_gets(site: Site) -> None:
    text, _ = await site.cli("cluster", "add", "staging", "--print", "--image", "registry.internal/opsthread-runner:1")
    checked = await site.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    assert "deployment.apps/opsthread-runner" in checked
    documents = list(yaml.safe_load_all(text))
    deployment = next(item for item in documents if item["kind"] == "Deployment")
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry.internal/opsthread-runner:1"
    assert next(item for item in documents if item["kind"] == "ConfigMap")["data"]["OPSTHREAD_RUNNER_MODE"] == "read-only"


async def test_what_cannot_be_is_said_before_anything_is_made(site: Site) -> None:
    _, said = await site.cli("cluster", "add", "edge", "--mode", "remediation", "--remediation", "exec", code=2)
    assert "unknown remediations exec" in said
    _, said = await site.cli("cluster", "add", "edge", "--in", "shop", code=2)
    assert "read-only runs no remediations" in said
    for name in ("", "..", "集群"):
        _, said = await site.cli("cluster", "add", name, code=2)
        assert "is no name for a cluster" in said
    _, said = await site.cli("cluster", "add", "edge", "--mode", "remediation", "--in", "Shop", code=2)
    assert "'Shop' is not written as Kubernetes has it" in said
    listed = json.loads((await site.cli("cluster", "list", "--json"))[0])
    assert "edge" not in [row["name"] for row in listed]


async def test_a_name_is_a_name_and_words_are_shown_as_they_are(site: Site) -> None:
    """`edge?x` is not the cluster edge with a query, and what an environment is called is no markup."""
    await site.cli("cluster", "add", "edge", "--environment", "[/x]")
    for name in ("edge?x", "./edge"):
        assert "is no name for a cluster" in (await site.cli("cluster", "add", name, code=2))[1]
        assert (await site.cli("cluster", "revoke", name, code=2))[1].startswith(("there is no cluster", "Not Found"))
    assert "[/x]" in (await site.cli("cluster", "list"))[0]


async def test_the_manifests_are_for_a_token_and_for_administrators(site: Site) -> None:
    async with aiohttp.ClientSession() as http:
        for headers in (
            {},
            {"Authorization": "Bearer enrol-made-up"},
            {"Authorization": f"Bearer {site.serve.token('admin')}"},
        ):
            async with http.get(f"{site.serve.url}/api/v1/install/runner.yaml", headers=headers) as answer:
                assert answer.status == 401
        async with http.post(f"{site.serve.url}/api/v1/clusters/staging/installations", json={}) as answer:
            assert answer.status == 401
