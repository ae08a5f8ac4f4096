"""What REST and the stream show of the control plane's values. Pure: values in, JSON-ready dictionaries out."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from bot.markdown import Node, tree
from control_plane.accounts import Account
from control_plane.approvals import Approval
from control_plane.audit import AuditRow
from control_plane.commands import CommandRow
from control_plane.conversations import Conversation, Turn
from control_plane.fleet import Cluster, Runner
from control_plane.principals import Principal
from knowledge.wording import localized, translate
from protocol.approval import ApprovalState, Decision, Refusal, Role, role_at_least, weigh
from protocol.events import (
    ActionFinished,
    ApprovalDecided,
    DiagnosisMade,
    Language,
    Live,
    LiveProgress,
    LogEntry,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnResumed,
)
from protocol.text import clean
from tools.names import PROMETHEUS

PREVIEW_CHARACTERS = 6_000
"""How much of a tool's text the stream carries; the whole is at /conversations/{id}/log/{seq}."""

View = dict[str, Any]


def conversation_view(value: Conversation) -> View:
    return value.model_dump(mode="json")


def turn_view(value: Turn) -> View:
    return value.model_dump(mode="json")


def entry_view(entry: LogEntry, *, preview: bool = False, language: Language = "en") -> View:
    """A log entry; a model message brings `tree`, its Markdown as nodes. With `preview` tool texts are cleaned once more
    for the eye, long ones are cut, and `cut_at` says where. Our own sentences are in the reader's language."""
    entry = entry if language == "en" else _in_words(entry, language)
    view = entry.model_dump(mode="json")
    match entry.event:
        case ModelMessage(text=text):
            view["tree"] = _tree(text)
        case ToolFinished(text=text) if preview:
            view["event"]["text"] = clean(text[:PREVIEW_CHARACTERS])
            if len(text) > PREVIEW_CHARACTERS:
                view["cut_at"] = PREVIEW_CHARACTERS
        case _:
            pass
    return view


def _in_words(entry: LogEntry, language: Language) -> LogEntry:
    """The stored entry is not touched: this is a copy for one reader."""
    match entry.event:
        case DiagnosisMade(stage=stage, diagnosis=diagnosis):
            said: View = {"diagnosis": localized(diagnosis, language, own_words=stage == "model")}
        case ToolStarted(name=name, title=title):
            # A query is anybody's text: with its tool's name before it, it can be no other sentence of ours.
            told = translate(f"prometheus {title}" if name == PROMETHEUS else title, language)
            said = {"title": told.removeprefix("prometheus ")}
        case ToolFinished(cut=cut):
            said = {"cut": translate(cut, language)}
        case ActionFinished(message=message) | TurnFailed(message=message):
            said = {"message": translate(message, language)}
        case ApprovalDecided(reason=reason):
            said = {"reason": translate(reason, language)}
        case TurnResumed(note=note):
            said = {"note": translate(note, language)}
        case _:
            return entry
    return entry.model_copy(update={"event": entry.event.model_copy(update=said)})


def live_view(live: Live, language: Language = "en") -> View:
    """What is never stored: text deltas as they are, notes of progress in the reader's language."""
    if isinstance(live, LiveProgress):
        live = live.model_copy(update={"note": translate(live.note, language)})
    return live.model_dump(mode="json")


@lru_cache(maxsize=256)
def _tree(text: str) -> list[Node]:
    return tree(text)


def approval_view(
    value: Approval, principal: Principal, at: datetime, why_not: str | None, *, language: Language = "en"
) -> View:
    """The record with what the card needs to be honest towards this person. `why_not` is the service's word on it. Our own
    sentences are in the reader's language; the plan, its hash, its commands and its diff are what they are."""
    plan = value.plan

    def said(text: str | None) -> str | None:
        return translate(text, language) if text else text

    refusal = refusal_of(value, principal, at)
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
        "requester": value.requester,
        "requester_name": value.requester_name,
        "why": said(value.why),
        "case_code": value.case_code,
        "decisions": [_decision_view(d) for d in value.decisions],
        "created_at": value.created_at.isoformat(),
        "expires_at": value.expires_at.isoformat(),
        "decided_at": _time(value.decided_at),
        "started_at": _time(value.started_at),
        "finished_at": _time(value.finished_at),
        "outcome": said(value.outcome),
        "you": {
            "may_approve": value.state is ApprovalState.PENDING and why_not is None and refusal is None,
            "refusal": said(why_not or (refusal.message if refusal else None)),
            "refusal_code": refusal.code if refusal else None,
            "may_reject": value.state is ApprovalState.PENDING and _may_reject(value, principal),
            "may_withdraw": value.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
            and (principal.account == value.requester or principal.admin),
        },
    }


def refusal_of(value: Approval, principal: Principal, at: datetime) -> Refusal | None:
    """Why this person's approval would not count now, with its stable code; the decision itself is weighed again later."""
    role = _role(value, principal)
    if role is None:
        return Refusal(code="scope", message="You have no role over this namespace.")
    if value.plan.cannot_run is not None:
        return Refusal(code="cannot_run", message=value.plan.cannot_run)
    decision = Decision(
        by=principal.account,
        by_name=principal.name,
        verdict="approve",
        plan_hash=value.plan.plan_hash,
        at=at,
        door="web",
        fresh_sign_in=principal.fresh_sign_in,
    )
    weighed = weigh(
        decision,
        role=role,
        requester=value.requester,
        plan_hash=value.plan.plan_hash,
        quorum=value.quorum,
        earlier=value.decisions,
    )
    return weighed if isinstance(weighed, Refusal) else None


def _may_reject(value: Approval, principal: Principal) -> bool:
    role = _role(value, principal)
    return role is not None and (principal.account == value.requester or role_at_least(role, Role.OPERATOR))


def _role(value: Approval, principal: Principal) -> Role | None:
    return principal.role_in(value.cluster, value.namespace or None)


def _decision_view(value: Decision) -> View:
    return {
        "by": value.by,
        "by_name": value.by_name,
        "verdict": value.verdict,
        "at": value.at.isoformat(),
        "door": value.door,
        "reason": value.reason,
    }


def cluster_view(value: Cluster) -> View:
    """The Agent Manager's shape, with ours beside it."""
    summary = value.summary
    return {
        "id": value.id,
        "name": value.name,
        "environment": value.environment,
        "labels": value.labels,
        "status": "active" if value.online else "inactive",
        "online": value.online,
        "health": value.health,
        "version": value.runner.kubernetes_version if value.runner else "",
        "agent_count": 1 if value.runner else 0,
        "node_count": summary.nodes,
        "pod_count": summary.pods,
        "summary": summary.model_dump(mode="json"),
        "runner": value.runner.id if value.runner else None,
        "writes": value.runner.mode.writes if value.runner else False,
        "kill_switch": value.kill_switch,
        "created_at": value.created_at.isoformat(),
    }


def cluster_health_view(value: Cluster) -> View:
    runner = value.runner
    return {
        "cluster_id": value.id,
        "agent_status": agent_status(runner),
        "last_heartbeat": _time(runner.last_heartbeat) if runner else None,
        "healthy": value.online and value.health == "healthy",
        "health": value.health,
        "findings": value.summary.findings,
        "cache": value.summary.cache,
    }


def agent_status(runner: Runner | None) -> str:
    if runner is None or runner.last_heartbeat is None:
        return "registering"
    if runner.revoked:
        return "error"
    return "online" if runner.online else "offline"


def agent_view(runner: Runner, cluster: Cluster) -> View:
    """A runner, in the Agent Manager's words."""
    return {
        "id": runner.id,
        "cluster_id": cluster.id,
        "cluster_name": cluster.name,
        "version": runner.version,
        "status": agent_status(runner),
        "last_heartbeat": _time(runner.last_heartbeat),
        "capabilities": ["event_watch", "metrics_collect", "command_execute"],
        "mode": runner.mode.model_dump(mode="json"),
        "kubernetes_version": runner.kubernetes_version,
        "clock_offset_s": runner.clock_offset_s,
        "revoked": runner.revoked,
    }


def command_view(row: CommandRow) -> View:
    return {
        "id": row.id,
        "cluster_id": row.cluster,
        "type": row.kind,
        "title": row.title,
        "status": row.status or "executing",
        "issued_by": row.issued_by,
        "correlation_id": row.turn or row.conversation,
        "created_at": row.created_at.isoformat(),
        "finished_at": _time(row.finished_at),
        "duration_ms": row.duration_ms,
    }


def account_view(value: Account) -> View:
    return value.model_dump(mode="json")


def audit_view(row: AuditRow) -> View:
    return row.model_dump(mode="json")


def me_view(principal: Principal, *, model: str) -> View:
    return {
        "account": principal.account,
        "name": principal.name,
        "tenant": principal.tenant,
        "roles": [grant.model_dump(mode="json") for grant in principal.roles],
        "admin": principal.admin,
        "fresh_sign_in": principal.fresh_sign_in,
        "model": model,
    }


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
