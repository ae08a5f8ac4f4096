"""auth.*, apps.*, oauth.*, team and bots: who the app is."""

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.records import Json
from tests.fake_slack.world import World


def auth_test(world: World, call: Call) -> Json:
    token = call.token
    team = world.teams.get(token.team_id)
    if team is None:
        return {"ok": True, "app_id": world.app.id, "app_name": "opsthread"}
    return {
        "ok": True,
        "url": f"https://{team.domain}.slack.com/",
        "team": team.name,
        "team_id": team.id,
        "user": world.user(token.user_id).name,
        "user_id": token.user_id,
        "bot_id": token.bot_id,
        "is_enterprise_install": False,
    }


def connections_open(world: World, call: Call) -> Json:
    ticket = world.chance.hex()
    world.tickets.add(ticket)
    return {"ok": True, "url": f"{world.socket_base}/link?ticket={ticket}&app_id={world.app.id}"}


def oauth_access(world: World, call: Call) -> Json:
    """Exchange a code that a person's consent gave (`FakeSlack.consent`) for a bot token."""
    client = call.basic or (call.text("client_id"), call.text("client_secret"))
    if client[0] != world.app.client_id:
        raise SlackError("invalid_client_id")
    if client[1] != world.app.client_secret:
        raise SlackError("bad_client_secret")
    grant = world.codes.pop(call.text("code"), None)
    if grant is None:
        raise SlackError("invalid_code")
    if grant.redirect_uri != call.text("redirect_uri"):
        raise SlackError("bad_redirect_uri")
    token, team = grant.token, world.teams[grant.token.team_id]
    token.revoked = False
    world.tokens[token.value] = token
    return {
        "ok": True,
        "app_id": world.app.id,
        "authed_user": {"id": grant.user},
        "scope": ",".join(sorted(token.scopes)),
        "token_type": "bot",
        "access_token": token.value,
        "bot_user_id": token.user_id,
        "team": {"id": team.id, "name": team.name},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def auth_revoke(world: World, call: Call) -> Json:
    if not call.flag("test"):
        call.token.revoked = True
        world.changed()
    return {"ok": True, "revoked": not call.flag("test")}
