"""Kubernetes Events as rows: both API shapes, series and counts understood, times parsed once."""

from dataclasses import dataclass
from datetime import UTC, datetime

from knowledge.diagnosis.fields import Obj, number, sub, text, time_at
from protocol.objects import valid_name, valid_namespace

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventRow:
    """`at` is the last time it was seen; None when the event says no time at all."""

    reason: str
    warning: bool
    message: str
    count: int
    first: datetime | None
    at: datetime | None
    object: tuple[str, str, str]
    field_path: str
    """e.g. `spec.containers{app}`; "" when the event names no part of the object."""

    @property
    def order(self) -> datetime:
        return self.at or _EPOCH

    def container(self) -> str:
        """The container that the event's field path names, or ""."""
        start = self.field_path.find("{")
        return self.field_path[start + 1 : -1] if start >= 0 and self.field_path.endswith("}") else ""


def read_event(raw: Obj) -> EventRow | None:
    """Core v1 (`involvedObject`, `message`) or events.k8s.io/v1 (`regarding`, `note`); None when it names no object."""
    about = sub(raw, "involvedObject") or sub(raw, "regarding")
    kind, name, namespace = text(about, "kind"), text(about, "name"), text(about, "namespace")
    if not kind.isalnum() or not kind[:1].isupper() or not valid_name(name) or (namespace and not valid_namespace(namespace)):
        return None
    if kind == "Node":
        namespace = ""
    made = time_at(raw, "eventTime") or time_at(raw, "metadata", "creationTimestamp")
    first = time_at(raw, "firstTimestamp") or time_at(raw, "deprecatedFirstTimestamp") or made
    last = (
        time_at(raw, "series", "lastObservedTime")
        or time_at(raw, "lastTimestamp")
        or time_at(raw, "deprecatedLastTimestamp")
        or made
        or first
    )
    count = max(number(raw, "count"), number(raw, "deprecatedCount"), number(raw, "series", "count"), 1)
    return EventRow(
        reason=text(raw, "reason"),
        warning=text(raw, "type") == "Warning",
        message=text(raw, "message") or text(raw, "note"),
        count=count,
        first=first,
        at=last,
        object=(kind, namespace, name),
        field_path=text(about, "fieldPath"),
    )
