"""What a report changes in what is known. Pure: the rules of order, repetition and re-opening, without a database.

Alertmanager sends the same again (a retry after a lost answer, a repeat, two of its replicas), and in another order than things
happened. An alert is its fingerprint, a start of it is its `startsAt`:

| told against known | becomes |
|---|---|
| not known | as told |
| an older start | nothing: it was delivered late |
| the same start, the same state | nothing |
| the same start, resolved against firing | resolved |
| the same start, firing against resolved | nothing, within LATE of the resolution; after that it fires again |
| a newer start | as told, and it has fired once more |

The last but one row is for Prometheus: after a restart it sends an alert with the start from before, which Alertmanager had
given up as resolved meanwhile.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from control_plane.alerts.values import Alert, Severity, State, worst

LATE = timedelta(minutes=15)
REOPENS = timedelta(hours=24)
"""A group that fires again so soon after it was resolved goes on in its thread; later it gets a new one."""


def merged(known: Alert | None, known_at: datetime, told: Alert, now: datetime) -> Alert | None:
    """The alert after it; None when nothing is new. `known_at`: when its state was last heard."""
    if known is None:
        return told
    if told.starts_at < known.starts_at:
        return None
    if told.starts_at > known.starts_at:
        return told.model_copy(update={"fired": known.fired + 1})
    if told.state == known.state:
        return None
    if told.state == "resolved":
        return told.model_copy(update={"fired": known.fired})
    if now - known_at < LATE:
        return None
    return told.model_copy(update={"fired": known.fired + 1})


def state_of(alerts: Iterable[Alert], *, more_firing: bool = False) -> State:
    return "firing" if more_firing or any(alert.state == "firing" for alert in alerts) else "resolved"


def severity_now(alerts: Iterable[Alert]) -> Severity:
    """Of what fires; where nothing does, of what did."""
    every = tuple(alerts)
    return worst(tuple(one.severity for one in every if one.state == "firing") or tuple(one.severity for one in every))


def namespace_of(alerts: Iterable[Alert]) -> str:
    """The one that all of them are of, those that have ended too: whoever reads the group reads about each."""
    names = {alert.namespace for alert in alerts}
    return names.pop() if len(names) == 1 else ""


def begins_anew(resolved_at: datetime | None, state: State, now: datetime) -> bool:
    """Does a group that had been resolved then get a new generation, now that its alerts are in `state`?"""
    return state == "firing" and resolved_at is not None and now - resolved_at > REOPENS


def ordered(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Firing first, newest first."""
    return tuple(sorted(alerts, key=lambda one: (one.state == "resolved", -one.starts_at.timestamp(), one.fingerprint)))
