"""`opsthread alerts …` as typer sees it."""

from typing import Annotated, Any

import typer

from bot.cli.options import DataDir, Json, Namespace, Token, Url

alerts_app = typer.Typer(
    help="Alerts that others send: their groups, where their threads go, who may send.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
token_app = typer.Typer(help="Tokens that let senders in, for administrators.", no_args_is_help=True, rich_markup_mode=None)
routes_app = typer.Typer(help="Where threads of alerts go, for administrators.", no_args_is_help=True, rich_markup_mode=None)
alerts_app.add_typer(token_app, name="token")
alerts_app.add_typer(routes_app, name="routes")

GroupId = Annotated[str, typer.Argument(help="Id of the group; `alerts list` says it.")]
RouteId = Annotated[str, typer.Argument(help="Id of the route; `alerts routes list` says it.")]


@alerts_app.command("list")
def list_(
    state: Annotated[str | None, typer.Option(help="firing or resolved.")] = None,
    cluster: Annotated[str | None, typer.Option(help="Only of this cluster.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 30,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the groups that you may see, changed last first."""
    from bot.cli.alerts import list_groups

    raise SystemExit(
        list_groups(state=state, cluster=cluster, limit=limit, as_json=as_json, where=_where(url, token, data_dir))
    )


@alerts_app.command("acknowledge")
def acknowledge(
    group: GroupId,
    off: Annotated[bool, typer.Option("--off", help="Nobody has it in hand any more.")] = False,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """You have it in hand."""
    from bot.cli.alerts import tell

    raise SystemExit(tell(group, "acknowledge", {"on": not off}, where=_where(url, token, data_dir)))


@alerts_app.command("silence")
def silence(
    group: GroupId,
    until: Annotated[str, typer.Option("--for", help="1h, 4h, resolved or off.")] = "1h",
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """No thread, no question and no line in a digest; its message is still kept up to date."""
    from bot.cli.alerts import tell

    raise SystemExit(tell(group, "silence", {"until": until}, where=_where(url, token, data_dir)))


@alerts_app.command("wrong")
def wrong(
    group: GroupId,
    reason: Annotated[str, typer.Option(help="What is wrong about it; others read it.", prompt="What is wrong?")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """The alert is wrong, or what its thread says."""
    from bot.cli.alerts import tell

    raise SystemExit(tell(group, "wrong", {"reason": reason}, where=_where(url, token, data_dir)))


@alerts_app.command("thread")
def thread(group: GroupId, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Open a thread for a group that is only a line of a digest."""
    from bot.cli.alerts import tell

    raise SystemExit(tell(group, "thread", {}, where=_where(url, token, data_dir)))


@token_app.command("create")
def token_create(
    name: Annotated[str, typer.Argument(help="Who sends with it.")],
    cluster: Annotated[
        str | None, typer.Option(help="Its alerts are of this cluster; else their label `cluster` says it.")
    ] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Make a token and print it, this once, with what Alertmanager's configuration needs."""
    from bot.cli.alerts import create_token

    raise SystemExit(create_token(name, cluster, as_json=as_json, where=_where(url, token, data_dir)))


@token_app.command("list")
def token_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the tokens: whose, for which cluster, when it was used last."""
    from bot.cli.alerts import list_tokens

    raise SystemExit(list_tokens(as_json=as_json, where=_where(url, token, data_dir)))


@token_app.command("revoke")
def token_revoke(
    sender: Annotated[str, typer.Argument(help="Id of the token; `alerts token list` says it.")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """From now on it lets nobody in."""
    from bot.cli.alerts import revoke_token

    raise SystemExit(revoke_token(sender, where=_where(url, token, data_dir)))


@routes_app.command("list")
def routes_list(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the routes in the order in which they are asked."""
    from bot.cli.alerts import list_routes

    raise SystemExit(list_routes(as_json=as_json, where=_where(url, token, data_dir)))


@routes_app.command("add")
def routes_add(
    cluster: Annotated[list[str] | None, typer.Option(help="Clusters; all when absent.")] = None,
    namespace: Namespace = None,
    match: Annotated[
        list[str] | None, typer.Option(help='Alertmanager\'s matcher, such as team="payments"; several must all fit.')
    ] = None,
    severity: Annotated[str, typer.Option(help="The least: info, warning or critical.")] = "info",
    channel: Annotated[str | None, typer.Option(help="Slack's TEAM/CHANNEL by their ids; the web alone when absent.")] = None,
    per_hour: Annotated[int, typer.Option(help="Threads an hour; what comes on top goes into a digest.")] = 10,
    language: Annotated[str, typer.Option(help="en, zh or ja.")] = "en",
    position: Annotated[int | None, typer.Option(min=1, help="1 is asked first; behind all others when absent.")] = None,
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Add a route. The first that fits a group says where its thread goes."""
    from bot.cli.alerts import add_route

    team, _, room = (channel or "").partition("/")
    body: dict[str, Any] = {
        "clusters": cluster or ["*"],
        "namespaces": namespace or ["*"],
        "matchers": match or [],
        "least_severity": severity,
        "team": team,
        "channel": room,
        "threads_per_hour": per_hour,
        "language": language,
        "position": position,
    }
    raise SystemExit(add_route(body, where=_where(url, token, data_dir)))


@routes_app.command("move")
def routes_move(
    route: RouteId,
    position: Annotated[int, typer.Argument(min=1, help="1 is asked first.")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Ask it earlier or later."""
    from bot.cli.alerts import move_route

    raise SystemExit(move_route(route, position, where=_where(url, token, data_dir)))


@routes_app.command("remove")
def routes_remove(route: RouteId, url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """Take a route away; what it has sent somewhere stays there."""
    from bot.cli.alerts import remove_route

    raise SystemExit(remove_route(route, where=_where(url, token, data_dir)))


@routes_app.command("test")
def routes_test(
    labels: Annotated[list[str], typer.Argument(help="Labels as name=value: severity=critical namespace=shop team=payments.")],
    cluster: Annotated[str, typer.Option(help="Of which cluster they are.")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say which route alerts with these labels take, and where that leads now."""
    from bot.cli.alerts import try_route

    raise SystemExit(try_route(cluster, labels, as_json=as_json, where=_where(url, token, data_dir)))


def _where(url: str | None, token: str | None, data_dir: Any) -> dict[str, Any]:
    return {"url": url, "token": token, "data_dir": data_dir}
