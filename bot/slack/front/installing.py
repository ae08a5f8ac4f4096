"""The end of OAuth: a code that Slack gave becomes the installation of a workspace."""

from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from bot.slack.clients import Clients, Me
from bot.slack.manifest import SCOPE_NAMES
from bot.slack.web_api import SLACKS, SlackRefused, SlackTrouble, WebApi
from control_plane.errors import Conflict, Invalid, Unavailable
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.installations import Facts, Workspace
from protocol.text import one_line


def consent_url(settings: Settings, state: str, redirect_uri: str) -> str:
    """Where Slack asks the person whether the app may come into a workspace of theirs."""
    host = urlsplit(settings.slack_api_url).hostname or ""
    site = host if host in SLACKS else SLACKS[0]
    asked = {
        "client_id": settings.slack_client_id,
        "scope": ",".join(SCOPE_NAMES),
        "state": state,
        "redirect_uri": redirect_uri,
    }
    return f"https://{site}/oauth/v2/authorize?{urlencode(asked)}"


async def install(plane: ControlPlane, clients: Clients, code: str, redirect_uri: str, *, by: str) -> Workspace:
    """Raises Invalid (Slack does not know the code), Conflict (what was installed is of no use), Unavailable."""
    settings = plane.settings
    try:
        told = await WebApi(clients.client()).call(
            "oauth.v2.access",
            client_id=settings.slack_client_id,
            client_secret=settings.slack_client() or "",
            code=code,
            redirect_uri=redirect_uri,
        )
        token = _token_of(told)
        me = Me.of(await WebApi(clients.client(token)).call("auth.test"))
    except SlackRefused as error:
        raise Invalid(f"Slack refuses the installation: {one_line(error.code, 60)}. Begin again at /slack/install.") from None
    except SlackTrouble:
        raise Unavailable("Slack does not answer. Begin again at /slack/install in a minute.") from None
    facts = Facts(
        team=me.team,
        enterprise=me.enterprise,
        name=me.workspace,
        url=me.url,
        app=str(told.get("app_id") or ""),
        bot=me.bot,
        bot_user=me.user,
        scopes=tuple(scope for scope in str(told.get("scope") or "").split(",") if scope),
    )
    kept = await plane.slack_workspaces.keep(facts, token, by=by)
    clients.forget(me.team)
    return kept


def _token_of(told: Mapping[str, Any]) -> str:
    if told.get("is_enterprise_install"):
        raise Conflict(
            "The app was installed for a whole organisation, which is not supported: remove it there, and install it in each "
            "workspace that shall have it."
        )
    if told.get("expires_in") or told.get("refresh_token"):
        raise Conflict(
            "Token rotation is on in the app's settings, so its tokens end after twelve hours. Make the app once more from the "
            "manifest: Slack lets nobody turn it off."
        )
    token = cast(object, told.get("access_token"))
    if told.get("token_type") != "bot" or not isinstance(token, str) or not token:
        raise Conflict("Slack gave no token of a bot. Make the app from the manifest of `opsthread slack manifest --http`.")
    return token
