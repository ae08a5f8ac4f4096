"""The REST client of the command line: what it says is what any client may say."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp

from bot.cli.connection import Connection
from protocol.base import Value

_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=5)
_STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5, sock_read=45)
"""The stream's heartbeat is 15 s: three missed ones mean that it is dead."""
_RECONNECTS = 5


class ApiError(Exception):
    """The server's problem+json, or that there is no server. `status` 0: nobody answered."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StreamEvent(Value):
    kind: str
    data: dict[str, Any]


class Client:
    """One person at one server."""

    def __init__(self, connection: Connection) -> None:
        self._url = connection.url
        headers = {"X-Opsthread-Door": "cli"}
        if connection.token:
            headers["Authorization"] = f"Bearer {connection.token}"
        self._session = aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def url(self) -> str:
        """The server's, without a path."""
        return self._url

    async def get(self, path: str) -> dict[str, Any]:
        return await self._call("GET", path, None)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self._call("POST", path, body or {})

    async def delete(self, path: str) -> None:
        await self._call("DELETE", path, None)

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self._call("PUT", path, body)

    async def bytes(self, path: str) -> bytes:
        """The body as it is."""
        try:
            async with self._session.get(f"{self._url}{path}") as answer:
                if answer.status >= 400:
                    raise await _error(answer)
                return await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "unreachable", f"{self._url} does not answer: {error or type(error).__name__}") from None

    async def lines(self, path: str) -> AsyncIterator[str]:
        """The lines of a text answer, as they come."""
        try:
            async with self._session.get(f"{self._url}{path}") as answer:
                if answer.status >= 400:
                    raise await _error(answer)
                async for raw in answer.content:
                    yield raw.decode("utf-8", "replace").rstrip("\n")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "unreachable", f"{self._url} does not answer: {error or type(error).__name__}") from None

    async def follow(self, conversation: str, after: int = 0) -> AsyncIterator[StreamEvent]:
        """Log entries, approvals and live text of a conversation, in order, over reconnects. Ends never by itself."""
        failures = 0
        while True:
            try:
                async for event in self._stream(conversation, after):
                    failures = 0
                    if event.kind == "log":
                        after = max(after, int(event.data["seq"]))
                    yield event
            except (aiohttp.ClientError, TimeoutError) as error:
                failures += 1
                if failures > _RECONNECTS:
                    raise ApiError(
                        0, "unreachable", f"The stream of {self._url} broke and did not come back: {error}"
                    ) from None

    async def _stream(self, conversation: str, after: int) -> AsyncIterator[StreamEvent]:
        url = f"{self._url}/api/v1/stream"
        async with self._session.get(url, params={"c": f"{conversation}:{after}"}, timeout=_STREAM_TIMEOUT) as answer:
            if answer.status != 200:
                raise await _error(answer)
            kind, data = "message", [""]
            async for raw in answer.content:
                line = raw.decode().rstrip("\r\n")
                if not line:
                    if any(data):
                        yield StreamEvent(kind=kind, data=cast(dict[str, Any], json.loads("\n".join(data))))
                    kind, data = "message", []
                elif line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        try:
            async with self._session.request(method, f"{self._url}{path}", json=body) as answer:
                if answer.status >= 400:
                    raise await _error(answer)
                if answer.status == 204:
                    return {}
                return cast(dict[str, Any], await answer.json(content_type=None))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "unreachable", f"{self._url} does not answer: {error or type(error).__name__}") from None


async def _error(answer: aiohttp.ClientResponse) -> ApiError:
    try:
        problem = cast(dict[str, Any], await answer.json(content_type=None))
    except ValueError:
        problem = {}
    code = str(problem.get("code", ""))
    return ApiError(answer.status, code, str(problem.get("detail") or problem.get("title") or answer.reason or answer.status))
