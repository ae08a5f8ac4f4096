"""`opsthread slack …` as typer sees it."""

from typing import Annotated

import typer

from bot.cli.options import DataDir, Json, Token, Url

slack_app = typer.Typer(help="The bot in Slack.", no_args_is_help=True, rich_markup_mode=None)


@slack_app.command("manifest")
def manifest(
    http: Annotated[
        str, typer.Option(help="Slack reaches us by HTTP, at this address (https://…), instead of by socket mode.")
    ] = "",
    name: Annotated[str, typer.Option(help="What the bot is called in Slack.")] = "Opsthread",
) -> None:
    """Print the manifest that the Slack app is created from."""
    from bot.cli.slack import print_manifest

    raise SystemExit(print_manifest(http=http, name=name))


@slack_app.command("check")
def check(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Test tokens, scopes, channels and user groups, and say what to mend. Exit 0 when nothing fails, else 1."""
    from bot.cli.slack import check as run

    raise SystemExit(run(url=url, token=token, data_dir=data_dir, as_json=as_json))
