"""What every read needs: the client, the asker's scope, the clock; and the rules about namespaces that all reads share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast

from knowledge.diagnosis.fields import rows, sub
from protocol.commands import CommandStatus, ScopeLimit
from protocol.kubectl.calls import ResourceType
from runner.commands.answer import Refusal
from runner.kube.client import JSON, KubeClient, Params
from runner.kube.discovery import Discovery
from runner.kube.errors import KubeError
from runner.kube.resources import Resource

PAGE = 500
_STABLE_GROUPS = frozenset({"", "apps"})
"""Groups whose v1 every server of the last years serves: no discovery needed."""

Obj = dict[str, Any]
T = TypeVar("T")


@dataclass(slots=True)
class Ask:
    """One command's view of the cluster. Nothing outside `scope` leaves it, whatever the API server returns."""

    client: KubeClient
    discovery: Discovery
    scope: ScopeLimit
    now: Callable[[], datetime]
    max_bytes: int
    report: Callable[[str], None]
    judge_type: Callable[[Resource], str | None] = lambda _: None
    """The policy's word on a type that only discovery could tell; the reason when it is refused."""
    stopped: Callable[[], bool] = lambda: False
    """Was it given up meanwhile? What has many steps asks before each."""
    seen_namespace: Callable[[str], Mapping[str, Any] | None] = lambda _: None
    """A namespace as the live cache last saw it."""

    async def resource(self, wanted: ResourceType) -> Resource:
        """Raises Refusal when the server has no such resource type, as kubectl says it."""
        if wanted.known and wanted.group in _STABLE_GROUPS:
            return Resource(wanted.group, wanted.version or "v1", wanted.plural, wanted.kind, wanted.namespaced)
        found = await self.discovery.find(wanted.plural, wanted.group, wanted.version)
        if found is None and wanted.version:
            found = await self.discovery.find(wanted.plural, wanted.group)
        if found is None:
            name = f"{wanted.plural}.{wanted.group}" if wanted.group and not wanted.known else wanted.plural
            message = f'error: the server doesn\'t have a resource type "{name}". `kubectl api-resources` lists what it has.'
            raise Refusal(CommandStatus.NOT_FOUND, message)
        if not wanted.known and (reason := self.judge_type(found)):
            raise Refusal(CommandStatus.DENIED, f"Refused by policy: {reason}")
        return found

    def namespaces(self, resource: Resource, namespace: str | None, *, all_namespaces: bool) -> tuple[str, ...]:
        """Where to look: ("",) for cluster-wide. Raises Refusal when that is outside the asker's scope."""
        allowed = self.scope.namespaces
        if not resource.namespaced:
            if allowed is not None and resource.kind != "Namespace":
                raise self._outside(f"{resource.plural} belong to the whole cluster")
            return ("",)
        if all_namespaces:
            return ("",) if allowed is None else allowed
        wanted = namespace or self.client.access.namespace
        if not self.scope.allows(wanted):
            raise self._outside(f"namespace {wanted} is not among them")
        return (wanted,)

    def visible(self, resource: Resource, metadata: Mapping[str, Any]) -> bool:
        """The scope's last word on one object that came back."""
        allowed = self.scope.namespaces
        if allowed is None:
            return True
        key = "name" if resource.kind == "Namespace" and not resource.namespaced else "namespace"
        return metadata.get(key) in allowed

    async def object(self, resource: Resource, namespace: str, name: str) -> Obj:
        found = await self.client.get(resource.path(namespace, name))
        if not self.visible(resource, sub(found, "metadata")):
            raise self._outside(f"{resource.plural} {name} is outside of it")
        return found

    async def pages(self, resource: Resource, namespace: str, params: Params, *, accept: str = JSON) -> AsyncIterator[Obj]:
        """The pages of a list, 500 at a time; an expired continue token ends it as KubeError 410."""
        query: dict[str, str | int | bool] = {**params, "limit": PAGE}
        while True:
            page = await self.client.get(resource.path(namespace), query, accept=accept, timeout=30)
            yield page
            token = sub(page, "metadata").get("continue")
            if not token:
                return
            query["continue"] = str(token)

    async def objects(
        self, kind: Resource | str, namespaces: Sequence[str], *, labels: str = "", fields: str = "", at_most: int = 20_000
    ) -> list[Obj]:
        """All visible objects of a kind in `namespaces`. [] for a kind that the server does not serve."""
        resource = await self.discovery.of_kind(kind) if isinstance(kind, str) else kind
        if resource is None:
            return []
        params = {key: value for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value}
        found: list[Obj] = []
        for namespace in namespaces:
            async for page in self.pages(resource, namespace, params):
                items = cast(list[Obj], rows(page, "items"))
                found.extend(item for item in items if self.visible(resource, sub(item, "metadata")))
                if len(found) >= at_most:
                    return found[:at_most]
        return found

    async def objects_or_none(
        self, kind: Resource | str, namespaces: Sequence[str], *, labels: str = "", fields: str = ""
    ) -> list[Obj] | None:
        """As `objects`, but None when this part may not or cannot be read: for side information."""
        try:
            return await self.objects(kind, namespaces, labels=labels, fields=fields)
        except KubeError:
            return None

    def _outside(self, what: str) -> Refusal:
        names = ", ".join(self.scope.namespaces or ()) or "none"
        return Refusal(CommandStatus.DENIED, f"Outside of what you may see here (namespaces: {names}): {what}.")


async def gather_bounded(jobs: Sequence[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Results in order; at most `at_once` run at a time."""
    slots = asyncio.Semaphore(at_once)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await job()

    return list(await asyncio.gather(*(one(job) for job in jobs)))
