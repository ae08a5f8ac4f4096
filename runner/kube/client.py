"""One HTTP client for one API server: bounded connections, a time-out on every call, errors as KubeError."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, cast
from urllib.parse import urlencode

import aiohttp
import orjson
from yarl import URL

from runner.clocks import elapsed
from runner.kube.access import Access
from runner.kube.errors import KubeError, error_from_answer

JSON = "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PATCH_TYPES: dict[str, str] = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}
PatchType = Literal["strategic", "merge", "json"]
Params = Mapping[str, str | int | bool]

_JITTER = random.SystemRandom()
_TRIES = 4
_RETRY_STATUS = frozenset({429, 503})
_MAX_BODY = 256 * 1024 * 1024


class KubeClient:
    """Reads retry 429 and 503 within their time-out; writes are sent once."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: aiohttp.ClientSession | None = None
        self.calls = 0
        """How many requests were sent, for the metrics."""
        self._dated = ("", 0.0)

    async def __aenter__(self) -> "KubeClient":
        connector = aiohttp.TCPConnector(limit=48, ssl=self.access.ssl_context or True, keepalive_timeout=60)
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": "opsthread-runner", "Accept-Encoding": "identity"},
            read_bufsize=1 << 18,
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, params: Params | None = None, *, accept: str = JSON, timeout: float = 15) -> dict[str, Any]:
        """The parsed object at `path`. Raises KubeError."""
        return _as_object(await self.get_bytes(path, params, accept=accept, timeout=timeout), path)

    async def get_bytes(self, path: str, params: Params | None = None, *, accept: str = JSON, timeout: float = 15) -> bytes:
        """The whole body. 429 and 503 are retried as the server asks, for as long as `timeout` (seconds) allows."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        for attempt in range(_TRIES):
            try:
                return await self._send("GET", path, params, None, accept, None, until - loop.time())
            except KubeError as error:
                wait = error.retry_after_s or 0.2 * 2**attempt * (0.5 + _JITTER.random())
                if error.status not in _RETRY_STATUS or attempt + 1 == _TRIES or loop.time() + wait >= until:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def passed_on(self, path: str, params: Params, *, timeout: float, at_most: int) -> tuple[int, bytes]:
        """Status and body of what the API server only passes on (`services/proxy`), whatever the status is. Raises KubeError
        when there is no answer, or one of the API server itself that it may not."""
        try:
            async with await self._open("GET", path, params, None, JSON, None, aiohttp.ClientTimeout(total=timeout)) as answer:
                raw = await _read_capped(answer, path, at_most)
        except TimeoutError:
            raise KubeError(0, "Timeout", f"the API server did not answer GET {path} within {timeout:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise KubeError(0, "Unreachable", f"the API server at {self.access.server} cannot be reached: {error}") from error
        if answer.status >= 400 and b'"kind":"Status"' in raw[:500].replace(b" ", b""):
            raise error_from_answer(answer.status, raw, answer.headers.get("Retry-After"))
        return answer.status, raw

    async def post(self, path: str, body: Any, *, timeout: float = 15, params: Params | None = None) -> dict[str, Any]:
        return _as_object(await self._send("POST", path, params, orjson.dumps(body), JSON, JSON, timeout), path)

    async def patch(
        self, path: str, body: Any, kind: PatchType, *, timeout: float = 15, params: Params | None = None
    ) -> dict[str, Any]:
        raw = await self._send("PATCH", path, params, orjson.dumps(body), JSON, PATCH_TYPES[kind], timeout)
        return _as_object(raw, path)

    async def delete(self, path: str, body: Any, *, timeout: float = 15, params: Params | None = None) -> dict[str, Any]:
        return _as_object(await self._send("DELETE", path, params, orjson.dumps(body), JSON, JSON, timeout), path)

    @asynccontextmanager
    async def lines(self, path: str, params: Params, *, read_timeout: float) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The lines of a stream (a watch). No total time-out; `read_timeout` seconds of silence end it as KubeError."""
        timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=read_timeout)
        try:
            async with await self._open("GET", path, params, None, JSON, None, timeout) as answer:
                if answer.status >= 400:
                    raise error_from_answer(answer.status, await answer.read(), answer.headers.get("Retry-After"))
                yield _lines(answer.content)
        except TimeoutError:
            raise KubeError(0, "Timeout", f"the watch of {path} was silent for {read_timeout:.0f} s") from None
        except aiohttp.ClientError as error:
            raise KubeError(0, "Unreachable", f"the watch of {path} broke: {error}") from error

    async def _send(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: bytes | None,
        accept: str,
        content: str | None,
        timeout: float,
    ) -> bytes:
        try:
            async with await self._open(
                method, path, params, body, accept, content, aiohttp.ClientTimeout(total=max(timeout, 0.05))
            ) as answer:
                raw = await _read_capped(answer, path)
        except TimeoutError:
            raise KubeError(0, "Timeout", f"the API server did not answer {method} {path} within {timeout:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise KubeError(0, "Unreachable", f"the API server at {self.access.server} cannot be reached: {error}") from error
        if answer.status >= 400:
            raise error_from_answer(answer.status, raw, answer.headers.get("Retry-After"))
        return raw

    async def _open(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: bytes | None,
        accept: str,
        content: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        """One request; a 401 renews the credentials once, because tokens of exec plugins and pods expire."""
        answer = await self._request(method, path, params, body, accept, content, timeout, renew=False)
        if answer.status != 401:
            return answer
        answer.release()
        return await self._request(method, path, params, body, accept, content, timeout, renew=True)

    async def _request(
        self,
        method: str,
        path: str,
        params: Params | None,
        body: bytes | None,
        accept: str,
        content: str | None,
        timeout: aiohttp.ClientTimeout,
        *,
        renew: bool,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside its `async with`")
        headers = {"Accept": accept}
        if content is not None:
            headers["Content-Type"] = content
        authorization = await self.access.authorization(renew=renew)
        if authorization:
            headers["Authorization"] = authorization
        self.calls += 1
        answer = await self._session.request(
            method,
            _url(self.access.server, path, params),
            data=body,
            headers=headers,
            timeout=timeout,
            proxy=self.access.proxy,
            server_hostname=self.access.tls_server_name,
            allow_redirects=False,
        )
        self._dated = (answer.headers.get("Date", ""), elapsed())
        return answer

    def clock_offset(self, now: datetime) -> timedelta | None:
        """The API server's clock minus ours, to the second: what an answer was dated. None before the first."""
        date, at = self._dated
        try:
            said = parsedate_to_datetime(date)
        except ValueError:
            return None
        return said + timedelta(seconds=elapsed() - at) - now


def _url(server: str, path: str, params: Params | None) -> URL:
    """`path` is made of validated, quoted parts; nothing here decodes or re-reads it."""
    query = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in (params or {}).items()}
    return URL(f"{server}{path}?{urlencode(query)}" if query else f"{server}{path}", encoded=True)


async def _read_capped(answer: aiohttp.ClientResponse, path: str, at_most: int = _MAX_BODY) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > at_most:
            message = f"the answer to {path} is over {at_most >> 20} MiB: ask for less, e.g. by selector"
            raise KubeError(0, "BadAnswer", message)
        parts.append(part)
    return b"".join(parts)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """aiohttp's own line reader refuses lines over its buffer; objects of a watch may be larger."""
    rest = bytearray()
    async for part in content.iter_any():
        rest += part
        if b"\n" not in part:
            continue
        *whole, tail = bytes(rest).split(b"\n")
        rest = bytearray(tail)
        for line in whole:
            if line:
                yield line


def _as_object(raw: bytes, path: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise KubeError(0, "BadAnswer", f"the API server's answer to {path} is not JSON") from None
    if not isinstance(parsed, dict):
        raise KubeError(0, "BadAnswer", f"the API server's answer to {path} is not an object")
    return cast(dict[str, Any], parsed)
