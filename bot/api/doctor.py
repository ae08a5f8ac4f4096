"""The doctor over REST, for administrators: the same rows that `opsthread doctor` prints."""

from datetime import datetime

from fastapi import APIRouter, Request
from pydantic import Field

from bot.api.access import Admin, Plane
from bot.doctor.round import Checkup, round_of_serving
from protocol.base import Strict, Value
from protocol.checkup import CheckRow

router = APIRouter(prefix="/api/v1/doctor", tags=["doctor"])


class Wish(Strict):
    model: bool = Field(default=False, description="Also ask the model; that costs a little")


class CheckupView(Value):
    at: datetime
    healthy: bool
    counts: dict[str, int]
    rows: tuple[CheckRow, ...]


@router.post("")
async def examine(body: Wish, me: Admin, plane: Plane, request: Request) -> CheckupView:
    """Look at the whole installation now. Nothing is changed; each runner is asked once."""
    found = await round_of_serving(plane, request.app.state.runtime, me.principal, ask_model=body.model)
    return view_of(found)


def view_of(found: Checkup) -> CheckupView:
    return CheckupView(at=found.at, healthy=found.healthy, counts=found.counted(), rows=found.rows)
