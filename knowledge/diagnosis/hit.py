"""Hit: what a rule says. The engine turns hits into Findings and RootCauses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import orjson

from knowledge.diagnosis.events import EventRow
from knowledge.diagnosis.fields import Obj
from knowledge.diagnosis.view import Key
from protocol.diagnosis import Change, Evidence, EvidenceSource
from protocol.text import clean

Fact: TypeAlias = str | int | float | bool

EXCERPT_LIMIT = 600


@dataclass(frozen=True, slots=True)
class Quote:
    """Evidence before it is a model: cheap to make for thousands of pods."""

    source: EvidenceSource
    object: Key
    excerpt: str
    field: str | None = None
    at: datetime | None = None

    def evidence(self) -> Evidence:
        return Evidence(
            source=self.source,
            object=self.object.ref(),
            field=self.field,
            at=self.at,
            excerpt=clean(self.excerpt).strip()[:EXCERPT_LIMIT] or "(empty)",
        )


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule fired on one object.

    `object` is what is at fault (a missing object is named as the one that should exist); `affected` are the pods that
    show it. `towards` names the dependency that the evidence points at: only trouble there can explain this hit.
    A `supporting` hit is dropped unless it explains another one.
    """

    code: str
    object: Key
    explanation: str
    evidence: tuple[Quote, ...]
    confidence: float = 0.8
    facts: Mapping[str, Fact] = field(default_factory=dict[str, Fact])
    since: datetime | None = None
    affected: tuple[Key, ...] = ()
    towards: tuple[Key, ...] = ()
    supporting: bool = False

    @property
    def container(self) -> str:
        return str(self.facts.get("container", ""))


def quote_field(key: Key, path: str, value: Any, at: datetime | None = None) -> Quote:
    """A field of an object: a string as it is, anything else as compact JSON."""
    excerpt = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return Quote("object", key, excerpt, path, at)


def quote_part(key: Key, path: str, value: Obj, *names: str, at: datetime | None = None) -> Quote:
    """Some members of an object field, as compact JSON."""
    return quote_field(key, path, {name: value[name] for name in names if name in value}, at)


def quote_event(key: Key, event: EventRow) -> Quote:
    return Quote("event", key, event.message, event.reason, event.at)


def quote_log(pod: Key, container: str, line: str, at: datetime | None = None) -> Quote:
    return Quote("log", pod, line, container, at)


def quote_change(change: Change, key: Key) -> Quote:
    """A change in words; before and after are the field's own text."""
    return Quote("change", key, f"{change.before or '(absent)'} → {change.after or '(removed)'}", change.path, change.at)
