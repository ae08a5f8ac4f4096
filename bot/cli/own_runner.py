"""A runner as our child. It is started before everything heavy and told who it is when that is known."""

import json
import sys
from pathlib import Path
from typing import Any

from bot.cli.children import Child


class OwnRunner:
    """Loads its modules while we load ours; `configure` gives it its settings over stdin, so no token is in an environment."""

    def __init__(self, data_dir: Path) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        argv = (sys.executable, "-m", "runner", "--settings-from-stdin")
        self._child = Child("the runner", argv, data_dir / "logs" / "runner.log", fed=True)

    async def spawn(self) -> None:
        await self._child.spawn()

    async def configure(self, settings: dict[str, Any], *, enrol_token: str | None) -> None:
        """Fields of runner.config.RunnerConfig. The token is single-use: a restart goes without it."""
        once = {**settings, "enrol_token": enrol_token} if enrol_token else settings
        await self._child.feed(json.dumps(once).encode(), again=json.dumps(settings).encode())
        self._child.keep()

    async def stop(self) -> None:
        await self._child.stop(20)
