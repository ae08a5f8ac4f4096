"""What the logs say: variables, dependencies, upstream errors, permissions. Each hit quotes its line.

In a healthy pod only a fresh and repeated line counts; in a pod in trouble one line is enough.
"""

from collections.abc import Iterator
from datetime import timedelta

from knowledge.diagnosis.addresses import Address, service_of
from knowledge.diagnosis.catalogue import Channel, entry
from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.fields import Obj, rows, text
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_change, quote_field, quote_log
from knowledge.diagnosis.logs import Match
from knowledge.diagnosis.pods import Container, ready_since
from knowledge.diagnosis.rules.configuration import can_tell
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

FRESH = timedelta(minutes=3)
NEAR_END = 5
REPEATED = 3
JUST_READY = timedelta(minutes=10)

_SPOKEN_ELSEWHERE = (
    "env-variable-missing",
    "dependency-unreachable",
    "upstream-errors",
    "crash-on-start",
    "memory-limit-too-low",
)


@rule("Pod")
def env_variable_missing(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """The log names a variable that is not set, and the template indeed does not set it."""
    for container in context.containers(key):
        for match, _ in context.matches(key, container.name):
            name = match.subject
            if match.signature.code != "env-variable-missing" or not name or not _ends_or_waits(context, container):
                continue
            if name.upper() != name or _sets(container.spec, name):
                continue
            yield _env_hit(context, key, container, match, name)
            break


def _ends_or_waits(context: Context, container: Container) -> bool:
    return not container.ready or container.ended_recently(context.now)


def _sets(spec: Obj, name: str) -> bool:
    return any(text(row, "name") == name for row in rows(spec, "env"))


def _env_hit(context: Context, key: Key, container: Container, match: Match, name: str) -> Hit:
    workload = context.view.workload(key)
    evidence: list[Quote] = [quote_log(key, container.name, match.line, match.at)]
    names = [text(row, "name") for row in rows(container.spec, "env")]
    evidence.append(
        quote_field(workload, path_of_template(workload, container.name, "env[*].name", init=container.init), names)
    )
    facts: dict[str, Fact] = {"container": container.name, "env": name}
    said = ""
    before = next(
        (row for row in rows(context.container_before(workload, container.name), "env") if text(row, "name") == name), None
    )
    revision = context.revision_before(workload)
    if before is not None and revision is not None:
        facts["revision"] = revision[0]
        said = f" Revision {revision[0]} set it"
        if text(before, "value"):
            facts["previous"] = text(before, "value")
            said += f" to {text(before, 'value')}"
        said += "."
        evidence += [quote_change(change, workload) for change in context.changes(workload) if f".env[{name}]" in change.path][
            :1
        ]
    return Hit(
        code="env-variable-missing",
        object=workload,
        explanation=f"Container {container.name} ends because the environment variable {name} is not set.{said}",
        evidence=tuple(evidence),
        confidence=0.95 if said else 0.88,
        facts=facts,
        since=match.at,
        affected=(key,),
    )


@rule("Pod", logged=True)
def dependency_unreachable(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """The log says that an address refuses, times out or does not resolve."""
    told: set[str] = set()
    for container in context.containers(key):
        for match, previous in context.matches(key, container.name):
            if match.signature.code != "dependency-unreachable" or not counts(context, container, match, previous):
                continue
            hit = dependency_hit(context, key, container, match)
            if hit is not None and str(hit.facts["host"]) not in told:
                told.add(str(hit.facts["host"]))
                yield hit


def counts(context: Context, container: Container, match: Match, previous: bool) -> bool:
    """Is the line about now? A pod in trouble counts at once; a healthy one only when the line is fresh and repeated."""
    if container.init and (container.ready or container.running_since is not None):
        return False  # done, or spoken for by the rule on init containers that wait
    if not container.ready or (previous and container.ended_recently(context.now)):
        return match.at is None or context.now - match.at <= timedelta(hours=1)
    if previous or match.count < REPEATED:
        return False
    since = ready_since(context.view.get(container.pod) or {})
    if match.at is not None:
        return context.now - match.at <= FRESH and (since is None or match.at >= since)
    # Without times only the place tells: the very end, of a pod that did not just recover from what it complains of.
    return match.last_index <= NEAR_END and (since is None or context.now - since > JUST_READY)


def dependency_hit(context: Context, key: Key, container: Container, match: Match) -> Hit | None:
    """What a line about an unreachable address says, with the object that it means where one is known."""
    workload = context.view.workload(key)
    for address in match.addresses:
        target = service_of(context.view, address.host, key.namespace) or _object_of_ip(context, address)
        if target is None and _is_local(address.host):
            continue
        yield_to = (target,) if target else ()
        facts: dict[str, Fact] = {"container": container.name, "host": address.host}
        if address.port:
            facts["port"] = address.port
        if target:
            facts["dependency"] = str(target)
        exists = target is None or context.view.has(*target) or not can_tell(context.view, target, key.namespace)
        what = f"{target.kind} {target.name}" if target else address.host
        return Hit(
            code="dependency-unreachable",
            object=workload,
            explanation=f"Container {container.name} cannot reach {what} ({match.signature.name.replace('-', ' ')})."
            + ("" if exists or target is None else f" There is no {target.kind} of that name in namespace {target.namespace}."),
            evidence=(quote_log(key, container.name, match.line, match.at),),
            confidence=0.7,
            facts=facts,
            since=match.at,
            affected=(key,),
            towards=yield_to,
        )
    return None


def _is_local(host: str) -> bool:
    return host in ("localhost", "127.0.0.1", "0.0.0.0") or not any(char.isalpha() for char in host)


def _object_of_ip(context: Context, address: Address) -> Key | None:
    if any(char.isalpha() for char in address.host):
        return None
    return context.object_of_ip(address.host)


@rule("Pod", logged=True)
def upstream_errors(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """5xx answers in the log, with the called service where the line names it."""
    for container in context.containers(key):
        if container.init:
            continue
        for match, previous in context.matches(key, container.name):
            if match.signature.code != "upstream-errors" or previous or not counts(context, container, match, previous):
                continue
            workload = context.view.workload(key)
            towards = _named_services(context, workload, match)
            yield Hit(
                code="upstream-errors",
                object=workload,
                explanation=f"{workload.kind} {workload.name} logs errors from what it calls"
                + (f" ({', '.join(service.name for service in towards)})" if towards else "")
                + f": {match.count} lines.",
                evidence=(quote_log(key, container.name, match.line, match.at),),
                confidence=0.6,
                facts={"container": container.name, "lines": match.count, "status": match.subject},
                since=match.at,
                affected=(key,),
                towards=towards,
            )
            break


def _named_services(context: Context, workload: Key, match: Match) -> tuple[Key, ...]:
    found = [service_of(context.view, address.host, workload.namespace) for address in match.addresses]
    named = [service for service in found if service is not None and context.view.has(*service)]
    if named:
        return tuple(dict.fromkeys(named))
    low = match.line.lower()
    called = [edge.to for edge in context.graph.edges(workload) if edge.channel is Channel.CALLS]
    return tuple(service for service in called if service.name in low)


@rule("Pod")
def said_in_log(context: Context, key: Key, _pod: Obj) -> Iterator[Hit]:
    """Other signatures of a container in trouble: permission, certificate, disk full, port in use, authentication."""
    for container in context.containers(key):
        if not _ends_or_waits(context, container):
            continue
        told: set[str] = set()
        for match, _ in context.matches(key, container.name):
            code = match.signature.code
            if code in _SPOKEN_ELSEWHERE or code in told or (match.at and context.now - match.at > timedelta(hours=1)):
                continue
            told.add(code)
            workload = context.view.workload(key)
            yield Hit(
                code=code,
                object=workload,
                explanation=f"Container {container.name} says so in its log: {entry(code).meaning}",
                evidence=(quote_log(key, container.name, match.line, match.at),),
                confidence=0.72,
                facts={"container": container.name, "subject": match.subject, "signature": match.signature.name},
                since=match.at,
                affected=(key,),
            )
