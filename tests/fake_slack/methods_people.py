"""users.*, usergroups.*, team.info and bots.info."""

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.records import Json, User, UserGroup
from tests.fake_slack.world import World


def info(world: World, call: Call) -> Json:
    return {"ok": True, "user": user_json(world.user(call.need("user", "user_not_found")), call)}


def listing(world: World, call: Call) -> Json:
    """The members of the workspace, bots and deactivated ones too; people of other companies are not among them."""
    everyone = [one for one in world.users.values() if one.team_id == call.token.team_id]
    page, more = paged(everyone, call)
    return {"ok": True, "members": [user_json(one, call) for one in page], "response_metadata": {"next_cursor": more}}


def lookup_by_email(world: World, call: Call) -> Json:
    email = call.need("email", "users_not_found").lower()
    for one in world.users.values():
        if one.email.lower() == email and one.team_id == call.token.team_id and not one.deleted and not one.is_bot:
            return {"ok": True, "user": user_json(one, call)}
    raise SlackError("users_not_found")


def group_listing(world: World, call: Call) -> Json:
    mine = [one for one in world.groups.values() if one.team_id == call.token.team_id]
    shown = [one for one in mine if call.flag("include_disabled") or not one.disabled]
    return {"ok": True, "usergroups": [_group_json(one, call.flag("include_users")) for one in shown]}


def group_members(world: World, call: Call) -> Json:
    group = world.groups.get(call.need("usergroup", "no_such_subteam"))
    if group is None or group.team_id != call.token.team_id:
        raise SlackError("no_such_subteam")
    shown = [] if group.disabled and not call.flag("include_disabled") else group.users
    return {"ok": True, "users": [one for one in shown if not world.user(one).deleted]}


def team_info(world: World, call: Call) -> Json:
    team = world.teams.get(call.text("team") or call.token.team_id)
    if team is None:
        raise SlackError("team_not_found")
    return {"ok": True, "team": {"id": team.id, "name": team.name, "domain": team.domain, "email_domain": ""}}


def bot_info(world: World, call: Call) -> Json:
    bot = next((one for one in world.users.values() if one.bot_id and one.bot_id == call.text("bot")), None)
    if bot is None:
        raise SlackError("bot_not_found")
    return {
        "ok": True,
        "bot": {"id": bot.bot_id, "name": bot.name, "user_id": bot.id, "app_id": world.app.id, "deleted": bot.deleted},
    }


def user_json(user: User, call: Call) -> Json:
    """A person as this caller may see: the address only with its scope, and never that of another company's people."""
    stranger = user.team_id != call.token.team_id
    profile: Json = {"real_name": user.real_name, "display_name": user.name, "team": user.team_id}
    if "users:read.email" in call.token.scopes and not stranger and not user.is_bot:
        profile["email"] = user.email
    if user.bot_id:
        profile["bot_id"] = user.bot_id
    shown: Json = {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "profile": profile,
    }
    if not user.deleted:
        shown |= {
            "tz": user.tz,
            "is_admin": user.is_admin,
            "is_owner": False,
            "is_restricted": user.is_restricted,
            "is_ultra_restricted": user.is_ultra_restricted,
        }
    if user.is_email_confirmed is not None and not user.is_bot:
        shown["is_email_confirmed"] = user.is_email_confirmed
    if user.enterprise:
        shown["enterprise_user"] = user.enterprise
    if stranger:
        shown["is_stranger"] = True
    if call.flag("include_locale"):
        shown["locale"] = user.locale
    return shown


def paged(items: list[User], call: Call) -> tuple[list[User], str]:
    """One page of a list, and the cursor of the next."""
    begin, size = int(call.text("cursor") or 0), call.number("limit", 1000)
    end = begin + size
    return items[begin:end], str(end) if end < len(items) else ""


def _group_json(group: UserGroup, with_users: bool) -> Json:
    shown: Json = {
        "id": group.id,
        "team_id": group.team_id,
        "is_usergroup": True,
        "name": group.name,
        "handle": group.handle,
        "user_count": len(group.users),
        "date_delete": 1 if group.disabled else 0,
    }
    return {**shown, "users": group.users} if with_users else shown
