"""A door before an API server that a test can hold: a call waits in front of it or behind it until told, and every change that
went through is counted.

async with held_api(cluster.url) as api:
    gate = api.hold("PATCH", "deployments/web", "after")   # the cluster has done it; the answer is kept back
    await gate.reached()
    gate.open()
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
from aiohttp import web

from tests.integration.waiting import until

Where = Literal["before", "after"]
_NOT_PASSED_ON = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST = 256 * 2**20


@dataclass
class Gate:
    """For one call, unless it says `every`: the first that matches from now on."""

    method: str
    path: str
    where: Where
    refuse: int = 0
    """Answer with that status instead of asking the cluster."""
    cut: bool = False
    """The cluster does it, and the connection breaks before the answer."""
    changed_first: bool = False
    """Only a call that comes after a change of the same object."""
    every: bool = False
    """Every call that matches, until it is opened."""
    _taken: bool = False
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    async def reached(self) -> None:
        """Until a call waits at it (a refused or cut one: until it was there)."""
        await until(lambda: self._reached.is_set() or None, f"{self.method} {self.path} is at its gate", 30)

    def open(self) -> None:
        self._open.set()

    def fits(self, method: str, path: str, changes: list[str]) -> bool:
        if self._taken or self._open.is_set() or method != self.method or not path.endswith(self.path):
            return False
        return not self.changed_first or any(change.endswith(self.path) for change in changes)

    def take(self) -> "Gate":
        self._taken = not self.every
        return self

    async def wait(self) -> None:
        self._reached.set()
        if not (self.refuse or self.cut):
            await self._open.wait()


class HeldApi:
    """`changes` are the calls that the cluster was really asked for and that are no reads, dry runs or reviews, in order:
    `PATCH /apis/apps/v1/namespaces/shop/deployments/web`. One that the cluster refused counts as well."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self._session = session
        self._gates: list[Gate] = []
        self.url = ""
        self.changes: list[str] = []

    def hold(self, method: str, path: str, where: Where = "before", **more: Any) -> Gate:
        gate = Gate(method, path, where, **more)
        self._gates.append(gate)
        return gate

    def changes_of(self, path: str) -> list[str]:
        return [change for change in self.changes if change.endswith(path)]

    def open_all(self) -> None:
        for gate in self._gates:
            gate.open()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        changes = _changes(request)
        # A create names its object in the body, not in the path.
        path = f"{request.path}/{_named(body)}" if request.method == "POST" and changes else request.path
        gate = next((gate.take() for gate in self._gates if gate.fits(request.method, path, self.changes)), None)
        if gate is not None and gate.where == "before":
            await gate.wait()
            if gate.refuse:
                return web.json_response(_status(gate.refuse), status=gate.refuse)
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("who asked is gone: it never arrived")
        if changes:
            self.changes.append(f"{request.method} {path}")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        async with self._session.request(
            request.method, f"{self._upstream}{request.raw_path}", data=body, headers=headers, allow_redirects=False
        ) as answer:
            if gate is None or gate.where == "before":
                return await _passed_on(request, answer)
            kept = await answer.read()
            await gate.wait()
            if gate.cut and request.transport is not None:
                request.transport.abort()
            return web.Response(status=answer.status, body=kept, content_type=answer.content_type)


@contextlib.asynccontextmanager
async def held_api(upstream: str) -> AsyncGenerator[HeldApi]:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
    connector = aiohttp.TCPConnector(ssl=_any_certificate(), limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
        api = HeldApi(upstream, session)
        app = web.Application(client_max_size=_MOST)
        app.router.add_route("*", "/{any:.*}", api.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield api
        finally:
            api.open_all()
            await runner.cleanup()


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for piece in answer.content.iter_any():
        await response.write(piece)
    await response.write_eof()
    return response


def _changes(request: web.Request) -> bool:
    dry = "dryRun" in request.query
    return request.method not in _READS and not dry and not request.path.rpartition("/")[2].endswith("reviews")


def _named(body: bytes) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(json.loads(body)["metadata"]["name"])
    return ""


def _status(code: int) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "refused at the door of the API server",
        "reason": "Forbidden",
        "code": code,
    }


def _any_certificate() -> ssl.SSLContext:
    """The practice cluster's is its own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


__all__ = ["Gate", "HeldApi", "held_api"]
