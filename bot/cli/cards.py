"""What the terminal shows: steps, diagnosis, approval card. Pure functions from protocol's types to Rich renderables."""

from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from protocol.diagnosis import Diagnosis, Evidence, RootCause, Verdict
from protocol.events import ToolFinished, ToolStarted
from protocol.remediation import Plan
from protocol.text import clean

_RISK_STYLE = {"none": "green", "low": "green", "medium": "yellow", "high": "bold red"}


def step_line(started: ToolStarted | None, finished: ToolFinished) -> Text:
    """`✓ kubectl get pods -n shop  12 ms`"""
    good = finished.status in ("ok", "empty")
    line = Text("  ✓ " if good else "  ✗ ", style="green" if good else "yellow")
    line.append(clean(started.title if started else finished.name), style="default")
    line.append(f"  {finished.duration_ms:.0f} ms", style="dim")
    if not good:
        line.append(f"  {finished.status.replace('_', ' ')}", style="yellow")
    return line


NOT_ENOUGH = "Not enough evidence: what was seen tells that it fails, and does not prove why."
NO_SAFE_FIX = "No safe fix: nothing that may be proposed here mends this. It takes a person."
_COLOURS: dict[Verdict, str] = {"healthy": "green", "root_cause": "red", "not_enough_evidence": "yellow"}
_TITLES: dict[Verdict, str] = {
    "healthy": "Diagnosis",
    "root_cause": "Diagnosis",
    "not_enough_evidence": "Not enough evidence",
}


def diagnosis_panel(diagnosis: Diagnosis, *, stage: str, took_ms: float, explain: bool = False) -> RenderableType:
    """The diagnosis: causes with evidence, what was checked, what could not be seen."""
    parts: list[RenderableType] = [Text(clean(diagnosis.summary), style="bold")]
    for cause in diagnosis.root_causes:
        parts += [Text(), *_cause(cause, explain=explain)]
    if diagnosis.verdict == "not_enough_evidence":
        parts += [Text(), Text(NOT_ENOUGH, style="yellow")]
    elif stage == "rules" and diagnosis.no_safe_fix:
        parts += [Text(), Text(NO_SAFE_FIX, style="yellow")]
    if diagnosis.checked:
        parts += [Text(), _listing("Checked", diagnosis.checked)]
    if diagnosis.limits:
        parts.append(_listing("Could not be seen", diagnosis.limits))
    if diagnosis.similar_cases:
        parts.append(_listing("Seen before", tuple(f"{case.title} ({case.outcome})" for case in diagnosis.similar_cases)))
    colour = _COLOURS[diagnosis.verdict]
    by = "rules" if stage == "rules" else "model, checked against its tool results"
    return Panel(
        Group(*parts),
        title=_TITLES[diagnosis.verdict],
        subtitle=f"by {by} in {took_ms:.0f} ms",
        border_style=colour,
        box=box.ROUNDED,
    )


def approval_panel(
    plan: Plan,
    *,
    command_line: str,
    undo_line: str,
    why: str,
    who: str,
    expires_at: datetime,
    now: datetime,
    four_eyes: bool,
) -> RenderableType:
    """The approval card. The command comes from the structured plan, never from a model's prose."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    radius = plan.blast_radius
    reach = [f"{radius.pods} pods"] if radius.pods else []
    reach += [f"services {', '.join(radius.services)}"] if radius.services else []
    reach += [f"budgets {', '.join(radius.budgets)}"] if radius.budgets else []
    reach += [radius.note] if radius.note else []
    source = "server-side dry run" if plan.diff_source == "server-dry-run" else "computed from the object"
    minutes = max(0, int((expires_at - now).total_seconds() // 60))
    rows = {
        "Risk": Text(plan.risk, style=_RISK_STYLE[plan.risk]),
        "Reaches": Text(clean("; ".join(reach) or "nothing else")),
        "Undo": Text(clean(undo_line or "none")),
        "Owner": Text(
            clean(
                f"{plan.owner.kind} {plan.owner.name} {plan.owner.detail}".strip()
                if plan.owner.kind != "none"
                else plan.owner.detail or "nobody reverts it"
            )
        ),
        "Why": Text(clean(why)),
        "Check": Text(clean(plan.check)),
        "Who may approve": Text(clean(who)),
        "Expires": Text(f"in {minutes} min ({expires_at.astimezone():%H:%M})"),
        "Plan": Text(f"{plan.plan_hash[:12]}, {source}"),
    }
    for name, value in rows.items():
        facts.add_row(name, value)
    parts: list[RenderableType] = [Text(clean(command_line), style="bold"), Text(), diff_text(plan.diff), Text(), facts]
    if not four_eyes:
        parts.append(Text("Four-eyes is off: the person who asked may approve.", style="yellow"))
    if plan.cannot_run:
        parts.append(Text(f"This can't run: {clean(plan.cannot_run)}", style="yellow"))
    return Panel(Group(*parts), title="Proposed fix", border_style="blue", box=box.ROUNDED)


def diff_text(diff: str) -> Text:
    text = Text()
    for line in clean(diff).splitlines():
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else "dim"
        text.append(line + "\n", style=style)
    return text


def _cause(cause: RootCause, *, explain: bool) -> list[RenderableType]:
    head = Text("Root cause: ", style="bold red")
    head.append(f"{cause.code}", style="bold")
    head.append(f" in {cause.object}", style="default")
    head.append(f"  {cause.confidence:.0%} sure", style="dim")
    parts: list[RenderableType] = [head, Text(clean(cause.explanation))]
    parts += [_evidence(piece) for piece in cause.evidence]
    if explain:
        parts += [Text(f"  because it {clean(reason)}", style="dim") for reason in cause.reasons]
    return parts


def _evidence(piece: Evidence) -> Text:
    line = Text(f"  • {piece.source} ", style="cyan")
    line.append(str(piece.object), style="dim")
    if piece.field:
        line.append(f" {clean(piece.field)}", style="dim")
    if piece.at:
        line.append(f" {piece.at.astimezone():%H:%M:%S}", style="dim")
    line.append("\n    " + clean(piece.excerpt).replace("\n", "\n    "), style="default")
    return line


def _listing(title: str, items: tuple[str, ...]) -> Text:
    line = Text(f"{title}: ", style="dim")
    line.append("; ".join(clean(item) for item in items), style="dim")
    return line
