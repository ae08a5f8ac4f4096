"""The runner's metrics server: the configured one, or one that was found in the cluster. Says which, and what it lacks."""

import asyncio
import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, cast

import aiohttp

from knowledge.diagnosis.fields import text
from protocol.commands import CommandStatus
from protocol.promql import NotConfined, with_matchers
from protocol.text import one_line
from runner.commands.answer import Refusal
from runner.kube.client import KubeClient
from runner.metrics.dialect import DIALECTS, MEMORY, NEEDED, Dialect, missing
from runner.metrics.found import BASES, Candidate, Found, candidates
from runner.metrics.proof import Proof
from runner.metrics.reading import NoApi, Reading, read
from runner.metrics.roads import Road, Straight, ThroughApiServer
from runner.metrics.settings import MetricsSettings

NOT_CONFIGURED = (
    "No Prometheus is configured for this cluster, so there are no metrics over time. "
    "Set OPSTHREAD_RUNNER_PROMETHEUS_URL for the runner; `kubectl top` may show the present usage."
)
_PROBE_S = 5.0
_MOST_PROBED = 6
_LEARN_EVERY = 10
"""Looks: what exporters there are does not change each minute."""
How = Literal["configured", "found", "off"]


@dataclass(frozen=True, slots=True)
class MetricsStatus:
    """What /health, heartbeats and `doctor` say of the metrics."""

    how: How
    server: str = ""
    """Its address, without secrets."""
    flavour: str = ""
    answers: bool = False
    error: str = ""
    limits: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Services that look like one too and are not used."""

    @property
    def told(self) -> str:
        """One line for people."""
        if self.how == "off":
            return "none configured, none found" + (f"; not used: {', '.join(self.others)}" if self.others else "")
        state = (self.flavour or "answers") if self.answers else f"does not answer: {self.error}"
        return f"{self.server} ({self.how}): {state}"


@dataclass(slots=True)
class _Answering:
    road: Road
    flavour: str
    dialect: Dialect = field(default_factory=Dialect)
    limits: tuple[str, ...] = ()
    looks: int = 0


class Prometheus:
    """`look` finds the server and what it lacks; queries before that look for themselves, for the configured URL only."""

    def __init__(self, settings: MetricsSettings, client: KubeClient | None = None) -> None:
        self._settings = settings
        self._client = client
        self._proof = Proof(settings)
        self._session: aiohttp.ClientSession | None = None
        self._using: _Answering | None = None
        self._finding = asyncio.Lock()
        self.status = MetricsStatus("configured" if settings.prometheus_url else "off", settings.prometheus_url or "")

    @property
    def configured(self) -> bool:
        """Is there a server to ask?"""
        return self._settings.prometheus_url is not None or self._using is not None

    async def __aenter__(self) -> "Prometheus":
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=8))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def matrix(self, expr: str, start: datetime, end: datetime, step_s: int, timeout_s: float = 20) -> Reading:
        """A range query. Raises Refusal."""
        form = {"query": self._of_this_cluster(expr), "start": _unix(start), "end": _unix(end), "step": str(step_s)}
        return await self._ask("query_range", form, timeout_s)

    async def vector(self, expr: str, at: datetime, timeout_s: float = 20) -> Reading:
        """An instant query. Raises Refusal."""
        return await self._ask("query", {"query": self._of_this_cluster(expr), "time": _unix(at)}, timeout_s)

    async def container_series(
        self, expr: str, start: datetime, end: datetime, step_s: int, timeout_s: float
    ) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        """A range query of ours over namespace, pod and container, whatever this server calls them; and what it left out."""
        dialect = self._using.dialect if self._using is not None else Dialect()
        answer = await self.matrix(dialect.query(expr), start, end, step_s, timeout_s)
        return [dialect.row(row) for row in answer.rows()], answer.limits

    @property
    def container_limits(self) -> tuple[str, ...]:
        """Why there may be no series of containers."""
        about = missing({MEMORY: False})
        return tuple(limit for limit in self.status.limits if limit in about)

    async def look(self, services: Iterable[Mapping[str, Any]]) -> MetricsStatus:
        """Find the server anew where there is none that answers, and see what it has. Never raises for what it finds."""
        found = Found()
        if self._settings.prometheus_url is None and self._settings.prometheus_discover:
            found = candidates(services, self._settings.prometheus_namespaces)
        self.status = await self._looked(found)
        return self.status

    async def _looked(self, found: Found) -> MetricsStatus:
        async with self._finding:
            error = ""
            if self._using is None or not await self._still_answers(self._using):
                self._using = None
                try:
                    self._using = await self._configured() or await self._first_of(found.usable)
                except Refusal as refusal:
                    error = refusal.message
        others = (*(one.shown for one in found.usable), *found.elsewhere)
        if self._using is None:
            how: How = "configured" if self._settings.prometheus_url else "off"
            return MetricsStatus(how, self._settings.prometheus_url or "", error=error, others=others)
        using = self._using
        if using.looks % _LEARN_EVERY == 0:
            using.limits = await self._learn(using)
        using.looks += 1
        return MetricsStatus(
            "configured" if self._settings.prometheus_url else "found",
            using.road.name,
            using.flavour,
            answers=True,
            limits=using.limits,
            others=tuple(one for one in others if not using.road.name.startswith(one)),
        )

    async def _still_answers(self, using: _Answering) -> bool:
        with contextlib.suppress(Refusal):
            await _probe(using.road)
            return True
        return False

    async def _configured(self, timeout_s: float = _PROBE_S) -> _Answering | None:
        """The configured URL, under the first base path that speaks the API. Raises the Refusal of the URL as it was given."""
        base = self._settings.prometheus_url
        if base is None or self._session is None:
            return None
        given = Straight(self._session, base, self._proof)
        first: Refusal | None = None
        for path in BASES:
            if path and base.endswith(path):
                continue
            try:
                return _Answering(given.at(path), await _probe(given.at(path), timeout_s))
            except NoApi as refusal:
                first = first or refusal
        raise first or Refusal(CommandStatus.UNAVAILABLE, NOT_CONFIGURED)

    async def _first_of(self, found: Sequence[Candidate]) -> _Answering | None:
        last: Refusal | None = None
        for candidate in found[:_MOST_PROBED]:
            road = self._road_to(candidate)
            try:
                return _Answering(road, await _probe(road))
            except Refusal as refusal:
                last = refusal
        if last is not None:
            raise last
        return None

    def _road_to(self, candidate: Candidate) -> Road:
        """Inside of a cluster straight to the Service; from outside through the API server. Never with our credentials."""
        inside = bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
        if self._client is not None and not inside:
            return ThroughApiServer(
                self._client, candidate.namespace, candidate.service, candidate.scheme, candidate.port, candidate.base
            )
        if self._session is None:
            raise RuntimeError("Prometheus is used outside its `async with`")
        tenant = MetricsSettings.model_construct(prometheus_tenant=self._settings.prometheus_tenant)
        return Straight(self._session, candidate.url, Proof(tenant), name=candidate.shown)

    async def _learn(self, using: _Answering) -> tuple[str, ...]:
        """Labels and exporters, in a few counts. What can't be asked now is not said to be missing."""
        for dialect in DIALECTS:
            if await self._has(using.road, dialect.probe()):
                using.dialect = dialect
                break
        present = {name: await self._has(using.road, f"count({name})") for name in NEEDED}
        said = list(missing({name: there for name, there in present.items() if there is not None}))
        if not using.dialect.usual:
            said.append(f"container series carry {using.dialect.pod} and {using.dialect.namespace} here, not pod and namespace")
        return tuple(said)

    async def _has(self, road: Road, expr: str) -> bool | None:
        with contextlib.suppress(Refusal):
            form = {"query": self._of_this_cluster(expr)}
            return bool(read(*await road.ask("/api/v1/query", form, _PROBE_S)).rows())
        return None

    async def _found(self, timeout_s: float) -> _Answering:
        """The configured server, within this question's own time; another question may be finding it already."""
        try:
            async with asyncio.timeout(timeout_s), self._finding:
                self._using = self._using or await self._configured(min(timeout_s, _PROBE_S))
        except TimeoutError:
            message = f"Prometheus did not answer within {timeout_s:.0f} s: ask for a shorter range or fewer series."
            raise Refusal(CommandStatus.TIMEOUT, message) from None
        if self._using is None:
            raise Refusal(CommandStatus.UNAVAILABLE, NOT_CONFIGURED)
        return self._using

    def _of_this_cluster(self, expr: str) -> str:
        """Raises Refusal for an expression that the cluster's labels can't be put into."""
        labels = self._settings.prometheus_labels
        if not labels:
            return expr
        try:
            return with_matchers(expr, ",".join(f'{name}="{value}"' for name, value in labels.items()))
        except NotConfined as error:
            message = f"{error}; on this metrics server each query is limited to {labels}, so it must be plain PromQL."
            raise Refusal(CommandStatus.INVALID, message) from None

    async def _ask(self, what: str, form: dict[str, str], timeout_s: float) -> Reading:
        if not self.configured:
            raise Refusal(CommandStatus.UNAVAILABLE, NOT_CONFIGURED)
        using = self._using or await self._found(timeout_s)
        try:
            return read(*await using.road.ask(f"/api/v1/{what}", form, timeout_s))
        except NoApi:
            self._using = None  # it has moved: the next question looks for it anew
            raise
        except Refusal as refusal:
            if refusal.status is CommandStatus.UNAVAILABLE:
                self.status = replace(self.status, answers=False, error=one_line(refusal.message, 200))
            raise


async def _probe(road: Road, timeout_s: float = _PROBE_S) -> str:
    """What kind of server speaks the API at `road`. Raises Refusal when none does, or what answers can't count to one."""
    if not read(*await road.ask("/api/v1/query", {"query": "1"}, timeout_s)).rows():
        raise NoApi(CommandStatus.UNAVAILABLE, "What answers at the metrics URL is no Prometheus API: it gives 1 no value.")
    with contextlib.suppress(Refusal):
        return _flavour(read(*await road.ask("/api/v1/status/buildinfo", {}, _PROBE_S)).data)
    return ""


def _flavour(build: Any) -> str:
    """Which of them it is. VictoriaMetrics tells at most a version, Thanos' versions begin with 0."""
    told: Mapping[str, Any] = cast(Mapping[str, Any], build) if isinstance(build, Mapping) else {}
    version = one_line(text(told, "version"), 40)
    if not told or set(told) == {"version"}:
        return "VictoriaMetrics"
    if told.get("application"):
        return one_line(f"{told['application']} {version}", 60)
    return f"{'Thanos' if version.startswith('0.') else 'Prometheus'} {version}".strip()


def _unix(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"
