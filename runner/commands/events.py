"""`kubectl events`, and the Events section of a description: newest last, with how often and how long."""

from datetime import datetime

from knowledge.diagnosis.fields import sub
from protocol.kubectl.calls import EventsCall
from runner.commands.answer import Answer
from runner.commands.ask import Ask, Obj
from runner.commands.get import dump
from runner.commands.lines import Lines
from runner.commands.render import age, columns, parse_time
from runner.kube.errors import KubeError
from runner.kube.resources import EVENT

MAX_EVENTS = 2000
_LONG_AGO = "1970-01-01T00:00:00Z"


async def events(call: EventsCall, ask: Ask) -> Answer:
    spaces = ask.namespaces(EVENT, call.namespace, all_namespaces=call.all_namespaces)
    fields: list[str] = []
    if call.for_object is not None:
        resource = await ask.resource(call.for_object.type)
        fields = [f"involvedObject.kind={resource.kind}", f"involvedObject.name={call.for_object.name}"]
        if not resource.namespaced:
            # Events about cluster-scoped objects live in "default".
            spaces = ("",) if ask.scope.namespaces is None else spaces
    if len(call.types) == 1:
        fields.append(f"type={call.types[0]}")
    found = sorted(await ask.objects(EVENT, spaces, fields=",".join(fields)), key=last_seen)
    if not found:
        where = "" if call.all_namespaces else f" in {spaces[0]} namespace"
        return Answer(text=f"No events found{where}.\n", empty=True)
    cut = f"the newest {MAX_EVENTS} of {len(found):,} events" if len(found) > MAX_EVENTS else ""
    found = found[-MAX_EVENTS:]
    if call.output in ("yaml", "json"):
        return Answer(text=dump({"apiVersion": "v1", "kind": "List", "items": found}, call.output), cut=cut)
    headers = ["Last Seen", "Type", "Reason", "Object", "Message"]
    if call.all_namespaces:
        headers.insert(0, "Namespace")
    rows = [_row(event, ask.now(), with_namespace=call.all_namespaces) for event in found]
    return Answer(text=columns(headers, rows), cut=cut)


async def event_section(ask: Ask, obj: Obj) -> str:
    """The Events part of a description. It says so when events cannot be read."""
    metadata = obj["metadata"]
    fields = f"involvedObject.name={metadata['name']},involvedObject.kind={obj.get('kind', '')}"
    try:
        found = await ask.objects(EVENT, [metadata.get("namespace") or ""], fields=fields, at_most=MAX_EVENTS)
    except KubeError as error:
        return f"Events:  <cannot be read: {error.message}>\n"
    uid = metadata.get("uid")
    # Nodes are named by their name in involvedObject.uid.
    found = [e for e in found if sub(e, "involvedObject").get("uid") in (uid, metadata["name"], None, "")]
    if not found:
        return "Events:  <none>\n"
    rows = [
        [e.get("type"), e.get("reason"), seen_text(e, ask.now()), source_text(e), _message(e)]
        for e in sorted(found, key=last_seen)[-40:]
    ]
    out = Lines()
    out.table("Events", ["Type", "Reason", "Age", "From", "Message"], rows)
    return out.render()


def last_seen(event: Obj) -> str:
    """The newest time of an event, comparable as text (all are UTC RFC 3339)."""
    series = sub(event, "series")
    times = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event.get("firstTimestamp"),
        sub(event, "metadata").get("creationTimestamp"),
    )
    return next((str(t) for t in times if t), _LONG_AGO)


def seen_text(event: Obj, now: datetime) -> str:
    """`2m (x7 over 10m)`."""
    count = int(sub(event, "series").get("count") or event.get("count") or 1)
    last = age(last_seen(event), now)
    first = event.get("firstTimestamp") or event.get("eventTime")
    if count > 1 and parse_time(first) is not None:
        return f"{last} (x{count} over {age(first, now)})"
    return last


def source_text(event: Obj) -> str:
    return str(sub(event, "source").get("component") or event.get("reportingComponent") or "")


def _message(event: Obj) -> str:
    return " ".join(str(event.get("message") or "").split())


def _row(event: Obj, now: datetime, *, with_namespace: bool) -> list[str]:
    about = sub(event, "involvedObject")
    target = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    row = [seen_text(event, now), str(event.get("type") or ""), str(event.get("reason") or ""), target, _message(event)]
    return [str(sub(event, "metadata").get("namespace") or ""), *row] if with_namespace else row
