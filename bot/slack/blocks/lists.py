"""Lines of lists that the Home tab and /opsthread share: clusters, approvals that wait, alert groups."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from bot.slack.blocks.alert import AlertView, ranked
from bot.slack.blocks.limits import Block
from bot.slack.blocks.rich import Piece, code, listed, our_link, paragraph, prose, rich, text, when
from bot.slack.words import Language, say, say_or

View = dict[str, Any]
ROWS = 12
"""Lines of one list; the rest is counted."""


def clusters(views: Sequence[View], language: Language) -> Block:
    """bot.api.views.cluster_view's, as somebody may see them."""
    rows = [_cluster(view, language) for view in views]
    return _list(rows, language, say(language, "list.no_clusters"))


def approvals(views: Sequence[View], language: Language, url: Callable[[View], str]) -> Block:
    """bot.api.cards.approval_view's; `url` gives the page of one, or ""."""
    return _list([_approval(view, language, url(view)) for view in views], language, say(language, "inbox.none"))


def incidents(views: Sequence[AlertView], language: Language, url: Callable[[AlertView], str]) -> Block:
    """Alert groups, the worst first; `url` gives where one is talked about, or ""."""
    return _list([_incident(view, language, url(view)) for view in ranked(views)], language, say(language, "list.no_incidents"))


def _list(rows: Sequence[list[Piece]], language: Language, none: str) -> Block:
    if not rows:
        return rich(paragraph(text(none, italic=True)))
    more = len(rows) - ROWS
    tail = [paragraph(text(say(language, "diagnosis.more", n=more), italic=True))] if more > 0 else []
    return rich(listed(rows[:ROWS]), *tail)


def _cluster(view: View, language: Language) -> list[Piece]:
    online = bool(view["online"])
    mark = "🟢" if online and view["health"] == "healthy" else "🟡" if online else "⚪"
    health = say_or(language, f"health.{view['health']}", str(view["health"])) if online else say(language, "cluster.offline")
    parts = [health]
    if view["node_count"] is not None:
        parts.append(say(language, "list.size", nodes=view["node_count"], pods=view["pod_count"]))
    findings = cast(dict[str, int], cast(View, view["summary"] or {}).get("findings") or {})
    if view["node_count"] is not None and sum(findings.values()):
        parts.append(say(language, "list.findings", n=sum(findings.values())))
    if view["kill_switch"]:
        parts.append(say(language, "changes.killed"))
    return [text(f"{mark} "), *prose(str(view["name"]), 200, bold=True), *prose(f" · {' · '.join(parts)}", 400)]


def _approval(view: View, language: Language, url: str) -> list[Piece]:
    expires = datetime.fromisoformat(str(view["expires_at"])).astimezone(UTC)
    level = str(view["risk"])
    pieces: list[Piece] = [
        code(str(view["command_line"]), 300),
        text(f" · {say(language, f'risk.{level}')} · "),
        *prose(str(view["cluster_name"]), 200),
        text(f" · {say(language, 'approval.expires_at')} "),
        when(expires, "{time}"),
    ]
    return [*pieces, text(" · "), our_link(url, say(language, "approval.on_web"))] if url else pieces


def _incident(view: AlertView, language: Language, url: str) -> list[Piece]:
    parts = [
        say_or(language, f"alert.severity.{view.severity}", view.severity),
        say(language, "alert.counts", firing=view.firing, resolved=view.resolved),
        *([say(language, "alert.taken", name=view.acknowledged_by_name)] if view.acknowledged_by_name else []),
    ]
    pieces: list[Piece] = [
        *(prose(view.title, 200, bold=True) or [text(say(language, "alert.untitled"))]),
        text(" · "),
        *prose(" · ".join(parts), 300),
        text(" · "),
        code(f"{view.cluster_name}/{view.namespace}".rstrip("/"), 120),
        text(" · "),
        when(view.opened_at, "{date_short_pretty} {time}"),
    ]
    return [*pieces, text(" · "), our_link(url, say(language, "notice.open"))] if url else pieces
