"""Who has charts drawn: one worker process, started when needed and ended when idle; what was drawn is kept for a while."""

import asyncio
import contextlib
import hashlib
import os
import struct
import sys
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

import structlog

from bot.charts.look import Order
from control_plane.errors import ServiceError, Unavailable

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct(">I")
_MOST_PICTURE = 8 * 1024 * 1024
_KEPT = 64


class ChartFailed(ServiceError):
    code = "chart_failed"


class Drawer:
    """`draw` is safe to call at once by many; at most `waiting` of them wait, and none longer than `within_s` for its own."""

    def __init__(self, cache_dir: Path, *, within_s: float = 20, waiting: int = 16, idle_s: float = 300) -> None:
        self._cache_dir = cache_dir
        self.within_s = within_s
        self._most_waiting = waiting
        self._idle_s = idle_s
        self._process: asyncio.subprocess.Process | None = None
        self._one = asyncio.Lock()
        self._waiting = 0
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._idle: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the worker, while there is one."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def draw(self, order: Order) -> bytes:
        """Raises Unavailable when too many wait or it takes too long, ChartFailed when it can't be drawn."""
        frame = order.model_dump_json().encode()
        key = hashlib.sha256(frame).digest()
        if (known := self._known(key)) is not None:
            return known
        if self._waiting >= self._most_waiting:
            raise Unavailable("Too many charts are being drawn; try again in a moment.")
        self._waiting += 1
        try:
            async with self._one:
                picture = self._known(key) or await self._drawn(frame)
        finally:
            self._waiting -= 1
        self._kept[key] = picture
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture

    async def close(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.gather(self._idle, return_exceptions=True)
        await self._end()  # also under a picture that is being drawn: nobody waits for it any more
        async with self._one:
            await self._end()

    def _known(self, key: bytes) -> bytes | None:
        picture = self._kept.get(key)
        if picture is not None:
            self._kept.move_to_end(key)
        return picture

    async def _drawn(self, frame: bytes) -> bytes:
        """With the worker as it is; a worker that fails or hangs is ended, and the next order starts a new one."""
        try:
            async with asyncio.timeout(self.within_s):
                answer = await self._exchange(frame)
        except TimeoutError:
            await self._end()
            raise Unavailable("Drawing the chart took too long; its values are in the table.") from None
        except (OSError, EOFError, ValueError) as error:
            await self._end()
            log.warning("charts.worker_ended", error=str(error))
            raise ChartFailed("The chart could not be drawn; its values are in the table.") from None
        except asyncio.CancelledError:
            await self._end()
            raise
        self._rest_later()
        if answer[:1] != b"+":
            log.warning("charts.refused", error=answer[1:].decode("utf-8", "replace"))
            raise ChartFailed("The chart could not be drawn; its values are in the table.")
        return answer[1:]

    async def _exchange(self, frame: bytes) -> bytes:
        process = await self._worker()
        if process.stdin is None or process.stdout is None:
            raise EOFError("the worker has no pipes")
        process.stdin.write(_LENGTH.pack(len(frame)) + frame)
        await process.stdin.drain()
        (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
        if length > _MOST_PICTURE:
            raise ValueError(f"a picture of {length} bytes")
        return await process.stdout.readexactly(length)

    async def _worker(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        errors = await asyncio.to_thread(self._log)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # whoever can write to the folder that serve was started in must not bring modules of his own
            "-m",
            "bot.charts.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            env=_environment(self._cache_dir),
        )
        errors.close()
        return self._process

    def _log(self) -> BinaryIO:
        """What the worker complains of, of its last start only."""
        self._cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return (self._cache_dir / "worker.log").open("wb")

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

    def _rest_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.create_task(self._rest(), name="charts idle")

    async def _rest(self) -> None:
        await asyncio.sleep(self._idle_s)
        async with self._one:
            await self._end()


def _environment(cache_dir: Path) -> dict[str, str]:
    """None of our settings, and so none of our secrets. The cache keeps the list of fonts, which takes seconds to make."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT", "TMPDIR") if name in os.environ}
    ours = str(Path(__file__).parents[2])
    kept["PYTHONPATH"] = os.pathsep.join(path for path in (ours, os.environ.get("PYTHONPATH")) if path)
    return kept | {"MPLCONFIGDIR": str(cache_dir), "MPLBACKEND": "agg", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
