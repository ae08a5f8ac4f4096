"""auth.*, apps.*, oauth.*, team and bots: who the app is."""

from tests.fake_slack.calls import Call
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
