"""Approvals over REST: read, decide about exactly the plan that was shown, withdraw, ask again. One at a time: there is no
call that decides about two."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from bot.api.cards import approval_view
from bot.api.language import Reader
from bot.api.paging import Limit, listing
from bot.api.stream import StreamsOf
from bot.api.views import View
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.services import ControlPlane
from protocol.approval import ApprovalState, Decision
from protocol.base import Strict
from protocol.events import Language

router = APIRouter(prefix="/api/v1/approvals", tags=["approvals"])

ApprovalId = Annotated[str, Path(max_length=64)]


class Verdict(Strict):
    verdict: str = Field(pattern="^(approve|reject)$")
    plan_hash: str = Field(min_length=64, max_length=64, description="Of the plan that you were shown")
    reason: str = Field(default="", max_length=1000, description="A rejection's goes back to the agent as an observation")
    override_owner: bool = Field(default=False, description="Run it although its owner would revert it; needs a reason")
    break_glass: bool = Field(
        default=False, description="Alone, or in a freeze window; needs a reason and a fresh sign-in on the web"
    )


class Withdrawal(Strict):
    reason: str = Field(default="", max_length=1000)


@router.get("")
async def list_approvals(
    me: Me,
    plane: Plane,
    reader: Reader,
    state: Annotated[list[ApprovalState] | None, Query()] = None,
    conversation: Annotated[str | None, Query(max_length=64)] = None,
    limit: Limit = 50,
) -> dict[str, Any]:
    """Newest first. `state` may be given several times."""
    found = await plane.approvals.list(
        me.principal, states=tuple(state) if state else None, conversation=conversation, limit=limit
    )
    return listing("approvals", await shown(plane, me, found, reader))


@router.get("/{approval}")
async def get_approval(approval: ApprovalId, me: Me, plane: Plane, reader: Reader) -> View:
    return await card(plane, me, await plane.approvals.get(approval, me.principal), reader)


@router.post("/{approval}/decide")
async def decide(approval: ApprovalId, body: Verdict, me: Me, plane: Plane, streams: StreamsOf, reader: Reader) -> View:
    """One person's word about one plan. 403 with the reason where it does not count, 409 where somebody was faster."""
    decided = await decide_as(plane, me, approval, body)
    streams.nudge()
    return await card(plane, me, decided, reader)


@router.post("/{approval}/withdraw")
async def withdraw(approval: ApprovalId, body: Withdrawal, me: Me, plane: Plane, streams: StreamsOf, reader: Reader) -> View:
    await plane.approvals.get(approval, me.principal)
    withdrawn = await plane.approvals.withdraw(approval, me.principal, body.reason)
    streams.nudge()
    return await card(plane, me, withdrawn, reader)


async def decide_as(plane: ControlPlane, me: Caller, approval: str, body: Verdict) -> Approval:
    await plane.approvals.get(approval, me.principal)
    decision = Decision(
        by=me.principal.account,
        by_name=me.principal.name,
        verdict="approve" if body.verdict == "approve" else "reject",
        plan_hash=body.plan_hash,
        at=utc_now(),
        door=me.door,
        fresh_sign_in=me.by_cookie and me.principal.fresh_sign_in,
        reason=body.reason.strip(),
        override_owner=body.override_owner,
        break_glass=body.break_glass,
        source=me.address,
    )
    return await plane.approvals.decide(approval, decision, me.principal)


async def card(plane: ControlPlane, me: Caller, approval: Approval, reader: Language = "en") -> View:
    """What this person is given of it; the audit has that they were."""
    return (await shown(plane, me, [approval], reader))[0]


async def shown(plane: ControlPlane, me: Caller, approvals: Sequence[Approval], reader: Language = "en") -> list[View]:
    """Cards as they are handed out, by the one way there is for an answer or a page: noted first."""
    await plane.approvals.shown(approvals, me.principal, door=me.door, source=me.address)
    return [seen_by(approval, me, reader) for approval in approvals]


def seen_by(approval: Approval, me: Caller, reader: Language = "en") -> View:
    """Only to look into. A bearer token is never a fresh sign-in, whatever the account did elsewhere."""
    principal = me.principal if me.by_cookie else me.principal.model_copy(update={"fresh_sign_in": False})
    return approval_view(approval, principal, utc_now(), language=reader)
