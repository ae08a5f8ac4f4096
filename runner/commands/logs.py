"""`kubectl logs`: of a pod, of a workload's pods, or of those that a selector picks. At most a few MiB, newest lines win."""

from dataclasses import dataclass

from knowledge.diagnosis.fields import sub
from protocol.commands import CommandStatus
from protocol.kubectl.calls import LogsCall
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask, Obj, gather_bounded
from runner.commands.pods import container_names, newest_first, pods_of
from runner.kube.errors import KubeError
from runner.kube.resources import POD

DEFAULT_TAIL = 200
MAX_TAIL = 50_000
MAX_SOURCES = 20
MAX_LINE = 16_000
_AT_ONCE = 6


@dataclass(frozen=True, slots=True)
class Source:
    """One container's log."""

    namespace: str
    pod: str
    container: str


@dataclass(slots=True)
class Piece:
    source: Source
    text: str = ""
    problem: str = ""
    full: bool = False
    """The tail was reached, so there are older lines."""


async def logs(call: LogsCall, ask: Ask) -> Answer:
    """Raises Refusal and KubeError. With one source its error is the command's; with several each is said in place."""
    sources, notes, cut = await _sources(call, ask)
    per_source = max(ask.max_bytes // max(len(sources), 1), 4096)
    jobs = [lambda source=source: read_log(call, ask, source, per_source) for source in sources]
    pieces = await gather_bounded(jobs, _AT_ONCE)
    if len(pieces) == 1 and isinstance(pieces[0], KubeError):
        raise pieces[0]
    done = [Piece(s, problem=p.for_people()) if isinstance(p, KubeError) else p for s, p in zip(sources, pieces, strict=True)]
    several = len(done) > 1
    text = "".join(_shown(piece, prefix=call.prefix or several) for piece in done)
    tails = [piece for piece in done if piece.full]
    if tails and call.tail is None:
        cut.append(f"the last {DEFAULT_TAIL} lines of {len(tails)} container(s); --tail asks for more")
    if not text.strip():
        what = ", ".join(f"{s.pod}/{s.container}" for s in sources[:3])
        return Answer(text=f"No log lines in {what}.\n", empty=True, cut="; ".join(cut))
    return Answer(text="".join(f"{note}\n" for note in notes) + text, cut="; ".join(cut))


async def read_log(call: LogsCall, ask: Ask, source: Source, limit_bytes: int) -> Piece | KubeError:
    """One container's log; an API error is returned, so that the others' logs are not lost with it."""
    tail = min(call.tail if call.tail is not None and call.tail >= 0 else DEFAULT_TAIL, MAX_TAIL)
    most = min(call.limit_bytes or max(limit_bytes * 4, 1 << 20), 16 << 20)
    params: dict[str, str | int | bool] = {"container": source.container, "tailLines": tail, "limitBytes": most}
    if call.previous:
        params["previous"] = True
    if call.since_seconds is not None:
        params["sinceSeconds"] = call.since_seconds
    if call.since_time:
        params["sinceTime"] = call.since_time
    if call.timestamps:
        params["timestamps"] = True
    try:
        raw = await _newest(ask, source, params, most)
    except KubeError as error:
        return error
    text = "".join(map(_bounded, raw.decode("utf-8", "replace").splitlines(keepends=True)))
    long = len(text) > limit_bytes
    if long:
        text = text[-limit_bytes:].partition("\n")[2] or text[-limit_bytes:]
    return Piece(source, text=text, full=raw.count(b"\n") >= int(params["tailLines"]) > 0 or long)


async def _newest(ask: Ask, source: Source, params: dict[str, str | int | bool], most: int) -> bytes:
    """At most `most` bytes of the end. The API's own limitBytes cuts the newest lines off, so where it did, fewer lines are
    asked for: `params["tailLines"]` says in the end how many. Raises KubeError."""
    path = POD.path(source.namespace, source.pod, "log")
    while True:
        raw = await ask.client.get_bytes(path, params, accept="text/plain, */*", timeout=20)
        lines = int(params["tailLines"])
        if len(raw) < most or lines <= 1:
            return raw
        params["tailLines"] = max(1, min(lines // 2, raw.count(b"\n") // 2))


def _bounded(line: str) -> str:
    """A line of a log as people read it; a giant one would push everything else out."""
    if len(line) <= MAX_LINE:
        return line
    return f"{line[:MAX_LINE]}… [cut: {len(line) - MAX_LINE} more characters of this line]\n"


async def _sources(call: LogsCall, ask: Ask) -> tuple[list[Source], list[str], list[str]]:
    """Whose logs; notes that kubectl would print to stderr; what was left out."""
    notes: list[str] = []
    cut: list[str] = []
    pods = await _pods(call, ask)
    if call.resource is not None and len(pods) > 1:
        notes.append(f"Found {len(pods)} pods of {call.resource.type.plural}/{call.resource.name}: newest first")
    found: list[Source] = []
    for pod in pods:
        found.extend(_containers(call, pod, notes, alone=len(pods) == 1))
    if not found:
        raise Refusal(CommandStatus.NOT_FOUND, f"error: no pod here has a container {call.container}")
    if len(found) > MAX_SOURCES:
        cut.append(f"{MAX_SOURCES} of {len(found)} containers; name a pod, or a container with -c")
        found = found[:MAX_SOURCES]
    return found, notes, cut


async def _pods(call: LogsCall, ask: Ask) -> list[Obj]:
    if call.resource is None:
        (space,) = ask.namespaces(POD, call.namespace, all_namespaces=False)
        pods = newest_first(await ask.objects(POD, [space], labels=call.label_selector))
        if not pods:
            raise Refusal(CommandStatus.NOT_FOUND, f"No resources found in {space} namespace.")
        return pods
    resource = await ask.resource(call.resource.type)
    (space,) = ask.namespaces(resource, call.namespace, all_namespaces=False)
    obj = await ask.object(resource, space, call.resource.name)
    pods = await pods_of(ask, resource, obj)
    if not pods:
        raise Refusal(CommandStatus.NOT_FOUND, f"{resource.plural} {call.resource.name} in namespace {space} has no pods now.")
    return pods


def _containers(call: LogsCall, pod: Obj, notes: list[str], *, alone: bool) -> list[Source]:
    metadata = pod["metadata"]
    every, main = container_names(pod), container_names(pod, init=False)
    if call.container:
        picked = [name for name in every if name == call.container]
        if not picked and alone:
            message = f"error: container {call.container} is not valid for pod {metadata['name']}: it has {', '.join(every)}"
            raise Refusal(CommandStatus.INVALID, message)
    elif call.all_containers:
        picked = every
    else:
        default = sub(metadata, "annotations").get("kubectl.kubernetes.io/default-container")
        picked = [default] if default in main else main[:1]
        if len(main) > 1:
            notes.append(f'Defaulted container "{picked[0]}" out of: {", ".join(every)} (choose with -c, or --all-containers)')
    return [Source(metadata["namespace"], metadata["name"], name) for name in picked]


def _shown(piece: Piece, *, prefix: bool) -> str:
    head = f"[pod/{piece.source.pod}/{piece.source.container}] " if prefix else ""
    if piece.problem:
        return f"{head}{piece.problem}\n"
    lines = piece.text.splitlines()
    return "".join(f"{head}{line}\n" for line in lines)
