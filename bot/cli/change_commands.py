"""`opsthread approvals …`, `opsthread freeze …` and `opsthread audit …` as typer sees them."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.options import DataDir, Json, Token, Url

approvals_app = typer.Typer(help="Proposed changes: look, decide, ask again.", no_args_is_help=True, rich_markup_mode=None)
freeze_app = typer.Typer(help="Freeze windows: when nothing may be changed.", no_args_is_help=True, rich_markup_mode=None)
audit_app = typer.Typer(
    help="Who proposed, decided, ran what, and whether that is still whole.", no_args_is_help=True, rich_markup_mode=None
)

ApprovalId = Annotated[str, typer.Argument(help="Id of the approval; `approvals list` says it.")]
Reason = Annotated[str, typer.Option(help="Why.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask; the card is not shown first.")]


@approvals_app.command("list")
def list_(
    state: Annotated[list[str] | None, typer.Option(help="Only in this state; may be given several times.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 30,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the approvals that you may see, newest first."""
    from bot.cli.approvals import list_approvals

    where = {"url": url, "token": token, "data_dir": data_dir}
    raise SystemExit(list_approvals(states=tuple(state or ()), limit=limit, as_json=as_json, where=where))


@approvals_app.command("show")
def show(approval: ApprovalId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one card: what would run, what is missing and who may give it, or how it ended."""
    from bot.cli.approvals import show_approval

    raise SystemExit(show_approval(approval, as_json=as_json, where={"url": url, "token": token, "data_dir": data_dir}))


@approvals_app.command("approve")
def approve(
    approval: ApprovalId,
    reason: Reason = "",
    override_owner: Annotated[
        bool, typer.Option("--override-owner", help="Run it although its owner would revert it; needs --reason.")
    ] = False,
    yes: Yes = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Approve exactly the plan that is shown. Breaking the glass, and the last approval of a high risk, are for the web."""
    from bot.cli.approvals import decide

    said = {"verdict": "approve", "reason": reason, "override_owner": override_owner}
    raise SystemExit(decide(approval, said, ask=not yes, where={"url": url, "token": token, "data_dir": data_dir}))


@approvals_app.command("reject")
def reject(
    approval: ApprovalId,
    reason: Annotated[str, typer.Option(help="Why not; the agent and the person who asked read it.", prompt="Why not?")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Reject it; your own, take it back."""
    from bot.cli.approvals import decide

    said = {"verdict": "reject", "reason": reason}
    raise SystemExit(decide(approval, said, ask=False, where={"url": url, "token": token, "data_dir": data_dir}))


@approvals_app.command("again")
def again(approval: ApprovalId, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Ask again for one that expired, was cancelled or failed: a new plan, from a fresh look at the object."""
    from bot.cli.approvals import ask_again

    raise SystemExit(ask_again(approval, where={"url": url, "token": token, "data_dir": data_dir}))


@freeze_app.command("list")
def freeze_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the freeze windows, open or not."""
    from bot.cli.freezes import list_freezes

    raise SystemExit(list_freezes(as_json=as_json, where={"url": url, "token": token, "data_dir": data_dir}))


@freeze_app.command("add")
def freeze_add(
    reason: Annotated[str, typer.Option(help="People read it on every card that it holds.")],
    cluster: Annotated[str | None, typer.Option(help="Which cluster; all of them when absent.")] = None,
    start: Annotated[str, typer.Option("--from", help="2026-12-24T18:00, or for a weekly one 16:00.")] = "",
    until: Annotated[str, typer.Option(help="2026-12-27T06:00, or for a weekly one 08:00.")] = "",
    day: Annotated[list[str] | None, typer.Option(help="mon … sun: a weekly window that starts on these days.")] = None,
    until_day: Annotated[str | None, typer.Option(help="mon … sun: the day on which a weekly one ends.")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of these times.")] = "UTC",
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Freeze a cluster, or all: once, or every week with --day."""
    from bot.cli.freezes import add_freeze

    raise SystemExit(
        add_freeze(
            cluster=cluster, reason=reason, start=start, until=until, days=tuple(day or ()), until_day=until_day, zone=zone,
            where={"url": url, "token": token, "data_dir": data_dir},
        )
    )  # fmt: skip


@freeze_app.command("end")
def freeze_end(
    freeze: Annotated[str, typer.Argument(help="Id of the window; `freeze list` says it.")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Take a freeze window away."""
    from bot.cli.freezes import end_freeze

    raise SystemExit(end_freeze(freeze, where={"url": url, "token": token, "data_dir": data_dir}))


@audit_app.command("list")
def audit_list(
    subject: Annotated[str | None, typer.Option(help="Only about this: approval:<id>, cluster:<id>, account:<id>.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the newest rows, for administrators."""
    from bot.cli.audit import list_audit

    where = {"url": url, "token": token, "data_dir": data_dir}
    raise SystemExit(list_audit(subject=subject, limit=limit, as_json=as_json, where=where))


@audit_app.command("export")
def audit_export(
    target: Annotated[str, typer.Argument(help="File to write; - for the standard output.")],
    after: Annotated[int, typer.Option(min=0, help="Leave out rows up to this one.")] = 0,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Write the audit as JSON lines with its signed heads. `audit verify FILE` checks it anywhere."""
    from bot.cli.audit import export_audit

    raise SystemExit(export_audit(target, after=after, where={"url": url, "token": token, "data_dir": data_dir}))


@audit_app.command("verify")
def audit_verify(
    source: Annotated[
        Path | None, typer.Argument(help="An export; without one, the running server checks its own tables.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Public key in hex that you trust; `audit key` prints it. May be given twice.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Check an export without any server, or the server's whole chain. Exit 1 when something does not hold."""
    from bot.cli.audit import verify_audit

    where = {"url": url, "token": token, "data_dir": data_dir}
    raise SystemExit(verify_audit(source, keys=tuple(key or ()), where=where))


@audit_app.command("key")
def audit_key(url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Print the public key that the audit is signed with; keep it somewhere else than the audit."""
    from bot.cli.audit import print_key

    raise SystemExit(print_key(where={"url": url, "token": token, "data_dir": data_dir}))
