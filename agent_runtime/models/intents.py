"""What a question asks for, by a table of words in three languages. Pure; the specification is tests' table of utterances."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from agent_runtime.models.keywords import keywords
from agent_runtime.models.words import fold, minutes_in, names_in
from tools.targets import kind_of


class Ask(StrEnum):
    DIAGNOSE = "diagnose"
    LOGS = "logs"
    USAGE = "usage"
    CHANGES = "changes"
    FIX = "fix"
    LIST = "list"
    EVENTS = "events"
    HELP = "help"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Intent:
    ask: Ask
    words: tuple[str, ...] = ()
    namespace: str | None = None
    previous: bool = False
    """Logs of the container before its last restart."""
    minutes: int | None = None
    kind: str = ""
    """Kind to list, in the words of kubectl."""

    @property
    def target(self) -> str:
        return self.words[0] if self.words else ""


BARE = 3
"""Words of the longest message that counts as a bare name."""


def intent_of(text: str, *, namespaces: Collection[str] = ()) -> Intent:
    """The first row of the table that fits. `namespaces` are the cluster's known ones."""
    folded = fold(text)
    words, namespace = names_in(text, namespaces=namespaces)
    kind = _kind(folded)
    ask = _ask(folded, words, namespace, kind)
    return Intent(ask, words, namespace, keywords().has("previous", folded), minutes_in(text), kind)


def sees_scope(intent: Intent, text: str) -> bool:
    """May the rules run before the model does? When the question is about what is wrong with something."""
    return intent.ask is Ask.DIAGNOSE and bool(
        intent.words or intent.namespace or keywords().has("cluster", fold(text)) or keywords().has("wrong", fold(text))
    )


def _ask(folded: str, words: tuple[str, ...], namespace: str | None, kind: str) -> Ask:
    about = bool(words or namespace)
    rows: tuple[tuple[bool, Ask], ...] = (
        (keywords().has("help", folded) and not about, Ask.HELP),
        (keywords().has("fix", folded) and not keywords().has("why", folded), Ask.FIX),
        (
            keywords().has("why", folded) and (about or keywords().has("wrong", folded) or keywords().has("cluster", folded)),
            Ask.DIAGNOSE,
        ),
        (keywords().has("logs", folded), Ask.LOGS),
        (keywords().has("events", folded), Ask.EVENTS),
        (keywords().has("changes", folded), Ask.CHANGES),
        (keywords().has("wrong", folded), Ask.DIAGNOSE),
        (keywords().has("usage", folded), Ask.USAGE),
        (keywords().has("list", folded) and bool(kind) and not words, Ask.LIST),
        # A bare name or two ("payments?") asks what is wrong with it; a whole sentence without any known word does not.
        (about and len(folded.split()) <= BARE, Ask.DIAGNOSE),
    )
    return next((ask for fits, ask in rows if fits), Ask.UNKNOWN)


def _kind(folded: str) -> str:
    for word, kind in keywords().kinds.items():
        if word in folded:
            return kind
    for token in re.findall(r"[a-z]+", folded):
        found = kind_of(token)
        if found and len(token) > 2 and token not in ("event", "events", "quota", "limits"):
            return token
    return ""
