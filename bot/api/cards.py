"""The approval card as values: the record, with what it needs to be honest towards one person. Pure."""

from datetime import datetime, timedelta
from typing import Any

from control_plane.approvals import Approval
from control_plane.decisions import would_refuse
from control_plane.notifications import Notification
from control_plane.principals import Principal
from knowledge.wording import action_text, translate
from protocol.approval import ApprovalState, Decision, Role, role_at_least
from protocol.events import Language
from protocol.objects import ObjectRef

View = dict[str, Any]

_OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)
_AGAIN = frozenset({ApprovalState.EXPIRED, ApprovalState.CANCELLED, ApprovalState.FAILED, ApprovalState.ROLLED_BACK})
"""Ends after which the same action may be asked for again, as a new plan of the object as it is then."""
ASKED_AGAIN_FOR = timedelta(hours=24)
_HELPED_BY_GLASS = frozenset({"frozen", "requester", "twice"})
"""What stands in a lone approver's way."""
FRESH_SIGN_IN = "/confirm"


def approval_view(value: Approval, principal: Principal, at: datetime, *, language: Language = "en") -> View:
    """Our own sentences are in the reader's language; the plan, its hash, its commands and its diff are what they are."""
    plan = value.plan

    def said(text: str | None) -> str | None:
        return translate(text, language) if text else text

    return {
        "id": value.id,
        "state": value.state,
        "version": value.version,
        "cluster": value.cluster,
        "cluster_name": value.cluster_name,
        "conversation": value.conversation,
        "turn": value.turn,
        "namespace": value.namespace,
        "target": str(plan.body.action.target),
        "action": plan.body.action.model_dump(mode="json"),
        "action_text": action_text(plan.body.action, language),
        "command_line": value.command_line,
        "undo_line": value.undo_line,
        "risk": plan.risk,
        "diff": plan.diff,
        "diff_source": plan.diff_source,
        "blast_radius": {
            **plan.blast_radius.model_dump(mode="json"),
            "budgets": [said(budget) for budget in plan.blast_radius.budgets],
            "note": said(plan.blast_radius.note),
        },
        "owner": {**plan.owner.model_dump(mode="json"), "detail": said(plan.owner.detail)},
        "cannot_run": said(plan.cannot_run),
        "expected_effect": said(plan.expected_effect),
        "check": said(plan.check),
        "check_timeout_s": plan.check_timeout_s,
        "plan_hash": plan.plan_hash,
        "quorum": value.quorum.model_dump(mode="json"),
        "four_eyes": value.four_eyes,
        "missing": value.missing,
        "electors": list(value.electors) if value.electors is not None else None,
        "freeze": _freeze(value),
        "break_glass": _broken(value),
        "requester": value.requester,
        "requester_name": value.requester_name,
        "why": said(value.why),
        "case_code": value.case_code,
        "decisions": [_decision_view(d) for d in value.decisions],
        "created_at": value.created_at.isoformat(),
        "expires_at": value.expires_at.isoformat(),
        "decided_at": _time(value.decided_at),
        "decided_by_name": value.decided_by_name,
        "started_at": _time(value.started_at),
        "finished_at": _time(value.finished_at),
        "outcome": said(value.outcome),
        "look_at": look_at(value),
        "you": _you(value, principal, at, language),
    }


def look_at(value: Approval) -> list[str]:
    """Reads that tell what became of it, where nobody could tell. Pure."""
    if value.state is not ApprovalState.UNKNOWN:
        return []
    target = value.plan.body.action.target
    place = f" -n {target.namespace}" if target.namespace else ""
    lines = [f"kubectl describe {_named(target)}{place}", f"kubectl events --for {_named(target)}{place}"]
    if target.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        lines.insert(0, f"kubectl rollout status {_named(target)}{place}")
    return lines


def notification_view(value: Notification) -> View:
    return value.model_dump(mode="json")


def _you(value: Approval, principal: Principal, at: datetime, language: Language) -> View:
    refusal = would_refuse(value, principal, at)
    glass = would_refuse(value, principal, at, break_glass=True)
    # It is offered where it would help: to somebody who could not approve alone, or not now.
    offered = (refusal.code in _HELPED_BY_GLASS) if refusal is not None else value.quorum.needed - len(value.yes) > 1
    breakable = offered and (glass is None or glass.code == "step_up")
    step_up = (refusal is not None and refusal.code == "step_up") or (breakable and glass is not None)
    pending = value.state is ApprovalState.PENDING
    own = principal.account == value.requester
    role = principal.role_in(value.cluster, value.namespace or None)
    return {
        "may_approve": pending and refusal is None,
        "refusal": translate(refusal.message, language) if refusal is not None else None,
        "refusal_code": refusal.code if refusal is not None else None,
        "may_reject": pending and (own or _holds(role, Role.OPERATOR)),
        "may_withdraw": value.state in _OPEN and (own or role is Role.ADMIN),
        "may_break_glass": breakable,
        "step_up": FRESH_SIGN_IN if step_up else None,
        "may_ask_again": value.state in _AGAIN
        and _holds(role, Role.OPERATOR)
        and value.plan.cannot_run is None
        and at - value.created_at < ASKED_AGAIN_FOR,
    }


def _holds(role: Role | None, needed: Role) -> bool:
    return role is not None and role_at_least(role, needed)


def _freeze(value: Approval) -> View | None:
    if value.freeze is None:
        return None
    return {"until": value.freeze.until.isoformat(), "reason": value.freeze.reason}


def _broken(value: Approval) -> View | None:
    if value.break_glass is None:
        return None
    return {
        "by_name": value.break_glass.by_name,
        "reason": value.break_glass.reason,
        "at": value.break_glass.at.isoformat(),
    }


def _decision_view(value: Decision) -> View:
    return {
        "by": value.by,
        "by_name": value.by_name,
        "verdict": value.verdict,
        "at": value.at.isoformat(),
        "door": value.door,
        "reason": value.reason,
        "override_owner": value.override_owner,
        "break_glass": value.break_glass,
        "fresh_sign_in": value.fresh_sign_in,
    }


def _named(target: ObjectRef) -> str:
    return f"{target.kind.lower()}/{target.name}"


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
