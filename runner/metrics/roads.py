"""Two roads to a metrics server: straight to its URL, or by the API server's service proxy. Neither follows anybody away."""

import asyncio
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from protocol.commands import CommandStatus
from runner.commands.answer import Refusal
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.metrics.proof import Proof, ProofUnreadable

MAX_BODY = 32 * 1024 * 1024
_REDIRECTS = 3
_LONGEST_QUERY = 7000
"""Characters of a query string: an API server's proxy takes no more than 8 KiB."""


class Road(Protocol):
    """`name` is for people; it holds no secret."""

    @property
    def name(self) -> str: ...

    async def ask(self, path: str, form: Mapping[str, str], timeout_s: float) -> tuple[int, bytes]:
        """Status and body, at most MAX_BODY of it. Raises Refusal."""
        ...


class Straight:
    """A POST to a base URL (long queries fit), or a GET where nothing is asked; with credentials where `proof` is given."""

    def __init__(self, session: aiohttp.ClientSession, base: str, proof: Proof | None, *, name: str = "") -> None:
        self._session = session
        self._base = base
        self._proof = proof
        self._name = name or base

    @property
    def name(self) -> str:
        return self._name

    def at(self, path: str) -> "Straight":
        """The same server under a longer base path."""
        return Straight(self._session, f"{self._base}{path}", self._proof, name=f"{self._name}{path}")

    async def ask(self, path: str, form: Mapping[str, str], timeout_s: float) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._ask(f"{self._base}{path}", form)
        except TimeoutError:
            message = f"Prometheus did not answer within {timeout_s:.0f} s: ask for a shorter range or fewer series."
            raise Refusal(CommandStatus.TIMEOUT, message) from None
        except ProofUnreadable as error:
            raise Refusal(CommandStatus.UNAVAILABLE, str(error)) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = f"Prometheus at {self._name} cannot be reached ({error}): is it running, and is its URL right?"
            raise Refusal(CommandStatus.UNAVAILABLE, message) from None

    async def _ask(self, url: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        context = None
        if self._proof is not None:
            headers |= await asyncio.to_thread(self._proof.headers)
            context = await asyncio.to_thread(self._proof.tls) if url.startswith("https:") else None
        server_name = self._proof.settings.prometheus_server_name if self._proof is not None else ""
        for _ in range(_REDIRECTS):
            async with self._session.request(
                "POST" if form else "GET",
                url,
                data=dict(form) or None,
                headers=headers,
                ssl=context or True,
                server_hostname=server_name or None,
                allow_redirects=False,
            ) as answer:
                if answer.status not in (301, 302, 303, 307, 308):
                    return answer.status, await read_capped(answer)
                url = _same_origin(url, answer.headers.get("Location", ""))
        raise Refusal(CommandStatus.UNAVAILABLE, "The metrics server redirects in a circle: is its URL right?")


class ThroughApiServer:
    """GET by `services/proxy`, for a runner outside of the cluster. Our credentials for the API server end there."""

    def __init__(self, client: KubeClient, namespace: str, service: str, scheme: str, port: int, base: str) -> None:
        self._client = client
        self._root = f"/api/v1/namespaces/{namespace}/services/{scheme}:{service}:{port}/proxy{base}"
        self._name = f"Service/{namespace}/{service}:{port}{base} (through the API server)"

    @property
    def name(self) -> str:
        return self._name

    async def ask(self, path: str, form: Mapping[str, str], timeout_s: float) -> tuple[int, bytes]:
        if len(str(URL("/").with_query(dict(form)))) > _LONGEST_QUERY:
            raise Refusal(CommandStatus.INVALID, "The query is too long to go through the API server: ask in parts.")
        try:
            return await self._client.passed_on(f"{self._root}{path}", form, timeout=timeout_s, at_most=MAX_BODY)
        except KubeError as error:
            raise Refusal(CommandStatus.UNAVAILABLE, f"{self._name} cannot be reached: {error.message}") from None


async def read_capped(answer: aiohttp.ClientResponse, at_most: int = MAX_BODY) -> bytes:
    """The body. Raises Refusal when it is longer than `at_most`."""
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > at_most:
            raise Refusal(CommandStatus.INVALID, "The answer is too long: aggregate by labels, or ask for fewer series.")
        parts.append(part)
    return b"".join(parts)


def _same_origin(url: str, location: str) -> str:
    """Where a redirect leads, on the same server. Raises Refusal for any other: our credentials go nowhere else."""
    target = URL(url).join(URL(location))
    if not location or target.origin() != URL(url).origin():
        host = urlsplit(str(target)).hostname or "?"
        message = f"The metrics server sends us on to {host}, which is not followed: put the right address into its URL."
        raise Refusal(CommandStatus.UNAVAILABLE, message)
    return str(target)
