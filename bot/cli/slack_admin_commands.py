"""What `opsthread slack …` administers, as typer sees it: channels, people, user groups."""

from typing import Annotated, Any

import typer

from bot.cli.options import DataDir, Json, Namespace, Token, Url

Team = Annotated[str, typer.Option(help="Slack's id of the workspace, such as T0123456; found when there is only one.")]
Channel = Annotated[str, typer.Argument(help="Name of a channel that the bot is in, or Slack's id of it, such as C0123456.")]


def channels(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the channels that are bound, and what each of them may see."""
    from bot.cli.slack_admin import list_channels

    raise SystemExit(list_channels(as_json=as_json, where=_where(url, token, data_dir)))


def bind(
    channel: Channel,
    cluster: Annotated[
        list[str],
        typer.Option(help="A cluster, or some of it: prod, or prod:payments,shop. Several times; the first is what is meant."),
    ],
    name: Annotated[str, typer.Option(help="What people call the channel.")] = "",
    strangers: Annotated[
        str, typer.Option(help="refuse, or read: people without an account, guests, external people read what it may see.")
    ] = "refuse",
    follow: Annotated[bool, typer.Option("--follow", help="Answer in its threads without being mentioned.")] = False,
    language: Annotated[str, typer.Option(help="en, zh or ja: of what is not an answer to somebody.")] = "en",
    team: Team = "",
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Say what a channel may see, instead of what it saw before."""
    from bot.cli.slack_admin import bind_channel

    body = {"name": name, "strangers": strangers, "follow": follow, "language": language}
    raise SystemExit(bind_channel(channel, cluster, body, team=team, where=_where(url, token, data_dir)))


def unbind(channel: Channel, team: Team = "", url: Url = None, token: Token = None, data_dir: DataDir = None) -> None:
    """A channel sees nothing any more."""
    from bot.cli.slack_admin import unbind_channel

    raise SystemExit(unbind_channel(channel, team=team, where=_where(url, token, data_dir)))


def people(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List who in Slack acts as which account."""
    from bot.cli.slack_admin import list_people

    raise SystemExit(list_people(as_json=as_json, where=_where(url, token, data_dir)))


def unlink(
    user: Annotated[str, typer.Argument(help="Slack's id of the person, such as U0123456; `slack people` says it.")],
    team: Team = "",
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Somebody in Slack does not act as their account any more."""
    from bot.cli.slack_admin import unlink_person

    raise SystemExit(unlink_person(user, team=team, where=_where(url, token, data_dir)))


def groups(url: Url = None, token: Token = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List which user group of Slack gives which role."""
    from bot.cli.slack_admin import list_groups

    raise SystemExit(list_groups(as_json=as_json, where=_where(url, token, data_dir)))


def map_(
    usergroup: Annotated[str, typer.Argument(help="Handle of the user group, or Slack's id of it, such as S0123456.")],
    role: Annotated[str, typer.Option(help="viewer, operator or approver.")],
    handle: Annotated[str, typer.Option(help="What people call the group.")] = "",
    cluster: Annotated[list[str] | None, typer.Option(help="Clusters of the role; all when absent.")] = None,
    namespace: Namespace = None,
    team: Team = "",
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """Members of a user group hold a role, as long as they are in it."""
    from bot.cli.slack_admin import map_group

    body = {"handle": handle, "role": role, "clusters": cluster or ["*"], "namespaces": namespace or ["*"]}
    raise SystemExit(map_group(usergroup, body, team=team, where=_where(url, token, data_dir)))


def unmap(
    mapping: Annotated[str, typer.Argument(help="Id of the row; `slack groups` says it.")],
    url: Url = None,
    token: Token = None,
    data_dir: DataDir = None,
) -> None:
    """A user group gives a role no more; its members lose it at once."""
    from bot.cli.slack_admin import unmap_group

    raise SystemExit(unmap_group(mapping, where=_where(url, token, data_dir)))


def register(app: typer.Typer) -> None:
    for name, command in _COMMANDS.items():
        app.command(name)(command)


_COMMANDS: dict[str, Any] = {
    "channels": channels,
    "bind": bind,
    "unbind": unbind,
    "people": people,
    "unlink": unlink,
    "groups": groups,
    "map": map_,
    "unmap": unmap,
}


def _where(url: Url, token: Token, data_dir: DataDir) -> dict[str, Any]:
    return {"url": url, "token": token, "data_dir": data_dir, "administering": True}
