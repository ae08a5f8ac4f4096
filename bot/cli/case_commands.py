"""`opsthread cases …`, `opsthread weights …` and `opsthread feedback …` as typer sees them."""

from typing import Annotated

import typer

from bot.cli.options import DataDir, Json, Token, Url

cases_app = typer.Typer(help="Closed incidents as knowledge.", no_args_is_help=True, rich_markup_mode=None)
weights_app = typer.Typer(help="What outcomes and approvers' feedback have moved.", no_args_is_help=True, rich_markup_mode=None)

CaseId = Annotated[str, typer.Argument(help="Id of the case; `cases list` says it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


@cases_app.command("list")
def list_(
    cluster: Annotated[str, typer.Option(help="Only of this cluster.")] = "",
    code: Annotated[str, typer.Option(help="Only with this root cause.")] = "",
    outcome: Annotated[str, typer.Option(help="provisional, held, relapsed or unsolved.")] = "",
    origin: Annotated[str, typer.Option(help="action, import, seed or adopted.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the cases that you may see, newest first."""
    from bot.cli.cases import list_cases

    filters = {"cluster": cluster, "code": code, "outcome": outcome, "origin": origin}
    where = {"url": url, "token": token, "data_dir": data_dir}
    raise SystemExit(list_cases(filters=filters, limit=limit, as_json=as_json, where=where))


@cases_app.command("show")
def show(case: CaseId, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show one case with its soak."""
    from bot.cli.cases import show_case

    raise SystemExit(show_case(case, as_json=as_json, where={"url": url, "token": token, "data_dir": data_dir}))


@cases_app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="File of JSON lines, as `cases export` writes them; - for the standard input.")],
    cluster: Annotated[str | None, typer.Option(help="The cluster that they are about here, whatever they say.")] = None,
    general: Annotated[bool, typer.Option("--general", help="About no cluster: for everybody. Administrators only.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Import cases. Their text is cleaned, redacted and capped."""
    from bot.cli.cases import import_cases

    where = {"url": url, "token": token, "data_dir": data_dir}
    raise SystemExit(import_cases(source, cluster=cluster, general=general, where=where))


@cases_app.command("export")
def export(
    target: Annotated[str, typer.Argument(help="File to write; - for the standard output.")] = "-",
    seeds: Annotated[bool, typer.Option("--seeds", help="Also those that come with Opsthread.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Export the cases that you may see as JSON lines."""
    from bot.cli.cases import export_cases

    raise SystemExit(export_cases(target, seeds=seeds, where={"url": url, "token": token, "data_dir": data_dir}))


@cases_app.command("forget")
def forget(case: CaseId, yes: Yes = False, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Forget a case for good. Audited."""
    from bot.cli.cases import forget_case

    raise SystemExit(forget_case(case, yes=yes, where={"url": url, "token": token, "data_dir": data_dir}))


@weights_app.command("show")
def show_weights(
    history: Annotated[bool, typer.Option("--history", help="Every change. Administrators only.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show the weights that are not 1, and the votes behind them."""
    from bot.cli.cases import show_weights as run

    raise SystemExit(run(history=history, as_json=as_json, where={"url": url, "token": token, "data_dir": data_dir}))


@weights_app.command("reset")
def reset_weights(yes: Yes = False, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Set all weights back to 1. Administrators only; audited."""
    from bot.cli.cases import reset_weights as run

    raise SystemExit(run(yes=yes, where={"url": url, "token": token, "data_dir": data_dir}))


def feedback(
    verdict: Annotated[str, typer.Argument(help="right or wrong; list: what was said; causes: what an actual cause can be.")],
    actual: Annotated[str, typer.Option(help="With wrong: what it was, by its code.")] = "",
    note: Annotated[str, typer.Option(help="In your own words; secrets in it are blacked out.")] = "",
    conversation: Annotated[str | None, typer.Option(help="Which; the newest when absent.")] = None,
    turn: Annotated[str | None, typer.Option(help="Which question of it; the newest when absent.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say whether an answer was right. Everybody's word is kept; an approver's moves what is suspected first."""
    from bot.cli.feedback import give, list_causes, list_said

    where = {"url": url, "token": token, "data_dir": data_dir}
    if verdict == "causes":
        raise SystemExit(list_causes(as_json=as_json, where=where))
    if verdict == "list":
        raise SystemExit(list_said(conversation=conversation, as_json=as_json, where=where))
    if verdict not in ("right", "wrong"):
        raise typer.BadParameter("say right, wrong, list or causes", param_hint="VERDICT")
    raise SystemExit(give(verdict, conversation=conversation, turn=turn, actual=actual, note=note, where=where))
