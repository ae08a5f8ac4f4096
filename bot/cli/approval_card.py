"""The approval card in the terminal, from REST's view of it: honest in every state. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from bot.cli.cards import approval_panel
from protocol.remediation import BlastRadius, Owner, Plan, PlanBody, Risk
from protocol.text import clean

View = dict[str, Any]

_STYLES = {
    "pending": "blue",
    "approved": "cyan",
    "running": "cyan",
    "succeeded": "green",
    "rolled_back": "red",
    "failed": "red",
    "unknown": "bold red",
    "rejected": "red",
}


def card_of(view: View, *, now: datetime | None = None) -> RenderableType:
    """The plan as it would run, then where it stands: what is missing and who may give it, or how it ended."""
    plan = _plan(view)
    panel = approval_panel(
        plan,
        command_line=str(view["command_line"]),
        undo_line=str(view["undo_line"]),
        why=str(view["why"]),
        who=_who(view),
        expires_at=datetime.fromisoformat(str(view["expires_at"])),
        now=now or datetime.now(UTC),
        four_eyes=bool(view["four_eyes"]),
    )
    parts: list[RenderableType] = [panel]
    if plan.owner.reverts and plan.owner.git_patch:
        parts.append(Panel(Text(clean(plan.owner.git_patch)), title="Patch for Git", border_style="yellow"))
    return Group(*parts, *where_it_stands(view))


def where_it_stands(view: View) -> Iterator[Text]:
    """A line each."""
    state = str(view["state"])
    line = Text(f"{state.replace('_', ' ').capitalize()}", style=_STYLES.get(state, "dim"))
    if view["decided_by_name"]:
        line.append(f" by {clean(str(view['decided_by_name']))}", style="default")
    if view["outcome"]:
        line.append(f": {clean(str(view['outcome']))}", style="default")
    yield line
    glass = cast(View | None, view["break_glass"])
    if glass is not None:
        yield Text(f"{clean(str(glass['by_name']))} broke the glass for this: {clean(str(glass['reason']))}", style="bold red")
    freeze = cast(View | None, view["freeze"])
    if freeze is not None:
        yield Text(f"Frozen until {freeze['until']}: {clean(str(freeze['reason']))}", style="yellow")
    yield from _missing(view)
    for said in cast(list[View], view["decisions"]):
        words = "approved" if said["verdict"] == "approve" else "rejected"
        also = ", as a temporary override of its owner" if said["override_owner"] else ""
        reason = f": {clean(str(said['reason']))}" if said["reason"] else ""
        yield Text(f"{clean(str(said['by_name']))} {words} it{also}{reason}", style="dim")
    for look in cast(list[str], view["look_at"]):
        yield Text(f"Look before you try again: {clean(look)}")
    yield from _you(view)


def _missing(view: View) -> Iterator[Text]:
    if not view["missing"]:
        return
    people = ", ".join(clean(name) for name in cast(list[str] | None, view["electors"]) or [])
    who = f"could give it: {people}" if people else "nobody else has that role there now; an admin can give it"
    yield Text(f"Still missing: {view['missing']} by the role {view['quorum']['role']}; {who}", style="dim")


def _you(view: View) -> Iterator[Text]:
    you = cast(View, view["you"])
    if view["state"] == "pending" and not you["may_approve"] and you["refusal"]:
        yield Text(f"Your approval would not count: {clean(str(you['refusal']))}", style="dim")
    if you["may_ask_again"]:
        yield Text(f"Ask for it again: opsthread approvals again {view['id']}", style="dim")


def _who(view: View) -> str:
    quorum = cast(View, view["quorum"])
    people = f"{quorum['needed']} with the role {quorum['role']} or higher"
    return people if quorum["requester_may"] else f"{people}, not {view['requester_name']}"


def _plan(view: View) -> Plan:
    """The shown part of a plan; its body stays with the server."""
    body = PlanBody.model_construct(cluster=str(view["cluster"]))
    return Plan(
        body=body,
        plan_hash=str(view["plan_hash"]),
        risk=Risk(str(view["risk"])),
        diff=str(view["diff"]),
        diff_source="server-dry-run" if view["diff_source"] == "server-dry-run" else "computed",
        blast_radius=BlastRadius.model_validate(view["blast_radius"]),
        owner=Owner.model_validate(view["owner"]),
        cannot_run=cast(str | None, view["cannot_run"]),
        check=str(view["check"]),
        made_at=datetime.fromisoformat(str(view["created_at"])),
    )
