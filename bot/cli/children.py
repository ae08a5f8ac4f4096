"""Child processes that live no longer than we do: the practice cluster and the runner.

Each is in a session of its own (Ctrl-C reaches only us, and we stop them in order) and dies with us by PDEATHSIG, so that even
a SIGKILL leaves no orphan. A child that ends by itself is started again with back-off, unless it was told to stop.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_LOG = structlog.get_logger("children")


class ChildFailed(Exception):
    """A child ended before it was ready. The message holds the end of its log."""


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:  # the parent was gone before prctl
            os._exit(1)


class Child:
    """One program, kept running. `ready_line` programs print one line on stdout when they are ready; `fed` ones load what
    they need and then wait for one line on stdin, so that they can be started before it is known."""

    def __init__(self, name: str, argv: Sequence[str], log: Path, *, ready_line: bool = False, fed: bool = False) -> None:
        self._name = name
        self._argv = tuple(argv)
        self._log = log
        self._ready_line = ready_line
        self._fed = fed
        self._food = b""
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.first_line = b""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def spawn(self) -> None:
        """Start the program without waiting for it. Must be called from the main thread (PDEATHSIG is per thread)."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.PIPE if self._fed else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._ready_line else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    async def feed(self, line: bytes, *, again: bytes) -> None:
        """Write the line that it waits for. A later start by `keep` gets `again` (without a token that is used up)."""
        self._food = again
        await self._write(line)

    async def ready(self, timeout_s: float = 30) -> bytes:
        """The ready line. Raises ChildFailed when the program ended or said nothing in time."""
        process = self._process
        if process is None or process.stdout is None:
            raise ChildFailed(f"{self._name} was not started")
        try:
            self.first_line = await asyncio.wait_for(process.stdout.readline(), timeout_s)
        except TimeoutError:
            raise ChildFailed(f"{self._name} was not ready within {timeout_s:.0f} s; its log is {self._log}") from None
        if not self.first_line:
            await process.wait()
            raise ChildFailed(f"{self._name} ended at its start with code {process.returncode}:\n{self._tail()}")
        return self.first_line

    def keep(self) -> None:
        """From now on, start it again when it ends by itself."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self._name}")

    async def stop(self, grace_s: float = 20) -> None:
        """SIGTERM, then SIGKILL after `grace_s`."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _keep(self) -> None:
        pause = 0.5
        while True:
            process = self._process
            if process is None:
                return
            if process.stdout is not None:
                while await process.stdout.readline():
                    pass
            code = await process.wait()
            _LOG.warning("child ended, starting it again", child=self._name, code=code, in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 15)
            await self.spawn()
            if self._fed:
                await self._write(self._food)

    async def _write(self, line: bytes) -> None:
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None:
            return
        with contextlib.suppress(ConnectionError):  # it has ended: `keep` sees to that
            pipe.write(line + b"\n")
            await pipe.drain()
            pipe.close()

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-8:])
        return ""
