"""The practice cluster's admin endpoints, for tests: hostile logs, faults, absence of metrics."""

import ssl
from pathlib import Path
from typing import Any, cast

import aiohttp
import yaml


class PracticeAdmin:
    """Of a running practice cluster, by its ready line."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self._url = str(ready["url"])
        self._tls = ssl.create_default_context(cafile=str(ready["certificate_authority"]))
        config = cast(dict[str, Any], yaml.safe_load(Path(str(ready["kubeconfigs"]["admin"])).read_text()))
        self._token = str(config["users"][0]["user"]["token"])

    async def post(self, what: str, body: dict[str, Any]) -> Any:
        return await self._call("POST", f"/_sandbox/{what}", body)

    async def post_to(self, path: str, body: dict[str, Any]) -> Any:
        """To the Kubernetes API itself."""
        return await self._call("POST", path, body)

    async def delete(self, what: str) -> Any:
        return await self._call("DELETE", f"/_sandbox/{what}", None)

    async def get(self, path: str) -> Any:
        return await self._call("GET", path, None)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=20)) as session,
            session.request(method, f"{self._url}{path}", json=body, ssl=self._tls) as answer,
        ):
            assert answer.status < 300, (path, answer.status, await answer.text())
            return await answer.json()
