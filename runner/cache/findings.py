"""Findings by watching: the rules over the cache some seconds after it changed; what opened and what is over goes out.

A run costs up to a second of CPU on a large cluster, so runs are at least ten seconds and twenty of their own durations
apart. No logs and metrics are read here: those belong to a question.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from knowledge.diagnosis import ClusterView, diagnose
from knowledge.diagnosis.catalogue import entry
from protocol.commands import Diagnose
from protocol.diagnosis import Finding
from protocol.redaction import redact
from protocol.text import clean
from runner.cache.live import LiveCache

log = structlog.get_logger("runner.findings")

APART_S = 10.0
_LOAD = 20.0

Publish = Callable[[Sequence[Finding], Sequence[str]], None]
"""(opened, keys of those that are over)."""


class FindingsWatch:
    """`run` until cancelled; `touch` says that the cache changed."""

    def __init__(self, cache: LiveCache, publish: Publish, now: Callable[[], datetime], apart_s: float = APART_S) -> None:
        self._cache = cache
        self._publish = publish
        self._now = now
        self._apart_s = apart_s
        self._changed = asyncio.Event()
        self._open: dict[str, Finding] = {}

    def touch(self) -> None:
        self._changed.set()

    def counts(self) -> dict[str, int]:
        """Severity to number of open findings."""
        return dict(Counter(finding.severity.value for finding in self._open.values()))

    async def run(self) -> None:
        while not await self._cache.wait_settled(60):
            log.info("findings_wait_for_the_cache")
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            started = time.monotonic()
            await self._look()
            await asyncio.sleep(max(self._apart_s, _LOAD * (time.monotonic() - started)))

    async def _look(self) -> None:
        if self._cache.state != "warm":
            return
        objects, limits = list(self._cache.objects()), self._cache.limits()
        found = await asyncio.to_thread(_findings, objects, limits, self._now())
        opened, closed = difference(self._open, found)
        self._open = found
        if opened or closed:
            self._publish(opened, closed)


def key_of(finding: Finding) -> str:
    return f"{finding.code}@{finding.object}"


def difference(before: dict[str, Finding], after: dict[str, Finding]) -> tuple[list[Finding], list[str]]:
    """What opened, and the keys of what is over. Evidence that merely moved on opens nothing again."""
    return [finding for key, finding in after.items() if key not in before], [key for key in before if key not in after]


def _findings(objects: Sequence[dict[str, object]], limits: Sequence[str], now: datetime) -> dict[str, Finding]:
    view = ClusterView(objects, now=now, limits=limits)
    found = diagnose(view, Diagnose())
    causes = [
        Finding(
            code=cause.code,
            object=cause.object,
            severity=entry(cause.code).severity,
            title=entry(cause.code).title,
            evidence=cause.evidence[:3],
        )
        for cause in found.root_causes
    ]
    return {key_of(finding): _safe(finding) for finding in (*causes, *found.symptoms)}


def _safe(finding: Finding) -> Finding:
    evidence = tuple(item.model_copy(update={"excerpt": redact(clean(item.excerpt)).text}) for item in finding.evidence)
    return finding.model_copy(update={"title": redact(clean(finding.title)).text, "evidence": evidence})
