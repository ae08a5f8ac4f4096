"""How programs behave is data: one Program an image repository, judged by pure functions.

A program says what it needs (memory, environment, upstream services) and what it writes; from that
and the cluster follow crash, OOM kill, readiness, log lines and traffic.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sandbox import quantity
from sandbox.clock import duration
from sandbox.objects import Obj, rows, sub, text, texts

MIB = 2.0**20


@dataclass(frozen=True)
class RequiredEnv:
    """A variable without which the program exits at once with `exit_code`, having written `log`."""

    name: str
    exit_code: int
    log: tuple[str, ...]


@dataclass(frozen=True)
class Upstream:
    """A service that the program calls. `ready` says what readiness asks of it.

    url: a fixed URL, or '' when it is read from `config_map`/`key` at each request.
    ready: "resolves" (its name must exist), "serves" (it must have a ready endpoint) or "" (nothing).
    """

    name: str
    url: str = ""
    config_map: str = ""
    key: str = ""
    ready: str = ""
    share: float = 0.1


@dataclass(frozen=True)
class TagFault:
    """An image tag whose program ends by itself: `after` seconds after its start, having written `log`."""

    tag: str
    exit_code: int
    after: float
    log: tuple[str, ...]


@dataclass(frozen=True)
class LogLine:
    """A line written every `every` seconds while `when` ("payments.unresolved") holds, or always."""

    every: float
    line: str
    when: str = ""


@dataclass(frozen=True)
class Program:
    image: str
    tags: tuple[str, ...] = ()
    memory_start: float = 24 * MIB
    memory_steady: float = 20 * MIB
    ramp: float = 2.0
    cpu: float = 0.005
    ready_after: float = 0.3
    run_for: float = 0.0
    requests: float = 0.0
    env: tuple[RequiredEnv, ...] = ()
    faults: tuple[TagFault, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    start_lines: tuple[str, ...] = ("starting", "listening on :8080")
    oom_lines: tuple[str, ...] = ()
    lines: tuple[LogLine, ...] = ()


@dataclass(frozen=True)
class Link:
    """What an upstream looks like now: ok, refused, unresolved, timeout or unconfigured."""

    state: str
    host: str
    url: str


@dataclass(frozen=True)
class Outcome:
    """What happens to a container that starts: it exits after `after` seconds, or runs (after = 0)."""

    after: float = 0.0
    exit_code: int = 0
    reason: str = ""
    lines: tuple[str, ...] = ()


Facts = dict[str, Link]
"""Upstream name to its state: all that a running program's readiness, log and traffic depend on."""


@dataclass(frozen=True)
class Place:
    """Where a program runs, as far as it matters for what it can reach."""

    namespace: str
    labels: dict[str, str]


class World(ABC):
    """What a program can see of the cluster and of the world outside; the kubelet gives the real one."""

    @abstractmethod
    def config(self, namespace: str, name: str, key: str) -> str | None: ...

    @abstractmethod
    def service(self, namespace: str, name: str) -> Obj | None: ...

    @abstractmethod
    def serving(self, namespace: str, name: str) -> bool: ...

    @abstractmethod
    def admitted(self, source: Place, namespace: str, service: Obj, port: int) -> bool:
        """Do NetworkPolicies let `source` through to that port of the Service?"""

    @abstractmethod
    def outside(self, host: str) -> str:
        """The state of a host outside the cluster: ok, refused, unresolved or timeout."""


def outcome(program: Program, container: Obj, env: dict[str, str]) -> Outcome:
    """What becomes of this container, given its effective environment and limits."""
    for needed in program.env:
        if not env.get(needed.name):
            return Outcome(0.8, needed.exit_code, "Error", needed.log)
    _, tag = split_image(text(container, "image"))
    for fault in program.faults:
        if fault.tag == tag:
            return Outcome(fault.after, fault.exit_code, "Error", fault.log)
    limit = quantity.value(sub(container, "resources", "limits").get("memory"), float("inf"))
    if limit < program.memory_start:
        low = _low(program)
        reached = max(limit - low, 0.0) / (program.memory_start - low)
        after = max(program.ramp * reached**2, 0.2)
        return Outcome(after, 137, "OOMKilled", program.oom_lines)
    if program.run_for:
        return Outcome(program.run_for, 0, "Completed", ())
    return Outcome()


def facts(program: Program, place: Place, world: World) -> Facts:
    return {upstream.name: _link(upstream, place, world) for upstream in program.upstreams}


def _link(upstream: Upstream, place: Place, world: World) -> Link:
    url = upstream.url or world.config(place.namespace, upstream.config_map, upstream.key) or ""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return Link("unconfigured", url, url)
    if not host:
        return Link("unconfigured", "", url)
    name, _, rest = host.partition(".")
    where, _, domain = rest.partition(".")
    if domain and domain not in ("svc", "svc.cluster.local"):
        return Link(world.outside(host), host, url)
    where = where or place.namespace
    service = world.service(where, name)
    if service is None:
        return Link("unresolved", host, url)
    if all(row.get("port") != port for row in rows(service, "spec", "ports")):
        return Link("timeout", host, url)
    if not world.serving(where, name):
        # the name of a headless Service stands for its pods: with none there is no address to be refused at
        return Link("unresolved" if text(service, "spec", "clusterIP") == "None" else "refused", host, url)
    return Link("ok" if world.admitted(place, where, service, port) else "timeout", host, url)


def unready_because(program: Program, now: Facts) -> str:
    """The upstream state that keeps the program from being ready, or ''."""
    for upstream in program.upstreams:
        state = now[upstream.name].state
        bad = {"resolves": ("unresolved", "unconfigured", "timeout")}.get(
            upstream.ready, ("unresolved", "unconfigured", "timeout", "refused")
        )
        if upstream.ready and state in bad:
            return f"{upstream.name}.{state}"
    return ""


def failing_share(program: Program, now: Facts) -> float:
    """The share of requests that fail because of upstreams."""
    lost = sum(u.share for u in program.upstreams if now[u.name].state != "ok")
    return min(lost, 1.0)


def memory_at(program: Program, since_start: float, limit: float) -> float:
    """Working set in bytes, `since_start` seconds after the container started.

    It rises with the square root of time to what the start needs, then sinks to what is kept.
    """
    low = _low(program)
    if since_start < program.ramp:
        now = low + (program.memory_start - low) * (since_start / program.ramp) ** 0.5
    elif since_start < program.ramp + 60:
        left = 1 - (since_start - program.ramp) / 60
        now = program.memory_steady + (program.memory_start - program.memory_steady) * left
    else:
        now = program.memory_steady
    return min(now, limit)


def _low(program: Program) -> float:
    return min(program.memory_start * 0.15, 40 * MIB)


def split_image(image: str) -> tuple[str, str]:
    """Repository and tag of an image reference."""
    repository, _, tag = image.rpartition(":")
    if not repository or "/" in tag:
        return image, "latest"
    return repository, tag


@dataclass
class Catalogue:
    """The programs by image repository; images that nobody described run a small quiet program."""

    programs: dict[str, Program] = field(default_factory=dict[str, Program])

    def find(self, image: str) -> Program:
        repository, _ = split_image(image)
        return self.programs.get(repository) or Program(repository)

    def exists(self, image: str) -> bool:
        """Can this image be pulled? Images unknown to the scenarios can, unless their tag says not."""
        repository, tag = split_image(image)
        known = self.programs.get(repository)
        if known is not None and known.tags:
            return tag in known.tags
        return "does-not-exist" not in image and "nonexistent" not in image


def parse(row: Obj) -> Program:
    """A Program from its YAML row; the keys are those of the scenario files."""
    memory = sub(row, "memory")
    start = quantity.value(memory.get("start"), 24 * MIB)
    logs = sub(row, "logs")
    base = Program(image=text(row, "image"))
    return Program(
        image=text(row, "image"),
        tags=tuple(texts(row, "tags")),
        memory_start=start,
        memory_steady=quantity.value(memory.get("steady"), start * 0.85),
        ramp=duration(str(memory.get("ramp", "2s"))),
        cpu=quantity.value(row.get("cpu"), base.cpu),
        ready_after=duration(str(row.get("ready_after", "1s"))),
        run_for=duration(str(row.get("run_for", "0s"))),
        requests=float(row.get("requests", 0)),
        env=tuple(RequiredEnv(text(e, "name"), int(e.get("exit", 1)), tuple(texts(e, "log"))) for e in rows(row, "env")),
        faults=tuple(_tag_fault(f) for f in rows(row, "faults")),
        upstreams=tuple(_upstream(u) for u in rows(row, "upstreams")),
        start_lines=tuple(texts(logs, "start")) if "start" in logs else base.start_lines,
        oom_lines=tuple(texts(logs, "oom")),
        lines=tuple(
            LogLine(duration(str(line.get("every", "10s"))), text(line, "line"), text(line, "when"))
            for line in rows(logs, "steady")
        ),
    )


def _tag_fault(row: Obj) -> TagFault:
    after = duration(str(row.get("after", "1s")))
    return TagFault(text(row, "tag"), int(row.get("exit", 1)), after, tuple(texts(row, "log")))


def _upstream(row: Obj) -> Upstream:
    return Upstream(
        name=text(row, "name"),
        url=text(row, "url"),
        config_map=text(row, "from", "configMap"),
        key=text(row, "from", "key"),
        ready=text(row, "ready"),
        share=float(row.get("share", 0.1)),
    )
