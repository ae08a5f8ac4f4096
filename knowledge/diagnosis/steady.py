"""Since when has it been well? A container that crash-loops runs between two ends, so that "healthy now" is not "healed"."""

from collections.abc import Iterator
from datetime import datetime

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import sub, text
from knowledge.diagnosis.pods import is_ready, ready_since
from knowledge.diagnosis.scope import Scope
from knowledge.diagnosis.view import Key

_WATCHED = ("Pod", "Node")
_OVER = ("Succeeded", "Failed")


def steady_since(context: Context, scope: Scope) -> datetime | None:
    """Since when all pods and nodes of what was asked about have been ready, no container has ended and no warning event was
    about any of it. None when that can't be said: one is not ready, there are none, or a time is missing."""
    if scope.whole:
        return None
    moments: list[datetime | None] = []
    ready = 0
    for key in scope.own:
        moments += [event.at for event in context.view.events(key) if event.warning]
        if key.kind not in _WATCHED:
            continue
        obj = context.view.get(key) or {}
        over = text(obj, "status", "phase") in _OVER
        if not over and (not is_ready(obj) or "deletionTimestamp" in sub(obj, "metadata")):
            return None
        ready += not over
        moments += [ready_since(obj), *_ends(context, key)]
    known = [moment for moment in moments if moment is not None]
    return max(known) if ready and len(known) == len(moments) else None


def _ends(context: Context, key: Key) -> Iterator[datetime | None]:
    for container in context.containers(key):
        if container.ended[0]:
            yield container.ended_at
