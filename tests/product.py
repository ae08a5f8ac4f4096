"""The product as a real process, for tests: started, waited for, killed, started again."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import psutil

from tests.integration.waiting import until

START_S = 60


@dataclass
class Process:
    """One `opsthread …` with its whole process tree."""

    args: Sequence[str]
    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    ready: dict[str, Any] = field(default_factory=dict[str, Any])
    process: asyncio.subprocess.Process | None = None
    tree: list[psutil.Process] = field(default_factory=list[psutil.Process])

    async def start(self) -> "Process":
        """Until the ready file is there. Fails with the process's output when it ends before."""
        ready_file = self.folder / "ready.json"
        ready_file.unlink(missing_ok=True)
        output = (self.folder / "output.log").open("ab")
        env = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "OPSTHREAD_"))}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot.cli",
            *self.args,
            "--ready-file",
            str(ready_file),
            cwd=Path(__file__).parent.parent,
            env={**env, **self.env},
            stdout=output,
            stderr=output,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        output.close()

        async def there() -> bool | None:
            if self.process is not None and self.process.returncode is not None:
                raise AssertionError(f"opsthread ended with {self.process.returncode}:\n{self.output()[-4000:]}")
            return True if ready_file.exists() else None

        await until(there, f"opsthread {' '.join(self.args)} ready", START_S)
        self.ready = cast(dict[str, Any], json.loads(ready_file.read_text()))
        self.tree = psutil.Process(self.process.pid).children(recursive=True)
        return self

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def token(self, who: str) -> str:
        return str(cast(dict[str, str], self.ready["tokens"])[who])

    def output(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "output.log").read_text(errors="replace")
        return ""

    def child(self, word: str) -> psutil.Process:
        """The first process of the tree whose command line holds `word`."""
        for process in self.tree:
            with contextlib.suppress(psutil.Error):
                if any(word in part for part in process.cmdline()):
                    return process
        raise AssertionError(f"no child with {word!r} among {self.tree}")

    async def kill(self) -> None:
        """SIGKILL the main process; its children must die by themselves."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGINT, as Ctrl-C; gives the exit code."""
        return await self._end(signal.SIGINT)

    async def _end(self, number: signal.Signals) -> int:
        if self.process is None:
            return 0
        with contextlib.suppress(psutil.Error):
            self.tree = psutil.Process(self.process.pid).children(recursive=True) or self.tree
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), 30)
        self.process = None
        return code

    async def no_orphans(self) -> None:
        """All processes of the tree are gone."""

        async def gone() -> bool | None:
            return True if not self.alive() else None

        await until(gone, f"children of opsthread gone, still there: {self.alive()}", 25)

    def alive(self) -> list[psutil.Process]:
        return [p for p in self.tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


class Api:
    """A person's REST client."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"}, timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> "Api":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, body: object | None = None) -> tuple[int, Any]:
        async with self._session.request(method, f"{self._url}{path}", json=body) as answer:
            if "json" not in answer.content_type:
                return answer.status, await answer.text()
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> Any:
        status, body = await self.call("GET", path)
        assert status == 200, (path, status, body)
        return body

    async def log(self, conversation: str) -> list[dict[str, Any]]:
        return cast(list[dict[str, Any]], (await self.get(f"/api/v1/conversations/{conversation}/log?limit=1000"))["entries"])

    async def event(self, conversation: str, kind: str, timeout_s: float = 60) -> dict[str, Any]:
        """The first entry of the log with an event of that kind, once it is there."""

        async def there() -> dict[str, Any] | None:
            return next((entry for entry in await self.log(conversation) if entry["event"]["type"] == kind), None)

        return await until(there, f"{kind} in the log", timeout_s)

    async def approve(self, card: dict[str, Any]) -> tuple[int, Any]:
        body = {"verdict": "approve", "plan_hash": card["plan_hash"]}
        return await self.call("POST", f"/api/v1/approvals/{card['id']}/decide", body)

    async def ended(self, approval: str, timeout_s: float = 110) -> dict[str, Any]:
        """The approval, once it is over."""

        async def over() -> dict[str, Any] | None:
            view = cast(dict[str, Any], await self.get(f"/api/v1/approvals/{approval}"))
            return view if view["state"] not in ("pending", "approved", "running") else None

        return await until(over, f"the end of approval {approval}", timeout_s)
