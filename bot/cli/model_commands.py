"""`opsthread usage …`, `opsthread turn …` and `opsthread model …` as typer sees them."""

from typing import Annotated

import typer

from bot.cli.options import DataDir, Json, Token, Url

usage_app = typer.Typer(help="What models cost, and the budgets.", rich_markup_mode=None)
turn_app = typer.Typer(help="Single turns, for administrators.", no_args_is_help=True, rich_markup_mode=None)
model_app = typer.Typer(help="The language models.", no_args_is_help=True, rich_markup_mode=None)


@usage_app.callback(invoke_without_command=True)
def show(context: typer.Context, url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Tokens and money of today and this month, as far as you may see them; `usage set` sets a budget."""
    if context.invoked_subcommand is not None:
        return
    from bot.cli.usage import show_usage

    raise SystemExit(show_usage(url=url, token=token, data_dir=data_dir, as_json=as_json))


@usage_app.command("set")
def set_(
    kind: Annotated[str, typer.Argument(help="cluster or person.")],
    subject: Annotated[str, typer.Argument(help="Whose budget: a name, or '*' for all without their own.")],
    per: Annotated[str, typer.Option(help="day or month.")] = "day",
    tokens: Annotated[int | None, typer.Option(help="At most so many; none when absent.", min=0)] = None,
    money: Annotated[float | None, typer.Option(help="At most so much; none when absent.", min=0)] = None,
    configured: Annotated[bool, typer.Option("--configured", help="Back to what is configured.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Set a budget. When it is used up, the fallback model or the rules answer."""
    from bot.cli.usage import set_budget

    raise SystemExit(
        set_budget(
            kind, subject, per=per, tokens=tokens, money=money, configured=configured, url=url, token=token, data_dir=data_dir
        )
    )


@turn_app.command("requests")
def requests(
    turn: Annotated[str, typer.Argument(help="Id of a turn; `ask --json` and the web say it.")],
    request: Annotated[
        str | None, typer.Option("--show", help="Print the exact bytes of this request; 'all' for one after the other.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """What a turn sent to the model, byte for byte. For administrators of all that it shows; reading it is audited."""
    from bot.cli.usage import show_requests

    raise SystemExit(show_requests(turn, request=request, url=url, token=token, data_dir=data_dir, as_json=as_json))


@model_app.command("show")
def show_model(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """The configured models in the order in which they are asked, and whether they are."""
    from bot.cli.usage import show_models

    raise SystemExit(show_models(url=url, token=token, data_dir=data_dir, as_json=as_json))
