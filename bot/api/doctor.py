"""The doctor over REST, for administrators: the same rows that `opsthread doctor` prints."""

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from bot.api.access import Admin, Plane
from bot.doctor.round import Checkup, round_of_serving, slack_of_serving
from protocol.base import Strict, Value
from protocol.checkup import CheckRow

router = APIRouter(prefix="/api/v1/doctor", tags=["doctor"])


class Wish(Strict):
    model: bool = Field(default=False, description="Also ask the model; that costs a little")
    only: Literal["", "slack"] = Field(default="", description="One part alone: `slack`, set up or not")


class CheckupView(Value):
    at: datetime
    healthy: bool
    counts: dict[str, int]
    rows: tuple[CheckRow, ...]


@router.post("")
async def examine(body: Wish, me: Admin, plane: Plane, request: Request) -> CheckupView:
    """Look at the whole installation now. Nothing is changed; each runner is asked once."""
    state = request.app.state
    slack = getattr(state, "slack", None)
    if body.only == "slack":
        return view_of(await slack_of_serving(plane, me.principal, slack))
    return view_of(await round_of_serving(plane, state.runtime, me.principal, ask_model=body.model, slack=slack))


def view_of(found: Checkup) -> CheckupView:
    return CheckupView(at=found.at, healthy=found.healthy, counts=found.counted(), rows=found.rows)
