"""The practice cluster as our child. Light to import, so that it is started before everything heavy is."""

import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from bot.cli.children import Child


class Practice:
    """Its kubeconfigs lie in a folder of this process's own: a second demo on the same data directory must not write
    over them."""

    def __init__(self, data_dir: Path, *more: str) -> None:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-", dir=data_dir))
        self._child = Child(
            "the practice cluster",
            (sys.executable, "-m", "sandbox", "--port", "0", "--kubeconfig-dir", str(self._folder), *more),
            data_dir / "logs" / "sandbox.log",
            ready_line=True,
        )

    async def spawn(self) -> None:
        await self._child.spawn()

    async def ready(self) -> dict[str, Any]:
        """Its ready line: url, prometheus_url, kubeconfigs. Raises ChildFailed."""
        return cast(dict[str, Any], json.loads(await self._child.ready()))

    async def stop(self) -> None:
        await self._child.stop(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed process left. Only the holder of the data directory's lock may call this."""
        for folder in self._folder.parent.glob("sandbox-*"):
            if folder != self._folder:
                with contextlib.suppress(OSError):
                    shutil.rmtree(folder)
