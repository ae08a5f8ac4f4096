"""Serving a sandbox: in this process for tests (`running`), or as a process of its own (`main`)."""

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from sandbox.kubeconfig import write_kubeconfigs
from sandbox.scenarios import DEFAULT_SCENARIOS
from sandbox.server import application
from sandbox.state import Keeper, read
from sandbox.tls import Certificates, certificates
from sandbox.world import Sandbox

_START_TIMEOUT = 15.0
_STOP_TIMEOUT = 1.5


@dataclass(frozen=True)
class Running:
    """A sandbox that answers. Tokens and kubeconfig paths are by identity: admin, viewer, runner."""

    url: str
    prometheus_url: str
    authority: str
    authority_file: str
    kubeconfigs: dict[str, str]
    tokens: dict[str, str]
    sandbox: Sandbox

    def ready_line(self) -> dict[str, object]:
        return {
            "url": self.url,
            "prometheus_url": self.prometheus_url,
            "certificate_authority": self.authority_file,
            "kubeconfigs": self.kubeconfigs,
            "pid": os.getpid(),
        }


@contextlib.asynccontextmanager
async def running(
    *,
    scenarios: Sequence[str] = DEFAULT_SCENARIOS,
    speed: float = 1.0,
    port: int = 0,
    directory: Path | None = None,
    state: Path | None = None,
) -> AsyncGenerator[Running]:
    """Serve a sandbox on 127.0.0.1 until the block ends; kubeconfigs are written to `directory`.

    With `state` the cluster is kept in that file, and goes on from it when it is there.
    """
    with contextlib.ExitStack() as cleanup:
        if directory is None:
            directory = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="opsthread-sandbox-")))
        directory.mkdir(parents=True, exist_ok=True)
        listener = cleanup.enter_context(_listener(port))
        plain = cleanup.enter_context(_listener(0))
        sandbox = Sandbox(scenarios, speed=speed, kept=read(state) if state is not None else None)
        keeper = Keeper(sandbox, state) if state is not None else None
        keys = certificates()
        app = application(sandbox)
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        prometheus = f"http://127.0.0.1:{plain.getsockname()[1]}/prometheus"
        authority = directory / "ca.crt"
        authority.write_text(keys.authority)
        sandbox.api.address = url.removeprefix("https://")
        configs = write_kubeconfigs(directory, url, keys.authority, sandbox.tokens.by_name)
        secure = _server(app, keys, directory)
        open_server = _server(app, None, directory)
        sandbox.live.start()
        if keeper is not None:
            keeper.start()
        async with _serving(secure, listener), _serving(open_server, plain):
            try:
                yield Running(url, prometheus, keys.authority, str(authority), configs, dict(sandbox.tokens.by_name), sandbox)
            finally:
                await sandbox.live.stop()
                if keeper is not None:
                    await keeper.stop()


def _listener(port: int) -> socket.socket:
    """A listening socket whose connections have TCP_NODELAY.

    asyncio sets it only on sockets that say they are TCP; those of socket.create_server don't, and each small
    answer would wait 40 ms for a delayed acknowledgement.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(256)
    return listener


def _server(app: Starlette, keys: Certificates | None, directory: Path) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
    )
    config.load()
    if keys is not None:
        context: ssl.SSLContext = keys.context(directory)
        config.ssl = context
    return _Server(config)


class _Server(uvicorn.Server):
    """Signals belong to the process that serves, not to one of its two servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def _serving(server: uvicorn.Server, listener: socket.socket) -> AsyncGenerator[None]:
    task = asyncio.create_task(server.serve([listener]), name="practice-cluster-http")
    try:
        async with asyncio.timeout(_START_TIMEOUT):
            while not server.started:
                if task.done():
                    task.result()
                    raise RuntimeError("the practice cluster's HTTP server ended while starting")
                await asyncio.sleep(0.005)
        yield
    finally:
        server.should_exit = True
        _, late = await asyncio.wait([task], timeout=_STOP_TIMEOUT)
        for straggler in late:
            straggler.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await straggler
