"""Two `opsthread serve` on one PostgreSQL and one external NATS, a practice cluster and its runner: all real processes.

The NATS runs on what `opsthread nats config` wrote. The language model is a scripted server in the test.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
from nacl.signing import SigningKey

from control_plane.data_dir import kid_of
from tests.integration.http_server import Events
from tests.integration.postgres import Postgres
from tests.integration.runner_rig import NATS_SERVER, Cluster, end, free_port, practice_cluster
from tests.integration.scripted_model import Say, ScriptedModel, scripted_model
from tests.integration.waiting import until
from tests.product import Api, Process

ROOT = Path(__file__).parent.parent.parent
LEASE_S = 4.0


@dataclass
class Replicas:
    a: Process
    b: Process
    model: ScriptedModel
    practice: Cluster
    cluster: str
    """Id of the cluster on the control plane."""
    database: str
    env: dict[str, str]

    def api(self, process: Process) -> Api:
        return Api(process.url, process.token("admin"))

    def other(self, process: Process) -> Process:
        return self.b if process is self.a else self.a

    def named(self, executor: str) -> Process:
        return {"replica-a": self.a, "replica-b": self.b}[executor]

    async def ask(self, api: Api, text: str) -> str:
        status, body = await api.call("POST", "/api/v1/conversations", {"cluster": self.cluster, "text": text})
        assert status == 201, body
        return str(body["conversation"]["id"])

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.database) as connection:
            return await (await connection.execute(query.encode(), values)).fetchall()

    async def runs(self, workflow: str) -> Process:
        """The replica that runs it now."""

        async def found() -> str | None:
            query = "SELECT executor_id FROM opsthread_durable.workflow_status WHERE workflow_uuid = %s AND status = 'PENDING'"
            rows = await self.rows(query, workflow)
            return str(rows[0][0]) if rows else None

        return self.named(await until(found, f"{workflow} runs somewhere"))

    async def generation(self, deployment: str) -> int:
        """Each write to its spec bumps it by one."""
        path = f"/apis/apps/v1/namespaces/shop/deployments/{deployment}"
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.practice.token}"}) as session,
            session.get(f"{self.practice.url}{path}", ssl=False) as answer,
        ):
            return int((await answer.json())["metadata"]["generation"])


@asynccontextmanager
async def stream(process: Process, query: str, **headers: str) -> AsyncGenerator[Events]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {process.token('admin')}", **headers}) as session,
        session.get(f"{process.url}/api/v1/stream{query}") as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Events(answer)


@asynccontextmanager
async def replicas(folder: Path, postgres: Postgres, **more: str) -> AsyncGenerator[Replicas]:
    """`more` are variables of both."""
    async with AsyncExitStack() as stack:
        practice = await stack.enter_async_context(practice_cluster(folder / "practice", "payments-oom", speed=20))
        model = await stack.enter_async_context(scripted_model(Say("That is all.")))
        url = postgres.new_database()
        nats = await external_nats(stack, folder / "nats")
        key = SigningKey.generate()
        (folder / "grant.key").write_text(key.encode().hex())
        env = {
            **nats,
            "OPSTHREAD_DATABASE_URL": url,
            "OPSTHREAD_GRANT_KEY_FILE": str(folder / "grant.key"),
            "OPSTHREAD_LEASE_SECONDS": str(LEASE_S),
            "OPENAI_API_KEY": "sk-replicas",
            "OPENAI_BASE_URL": model.url,
            **more,
        }
        a, b = _process(folder, "a", env), _process(folder, "b", env)
        stack.push_async_callback(_stop, a, b)
        await asyncio.gather(a.start(), b.start())
        here = Replicas(a, b, model, practice, "", url.replace("postgresql+psycopg", "postgresql"), env)
        await _runner(stack, here, folder / "runner", key)
        yield here


async def _stop(*processes: Process) -> None:
    await asyncio.gather(*(process.stop() for process in processes))


def _process(folder: Path, name: str, env: dict[str, str]) -> Process:
    home = folder / name
    home.mkdir()
    args = ["serve", "--port", "0", "--solo", "--data-dir", str(home / "data")]
    return Process(args, home, {**env, "OPSTHREAD_EXECUTOR_ID": f"replica-{name}"})


async def external_nats(stack: AsyncExitStack, folder: Path) -> dict[str, str]:
    """The server runs; the settings of who uses it."""
    address = f"127.0.0.1:{free_port()}"
    words = ["nats", "config", "--out", folder, "--address", address, "--listen", address, "--store-dir", folder / "streams"]
    await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "bot.cli", *words], cwd=ROOT, check=True, capture_output=True
    )
    server = await asyncio.create_subprocess_exec(
        str(NATS_SERVER), "-c", str(folder / "nats-server.conf"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    stack.push_async_callback(end, server, signal.SIGTERM)
    lines = (folder / "opsthread.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


async def _runner(stack: AsyncExitStack, here: Replicas, folder: Path, key: SigningKey) -> None:
    """Enrolled by one replica's token, whichever answers it."""
    async with here.api(here.a) as api:
        status, made = await api.call("POST", "/api/v1/clusters", {"name": "practice"})
        assert status == 201, made
        here.cluster = str(made["id"])
        config = {
            "NATS_URL": here.env["OPSTHREAD_NATS_PUBLIC_URL"],
            "ENROL_TOKEN": str(made["enrolment_token"]),
            "DATA_DIR": str(folder),
            "KUBECONFIG": str(here.practice.kubeconfigs["runner"]),
            "PROMETHEUS_URL": here.practice.prometheus_url,
            "MODE": "writes",
            "REMEDIATIONS": "all",
            "GRANT_KEYS": json.dumps({kid_of(key): key.verify_key.encode().hex()}),
        }
        env = {**os.environ, **{f"OPSTHREAD_RUNNER_{name}": value for name, value in config.items()}}
        with folder.with_suffix(".log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "runner", env=env, cwd=ROOT, stdout=output, stderr=output
            )
        stack.push_async_callback(end, process, signal.SIGTERM)

        async def warm() -> bool | None:
            cluster = await api.get(f"/api/v1/clusters/{here.cluster}")
            return True if cluster["online"] and cluster["summary"]["cache"] == "warm" else None

        await until(warm, "the runner is online and warm")
