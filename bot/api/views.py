"""What REST and the stream show of the control plane's values. Pure: values in, JSON-ready dictionaries out."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from bot.markdown import Node, tree
from control_plane.accounts import Account
from control_plane.audit import AuditRow
from control_plane.commands import CommandRow
from control_plane.conversations import Conversation, Turn
from control_plane.fleet import Cluster, Runner
from control_plane.principals import Principal
from knowledge.wording import localized, remedy_text, translate
from protocol.events import (
    ActionFinished,
    ApprovalDecided,
    CaseEnded,
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
    entry = entry if language == "en" else in_words(entry, language)
    view = entry.model_dump(mode="json")
    match entry.event:
        case ModelMessage(text=text):
            view["tree"] = _tree(text)
        case DiagnosisMade(stage=stage, diagnosis=diagnosis):
            # Remedies are looked for after the rules; a model's report brings none.
            view["event"]["verdict"] = diagnosis.verdict
            view["event"]["no_safe_fix"] = diagnosis.no_safe_fix if stage == "rules" else None
            for told, one in zip(view["event"]["diagnosis"]["recommendations"], diagnosis.recommendations, strict=True):
                told["action_text"] = remedy_text(one, language)
        case ToolFinished(text=text) if preview:
            view["event"]["text"] = clean(text[:PREVIEW_CHARACTERS])
            if len(text) > PREVIEW_CHARACTERS:
                view["cut_at"] = PREVIEW_CHARACTERS
        case _:
            pass
    return view


def in_words(entry: LogEntry, language: Language) -> LogEntry:
    """Our own sentences in a reader's language. The stored entry is not touched: this is a copy for one reader."""
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
        case CaseEnded(message=message):
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
        # Who sees only some namespaces is told nothing that counts the others.
        "node_count": None if value.partial else summary.nodes,
        "pod_count": None if value.partial else summary.pods,
        "summary": summary.model_dump(mode="json", include=_PARTIAL if value.partial else None),
        "runner": value.runner.id if value.runner else None,
        "writes": value.runner.mode.writes if value.runner else False,
        "kill_switch": value.kill_switch,
        "created_at": value.created_at.isoformat(),
    }


_PARTIAL = {"namespaces", "metrics_api", "prometheus", "cache"}


def cluster_health_view(value: Cluster) -> View:
    runner = value.runner
    return {
        "cluster_id": value.id,
        "agent_status": agent_status(runner),
        "last_heartbeat": _time(runner.last_heartbeat) if runner else None,
        "healthy": value.online and value.health == "healthy",
        "health": value.health,
        "findings": None if value.partial else value.summary.findings,
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
