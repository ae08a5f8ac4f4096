"""Was a change taken back by somebody else? The fields that the plan froze tell: as they were, as the action left them, or
neither. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from knowledge.diagnosis.fields import rows
from protocol.commands import REVERTED, CheckOutcome
from protocol.remediation import PlanBody
from protocol.text import one_line
from runner.commands.render import parse_time
from runner.remediation.fieldsets import writers_of_what_changes
from runner.remediation.memory import AfterState
from runner.remediation.owner import keeper_of, keeper_words
from runner.remediation.prepare import fields_hash
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Situation, Unfit
from runner.remediation.writes import FIELD_MANAGER

_SLACK = timedelta(seconds=2)


def reverted(
    body: PlanBody, left: AfterState | None, obj: Obj | None, started_at: datetime, now: datetime
) -> CheckOutcome | None:
    """None while the change is there. `left` is what the action left behind, as far as this runner knows."""
    action = body.action
    if not row_of(action).stays:
        return None
    situation = Situation(obj, now)
    try:
        seen = fields_hash(action, situation)
    except Unfit:
        return None
    if left is not None and seen == left.fields_hash:
        return None
    if seen == body.fields_hash:
        by = _by(body, obj, started_at, now)
        if left is None:
            return _told(f"{action.target} is as it was before: {action.type} did not run, or was taken back{by}")
        return _told(f"{action.type} of {action.target} was taken back{by}: it is as it was before")
    # A template changes for many reasons that leave a rollback where it is: a restart is one.
    if left is None or action.type == "rollback":
        return None
    return _told(f"{action.target} was changed again{_by(body, obj, started_at, now)}: it is neither as before nor as planned")


def _told(words: str) -> CheckOutcome:
    return CheckOutcome(outcome="worse", code=REVERTED, message=words)


def _by(body: PlanBody, obj: Obj | None, started_at: datetime, now: datetime) -> str:
    """Who wrote the fields since, by managedFields; else whose object it is. "" when neither is told."""
    if obj is None:
        return ""
    names = _writers(body, obj, started_at, now)
    keeper = keeper_of(obj)
    if keeper is not None:
        names.append(keeper_words(keeper))
    return f" by {one_line(', '.join(dict.fromkeys(names)), 200)}" if names else ""


def _writers(body: PlanBody, obj: Obj, started_at: datetime, now: datetime) -> list[str]:
    """Of the managers that hold the fields now, those who wrote since the action began."""
    try:
        again = row_of(body.action).after(body.action, Situation(obj, now))
    except Unfit:
        return []
    since = {
        str(row.get("manager"))
        for row in rows(obj, "metadata", "managedFields")
        if (at := _time(row)) is not None and at >= started_at - _SLACK
    }
    return [name for name in writers_of_what_changes(obj, again or {}) if name in since and name != FIELD_MANAGER]


def _time(row: Mapping[str, Any]) -> datetime | None:
    return parse_time(row.get("time"))
