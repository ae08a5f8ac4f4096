"""The whole HTTP side over a real control plane on a free port, with people who are signed in.

async with http_server(tmp_path) as here:
    dana = await here.person("dana", Role.OPERATOR)
    status, body = await dana.call("GET", "/api/v1/me")
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import orjson
import uvicorn
from fastapi import FastAPI

from agent_runtime.runtime import AgentRuntime
from bot.api.app import build_app
from bot.api.stream import Pace
from control_plane.accounts import Account, Session
from control_plane.approvals import Approval
from control_plane.assembly import control_plane
from control_plane.conversations import Conversation
from control_plane.fleet import Cluster
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from protocol.approval import Role
from protocol.canonical import digest
from protocol.objects import ObjectRef
from protocol.remediation import BlastRadius, Plan, PlanBody, Remediation, Risk, SetResources

COOKIE = "opsthread"
TIMEOUT = aiohttp.ClientTimeout(total=20)
PACE = Pace(recheck_s=0.2, lists_s=0.2, streams_per_account=3)


@dataclass
class Person:
    """Somebody at a browser (cookie) or with a program (bearer)."""

    url: str
    account: Account
    session: Session
    token: str
    principal: Principal
    client: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: object | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """As a program does, with the bearer token."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        async with self.client.request(method, self.url + path, json=body, headers=sent) as answer:
            return answer.status, await read(answer)

    async def browse(
        self, method: str, path: str, body: object | None = None, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, Any]:
        """As a page's script does, with cookie, token of double submit and the headers that a browser adds."""
        async with self.client.request(
            method,
            self.url + path,
            json=body,
            headers={**self.page_headers(), **(headers or {})},
            allow_redirects=False,
            **more,
        ) as answer:
            return answer.status, await read(answer)

    def page_headers(self) -> dict[str, str]:
        return {
            "Cookie": f"{COOKIE}={self.session.token}",
            "X-CSRF-Token": self.session.csrf,
            "Origin": self.url,
            "Sec-Fetch-Site": "same-origin",
        }

    @asynccontextmanager
    async def stream(self, query: str = "", last_event_id: str | None = None) -> AsyncGenerator["Events"]:
        headers = {"Cookie": f"{COOKIE}={self.session.token}"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        async with self.client.get(f"{self.url}/api/v1/stream{query}", headers=headers) as answer:
            yield Events(answer)


@dataclass
class Event:
    kind: str
    id: str
    data: dict[str, Any]


@dataclass
class Events:
    """What a stream says."""

    answer: aiohttp.ClientResponse
    seen: list[Event] = field(default_factory=list[Event])

    async def next(self, kind: str, timeout_s: float = 10) -> Event:
        """The next event of that kind; what comes before it is in `seen`."""
        async with asyncio.timeout(timeout_s):
            async for event in self:
                if event.kind == kind:
                    return event
        raise AssertionError(f"the stream ended before {kind!r}; it said {[e.kind for e in self.seen]}")

    async def to_the_end(self, timeout_s: float = 10) -> list[Event]:
        async with asyncio.timeout(timeout_s):
            async for _ in self:
                pass
        return self.seen

    async def __aiter__(self) -> AsyncIterator[Event]:
        fields: dict[str, str] = {}
        async for raw in self.answer.content:
            line = raw.decode().rstrip("\r\n")
            if line and not line.startswith(":"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif not line and "data" in fields:
                event = Event(fields.get("event", "message"), fields.get("id", ""), orjson.loads(fields["data"]))
                fields = {}
                self.seen.append(event)
                yield event


@dataclass
class Here:
    url: str
    plane: ControlPlane
    app: FastAPI
    cluster: Cluster
    client: aiohttp.ClientSession

    async def person(
        self,
        name: str,
        role: Role | None,
        *,
        clusters: tuple[str, ...] = ("*",),
        namespaces: tuple[str, ...] = ("*",),
        display: str = "",
    ) -> Person:
        roles = (ScopedRole(role=role, clusters=clusters, namespaces=namespaces),) if role is not None else ()
        accounts = self.plane.accounts
        account = await accounts.create(name, display or name.title(), roles, by="system")
        link = await accounts.make_link(account.id, by="system")
        session = await accounts.use_link(link, user_agent="test")
        bearer = await self.bearer(account)
        principal, _ = await accounts.authenticate(session.token)
        return Person(self.url, account, session, bearer, principal, self.client)

    async def bearer(self, account: Account) -> str:
        session = await self.plane.accounts.token_for(account.id, by="system", label="test", valid=timedelta(hours=1))
        return session.token

    async def conversation(self, person: Person, question: str = "why does payments keep restarting?") -> Conversation:
        conversation = await self.plane.conversations.create(person.principal, cluster=self.cluster.id)
        await self.plane.conversations.ask(conversation.id, person.principal, question, door="web", language="en")
        return await self.plane.conversations.get(conversation.id)

    async def approval(
        self,
        person: Person,
        conversation: Conversation | None = None,
        *,
        risk: Risk = Risk.MEDIUM,
        turn: str | None = None,
        **more: Any,
    ) -> Approval:
        return await self.plane.approvals.open(
            plan_for(self.cluster.id, risk=risk, **more),
            requester=person.principal,
            cluster=self.cluster.id,
            conversation=conversation.id if conversation else None,
            turn=turn,
            why="The container reaches 128Mi at start, so its limit is too low.",
            case_code="memory-limit-too-low",
        )


def memory(limit: str) -> SetResources:
    return SetResources(target=ObjectRef.parse("Deployment/shop/payments"), container="app", limits={"memory": limit})


def plan_for(cluster: str, *, risk: Risk = Risk.MEDIUM, action: Remediation | None = None, at: Any = None, **more: Any) -> Plan:
    body = PlanBody(
        cluster=cluster,
        action=action or memory("256Mi"),
        undo=memory("128Mi") if action is None else None,
        target_uid="uid-1",
        fields_hash="0" * 64,
    )
    fields: dict[str, Any] = {
        "diff": (
            "--- Deployment/shop/payments\n+++ Deployment/shop/payments\n@@ spec.template.spec.containers[app].resources @@\n"
            "   limits:\n     cpu: 500m\n-    memory: 128Mi\n+    memory: 256Mi\n"
        ),
        "diff_source": "server-dry-run",
        "blast_radius": BlastRadius(pods=2, services=("shop/payments",), note="rolling, one at a time"),
        "expected_effect": "payments starts within its limit and stops restarting",
        "check": "2 of 2 pods ready and no restart for 20 s",
        "made_at": at or datetime.now(UTC),
    }
    return Plan(body=body, plan_hash=digest(body), risk=risk, **{**fields, **more})


async def read(answer: aiohttp.ClientResponse) -> Any:
    if "json" in answer.content_type:
        return await answer.json(content_type=None)
    return await answer.text()


@asynccontextmanager
async def http_server(folder: Path, *, pace: Pace = PACE, **settings: Any) -> AsyncGenerator[Here]:
    chosen = Settings(data_dir=folder / "data", **settings)
    chosen.data_dir.mkdir(parents=True, exist_ok=True)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = cast(int, listener.getsockname()[1])
    async with control_plane(chosen) as plane, _client() as client:
        app = build_app(plane, AgentRuntime(plane), pace=pace)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=3, proxy_headers=False
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([listener]))
        try:
            cluster = await plane.fleet.create("practice", environment="practice", by="system")
            yield Here(f"http://127.0.0.1:{port}", plane, app, cluster, client)
        finally:
            await app.state.streams.close()
            server.should_exit = True
            await asyncio.wait_for(serving, 10)


@asynccontextmanager
async def _client() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=TIMEOUT, cookie_jar=aiohttp.DummyCookieJar()) as client:
        yield client


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        yield


__all__ = ["Event", "Events", "Here", "Person", "http_server"]
