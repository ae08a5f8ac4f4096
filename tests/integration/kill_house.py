"""A whole house to kill in: `opsthread serve` on PostgreSQL, its NATS, the practice cluster behind a door that a test can hold,
and the runner, each a process of its own, so that one can be killed while the others live.

What a process does outside itself is held at the API server's door (`house.api`) or at a table of the database (`house.lock`):
then the moment is sure to be there when the process is killed.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import psycopg
import yaml
from nacl.signing import SigningKey

from control_plane.accounts import Accounts, Session
from control_plane.data_dir import kid_of
from control_plane.database import Database
from control_plane.principals import ScopedRole
from protocol.approval import Role
from runner.remediation.memory import GrantMemory
from tests.integration.held_api import HeldApi, held_api
from tests.integration.http_server import COOKIE
from tests.integration.postgres import Postgres
from tests.integration.replicas import ROOT, external_nats
from tests.integration.runner_rig import practice_cluster
from tests.integration.waiting import until
from tests.product import Api, Process


@dataclass(frozen=True)
class Person:
    """With a program's token, and a browser in which they have just signed in."""

    token: str
    browser: Session


@dataclass
class Runner:
    """The real runner process, killed and started again on the same disk."""

    env: dict[str, str]
    folder: Path
    """Its disk."""
    process: asyncio.subprocess.Process | None = None

    async def start(self, **once: str) -> None:
        with self.folder.with_suffix(".log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "runner", env={**self.env, **once}, cwd=ROOT, stdout=output, stderr=output
            )

    def stand_still(self) -> None:
        """It reads nothing from now on, and is not gone."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)

    async def kill(self) -> None:
        assert self.process is not None
        assert self.process.returncode is None, "the runner ended by itself"
        os.kill(self.process.pid, signal.SIGKILL)
        assert await asyncio.wait_for(self.process.wait(), 10) == -signal.SIGKILL


@dataclass
class KillHouse:
    serve: Process
    runner: Runner
    api: HeldApi
    database: str
    people: dict[str, Person]
    cluster: str = ""
    locks: dict[str, psycopg.AsyncConnection[Any]] = field(default_factory=dict[str, psycopg.AsyncConnection[Any]])

    def as_person(self, name: str) -> Api:
        return Api(self.serve.url, self.people[name].token)

    def as_admin(self) -> Api:
        return Api(self.serve.url, self.serve.token("admin"))

    async def on_the_web(self, name: str, path: str, body: object) -> tuple[int, Any]:
        session = self.people[name].browser
        page = {"Cookie": f"{COOKIE}={session.token}", "X-CSRF-Token": session.csrf, "Origin": self.serve.url}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30), cookie_jar=aiohttp.DummyCookieJar()) as browser,
            browser.post(f"{self.serve.url}{path}", json=body, headers={**page, "Sec-Fetch-Site": "same-origin"}) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    async def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.database, autocommit=True) as connection:
            cursor = await connection.execute(query.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def lock(self, table: str) -> None:
        """Nothing new is written into it from now on."""
        if table in self.locks:
            return
        connection = await psycopg.AsyncConnection.connect(self.database)
        self.locks[table] = connection
        await connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())

    async def waits_at(self, table: str) -> None:
        """Until somebody waits to write into the locked table."""
        query = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"

        async def waits() -> bool | None:
            return True if await self.rows(query, table) else None

        await until(waits, f"a write waits for {table}")

    async def unlock(self) -> None:
        """What a killed process still waited for never happens: its transaction has no end, so it is rolled back."""
        for connection in self.locks.values():
            await connection.close()
        self.locks.clear()

    async def kill_serve(self) -> None:
        """And what it had begun in the database is gone, before its next start."""
        await self.serve.kill()
        await self.unlock()

    async def was_away(self, approval: str, seconds: int) -> None:
        """As if nobody had been there for so long: all times of the approval lie further back."""
        query = (
            "UPDATE approvals SET created_at = created_at - away, expires_at = expires_at - away, "
            "decided_at = decided_at - away, started_at = started_at - away "
            "FROM (SELECT make_interval(secs => %s)) AS clock(away) WHERE id = %s"
        )
        await self.rows(query, seconds, approval)

    def taken(self, approval: str) -> bool:
        """Has the runner said that it took the grant?"""
        said = self.runner.folder.with_suffix(".log").read_text(errors="replace").splitlines()
        return any("grant_taken" in line and approval in line for line in said)

    async def boot(self) -> str:
        """Of the runner that was greeted last."""
        found = await self.rows("SELECT boot FROM runners")
        return str(found[0][0]) if found else ""

    async def runner_is_warm(self, *, after: str = "") -> None:
        """A start of it other than `after`."""

        async def warm() -> bool | None:
            if await self.boot() in ("", after):
                return None
            async with self.as_admin() as api:
                cluster = await api.get(f"/api/v1/clusters/{self.cluster}")
            return True if cluster["online"] and cluster["summary"]["cache"] == "warm" else None

        await until(warm, "the runner is online and warm", 40)


@asynccontextmanager
async def kill_house(folder: Path, postgres: Postgres) -> AsyncGenerator[KillHouse]:
    async with AsyncExitStack() as stack:
        practice, nats = await asyncio.gather(
            stack.enter_async_context(practice_cluster(folder / "practice", "payments-oom", speed=20)),
            external_nats(stack, folder / "nats"),
        )
        api = await stack.enter_async_context(held_api(practice.url))
        key = SigningKey.generate()
        (folder / "grant.key").write_text(key.encode().hex())
        url = postgres.new_database()
        env = {
            **nats,
            "OPSTHREAD_DATABASE_URL": url,
            "OPSTHREAD_GRANT_KEY_FILE": str(folder / "grant.key"),
            "OPSTHREAD_LEASE_SECONDS": "3",
            "OPSTHREAD_EXECUTOR_ID": "the-one",
        }
        (folder / "serve").mkdir()
        words = ["serve", "--port", "0", "--data-dir", str(folder / "serve" / "data")]
        serve = await Process(words, folder / "serve", env).start()
        stack.push_async_callback(serve.kill)
        people = await _people(url)
        (folder / "runner").mkdir()
        # A runner that has been there since yesterday: what happened before its memory begins it could not speak of.
        GrantMemory(folder / "runner" / "grants.db", now=lambda: datetime.now(UTC) - timedelta(days=1)).close()
        runner = Runner(
            _runner_env(folder, practice.kubeconfigs["runner"], api, practice.prometheus_url, nats, key), folder / "runner.log"
        )
        house = KillHouse(serve, runner, api, url.replace("postgresql+psycopg", "postgresql"), people)
        async with house.as_admin() as root:
            status, made = await root.call("POST", "/api/v1/clusters", {"name": "practice"})
            assert status == 201, made
        house.cluster = str(made["id"])
        await runner.start(OPSTHREAD_RUNNER_ENROL_TOKEN=str(made["enrolment_token"]))
        stack.push_async_callback(runner.kill)
        await house.runner_is_warm()
        try:
            yield house
        finally:
            await house.unlock()
            api.open_all()


async def _people(url: str) -> dict[str, Person]:
    """An operator who asks, and two approvers; each in a browser too. As the command line on the server makes them."""
    database = Database(url)
    await database.start()
    accounts = Accounts(database)
    made: dict[str, Person] = {}
    try:
        for name, role in {"ann": Role.OPERATOR, "bob": Role.APPROVER, "eve": Role.APPROVER}.items():
            account = await accounts.create(name, name.title(), (ScopedRole(role=role),), by="system")
            browser = await accounts.use_link(await accounts.make_link(account.id, by="system"), user_agent="test")
            token = await accounts.token_for(account.id, by="system", label="test", valid=timedelta(hours=1))
            made[name] = Person(token.token, browser)
    finally:
        await database.stop()
    return made


def _runner_env(
    folder: Path, kubeconfig: Path, api: HeldApi, prometheus: str, nats: dict[str, str], key: SigningKey
) -> dict[str, str]:
    through = cast(dict[str, Any], yaml.safe_load(kubeconfig.read_text()))
    through["clusters"][0]["cluster"] = {"server": api.url}
    (folder / "through-the-door.yaml").write_text(yaml.safe_dump(through))
    config = {
        "NATS_URL": nats["OPSTHREAD_NATS_PUBLIC_URL"],
        "DATA_DIR": str(folder / "runner"),
        "KUBECONFIG": str(folder / "through-the-door.yaml"),
        "PROMETHEUS_URL": prometheus,
        "MODE": "writes",
        "REMEDIATIONS": "all",
        "GRANT_KEYS": json.dumps({kid_of(key): key.verify_key.encode().hex()}),
    }
    return {**os.environ, **{f"OPSTHREAD_RUNNER_{name}": value for name, value in config.items()}}
