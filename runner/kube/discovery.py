"""What the API server serves: for CRDs and short names that the built-in table does not know, and for older versions."""

import asyncio
from typing import Any
from urllib.parse import quote

from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.kube.resources import BUILT_IN, Resource

_FRESH_S = 600.0
_AFTER_MISS_S = 10.0


class Discovery:
    """The list of resources, read when first asked for and again after ten minutes, or ten seconds after a miss."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self._lock = asyncio.Lock()
        self._resources: tuple[Resource, ...] = ()
        self._read_at = float("-inf")
        self.incomplete: tuple[str, ...] = ()
        """Group versions whose aggregated server did not answer."""

    async def resources(self, *, at_most_s: float = _FRESH_S) -> tuple[Resource, ...]:
        """All resources in the server's order of preference. Raises KubeError when nothing can be read."""
        async with self._lock:
            now = asyncio.get_running_loop().time()
            if not self._resources or now - self._read_at > at_most_s:
                self._resources = await self._read()
                self._read_at = now
            return self._resources

    async def of_kind(self, kind: str) -> Resource | None:
        """The resource of a built-in kind in a version that is served; None when the server has none."""
        wanted = BUILT_IN.get(kind)
        served = [r for r in await self.resources() if r.kind == kind and (wanted is None or r.group == wanted.group)]
        if wanted is not None:
            for row in served:
                if row.version == wanted.version:
                    return row
        return served[0] if served else None

    async def find(self, name: str, group: str = "", version: str = "") -> Resource | None:
        """The resource that a person named: plural, singular, kind or short name in any case, with or without group."""
        found = _match(await self.resources(), name, group, version)
        if found is None:
            found = _match(await self.resources(at_most_s=_AFTER_MISS_S), name, group, version)
        return found

    async def _read(self) -> tuple[Resource, ...]:
        core = await self._client.get("/api/v1")
        groups = await self._client.get("/apis")
        versions = [(g["name"], v["version"]) for g in groups.get("groups", []) for v in _preferred_first(g)]
        answers = await asyncio.gather(*(self._group(g, v) for g, v in versions))
        self.incomplete = tuple(f"{g}/{v}" for (g, v), rows in zip(versions, answers, strict=True) if rows is None)
        rows = _rows(core, "", "v1")
        for answer in answers:
            rows.extend(answer or ())
        return tuple(rows)

    async def _group(self, group: str, version: str) -> list[Resource] | None:
        try:
            listed = await self._client.get(f"/apis/{quote(group, safe='')}/{quote(version, safe='')}", timeout=8)
        except KubeError:
            return None
        return _rows(listed, group, version)


def _preferred_first(group: dict[str, Any]) -> list[dict[str, Any]]:
    preferred = group.get("preferredVersion", {}).get("version")
    return sorted(group.get("versions", []), key=lambda v: v["version"] != preferred)


def _rows(listed: dict[str, Any], group: str, version: str) -> list[Resource]:
    return [
        Resource(
            group=row.get("group") or group,
            version=row.get("version") or version,
            plural=row["name"],
            kind=row["kind"],
            namespaced=bool(row.get("namespaced")),
            short_names=tuple(row.get("shortNames") or ()),
            verbs=tuple(row.get("verbs") or ()),
        )
        for row in listed.get("resources", [])
        if "/" not in row["name"]
    ]


def _match(rows: tuple[Resource, ...], name: str, group: str, version: str) -> Resource | None:
    wanted = name.lower()
    for row in rows:
        if group and row.group != group and not row.group.startswith(f"{group}."):
            continue
        if version and row.version != version:
            continue
        if wanted in (row.plural, row.kind.lower()) or wanted in row.short_names:
            return row
    return None
