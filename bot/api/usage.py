"""What models cost, and the budgets, over REST."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from control_plane.errors import Invalid
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.spending import EVERYBODY, Budget, Kind, Period
from protocol.base import Strict
from protocol.text import one_line

router = APIRouter(prefix="/api/v1", tags=["usage"])

MOST_TOKENS, MOST_MONEY = 10**15, 10.0**12
"""What a counter still holds; nobody means more."""


class NewBudget(Strict):
    kind: Kind
    subject: str = Field(max_length=200, description="Id or name of a cluster or person; * for all without their own")
    period: Period
    tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS, description="null: no limit")
    money: float | None = Field(default=None, ge=0, le=MOST_MONEY, description="null: no limit")
    configured: bool = Field(default=False, description="Take it back to what is configured")


@router.get("/usage")
async def usage(me: Me, plane: Plane) -> dict[str, Any]:
    """Today and this month: your own; clusters that you administer; everything for admins over everything."""
    return (await plane.usage.read(me.principal)).model_dump(mode="json")


@router.put("/budgets")
async def put_budget(body: NewBudget, me: Me, plane: Plane) -> dict[str, Any]:
    """Set a budget of a cluster or a person. What is used up then is answered by the fallback or the rules."""
    await set_budget(body, me, plane)
    return (await plane.usage.read(me.principal)).model_dump(mode="json")


async def set_budget(body: NewBudget, me: Caller, plane: ControlPlane) -> None:
    """From whichever door. Raises Forbidden, Invalid, NotFound."""
    await plane.usage.set_budget(
        me.principal,
        kind=body.kind,
        subject=await _subject(plane, me.principal, body),
        period=body.period,
        budget=None if body.configured else Budget(tokens=body.tokens, money=body.money),
        door=me.door,
    )


async def _subject(plane: ControlPlane, principal: Principal, body: NewBudget) -> str:
    """An id from an id or a name."""
    if body.subject == EVERYBODY:
        return EVERYBODY
    if body.kind == "cluster":
        return (await plane.fleet.get(body.subject, principal)).id
    for account in await plane.accounts.list() if principal.admin else ():
        if body.subject in (account.id, account.name):
            return account.id
    raise Invalid(f"there is no person {one_line(body.subject, 60)!r}; name one that is there, or * for all")
