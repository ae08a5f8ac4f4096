"""conversations.*: channels, their members and what was said in them."""

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.payloads import message_json
from tests.fake_slack.records import Channel, Json, Message
from tests.fake_slack.world import World

READ = {"channel": "channels:read", "group": "groups:read", "im": "im:read"}
HISTORY = {"channel": "channels:history", "group": "groups:history", "im": "im:history"}
TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im"}


def info(world: World, call: Call) -> Json:
    channel = _seen(world, call, READ)
    shown = channel_json(channel, call)
    if call.flag("include_num_members"):
        shown["num_members"] = len(channel.members)
    return {"ok": True, "channel": shown}


def listing(world: World, call: Call) -> Json:
    kinds = [TYPES[one] for one in (call.words("types") or ["public_channel"]) if one in TYPES]
    for kind in kinds:
        _need(call, READ[kind])
    mine = [one for one in world.channels.values() if one.kind in kinds and _visible(one, call)]
    shown = [one for one in mine if not (call.flag("exclude_archived") and one.is_archived)]
    begin, size = int(call.text("cursor") or 0), call.number("limit", 100)
    more = str(begin + size) if begin + size < len(shown) else ""
    page = [channel_json(one, call) for one in shown[begin : begin + size]]
    return {"ok": True, "channels": page, "response_metadata": {"next_cursor": more}}


def mine(world: World, call: Call) -> Json:
    """The channels that the caller is in."""
    narrowed = listing(world, call)
    return {**narrowed, "channels": [one for one in narrowed["channels"] if one["is_im"] or one["is_member"]]}


def members(world: World, call: Call) -> Json:
    return {"ok": True, "members": sorted(_seen(world, call, READ).members), "response_metadata": {"next_cursor": ""}}


def open_direct(world: World, call: Call) -> Json:
    people = call.words("users")
    if call.text("channel"):
        return {"ok": True, "channel": {"id": world.channel(call.text("channel")).id}}
    if len(people) != 1:
        raise invalid("invalid_arguments", ["this fake opens direct messages with one person [json-pointer:/users]"])
    person = world.users.get(people[0])
    if person is None or person.deleted or person.is_bot:
        raise SlackError("user_not_found" if person is None else "user_disabled" if person.deleted else "cannot_dm_bot")
    return {"ok": True, "channel": {"id": world.direct_message(call.token.user_id, person.id).id}}


def join(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    if channel.is_private or channel.is_im:
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    channel.members.add(call.token.user_id)
    world.changed()
    return {"ok": True, "channel": channel_json(channel, call)}


def history(world: World, call: Call) -> Json:
    channel = _joined(world, call)
    roots = [one for one in world.in_channel(channel.id) if not one.thread_ts or one.thread_ts == one.ts]
    return _page(world, call, list(reversed(roots)))


def replies(world: World, call: Call) -> Json:
    channel = _joined(world, call)
    found = world.thread(channel.id, call.need("ts", "thread_not_found"))
    if not found:
        raise SlackError("thread_not_found")
    return _page(world, call, found)


def channel_json(channel: Channel, call: Call) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": channel.is_im,
        "is_private": channel.is_private or channel.is_im,
        "is_archived": channel.is_archived,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_member": call.token.user_id in channel.members,
        "context_team_id": channel.team_id,
        "shared_team_ids": [channel.team_id, *channel.shared_with],
        "connected_team_ids": channel.shared_with,
        **({"user": channel.user} if channel.is_im else {}),
    }


def _visible(channel: Channel, call: Call) -> bool:
    member = call.token.user_id in channel.members
    ours = channel.team_id == call.token.team_id or call.token.team_id in channel.shared_with
    return member or (ours and channel.kind == "channel")


def _seen(world: World, call: Call, scopes: dict[str, str]) -> Channel:
    channel = world.channel(call.need("channel", "channel_not_found"))
    if not _visible(channel, call):
        raise SlackError("channel_not_found")
    _need(call, scopes[channel.kind])
    return channel


def _joined(world: World, call: Call) -> Channel:
    channel = _seen(world, call, HISTORY)
    if call.token.user_id not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def _need(call: Call, scope: str) -> None:
    if scope not in call.token.scopes:
        raise SlackError("missing_scope", needed=scope, provided=",".join(sorted(call.token.scopes)))


def _page(world: World, call: Call, found: list[Message]) -> Json:
    oldest, latest = call.text("oldest") or "0", call.text("latest") or "9" * 12
    within = [one for one in found if float(oldest) <= float(one.ts) <= float(latest)]
    begin, size = int(call.text("cursor") or 0), call.number("limit", 100)
    page = [message_json(world, one) for one in within[begin : begin + size]]
    more = begin + size < len(within)
    return {
        "ok": True,
        "messages": page,
        "has_more": more,
        "response_metadata": {"next_cursor": str(begin + size) if more else ""},
    }
