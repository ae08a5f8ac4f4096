"""What Slack sends and answers, built from the records: messages, people, channels, events. Pure."""

import re
from typing import Any

from tests.fake_slack.records import Channel, Json, Message, User
from tests.fake_slack.world import World

VERIFICATION = "verification-token-of-old"


def message_json(world: World, message: Message) -> Json:
    """A message as the Web API, events and interactions show it."""
    body: Json = {"type": "message", "user": message.user, "ts": message.ts, "text": message.text, "team": message.team_id}
    if message.bot_id:
        body |= {"bot_id": message.bot_id, "app_id": message.app_id}
    if message.subtype:
        body["subtype"] = message.subtype
    if message.blocks:
        body["blocks"] = message.blocks
    if message.attachments:
        body["attachments"] = message.attachments
    if message.metadata:
        body["metadata"] = message.metadata
    if message.edits:
        body["edited"] = {"user": message.user, "ts": f"{message.edits[-1].at:.6f}"}
    replies = [] if message.thread_ts else [one for one in world.thread(message.channel, message.ts) if one.ts != message.ts]
    if message.thread_ts or replies:
        body["thread_ts"] = message.thread
    if replies:
        body |= {"reply_count": len(replies), "latest_reply": replies[-1].ts}
    if message.files:
        body["files"] = [{"id": one, "name": world.files[one].name} for one in message.files]
    if message.reactions:
        body["reactions"] = [{"name": name, "users": who, "count": len(who)} for name, who in message.reactions.items()]
    return body


def message_event(message: Message, channel: Channel, user: User, home: str) -> Json:
    """The `message` event of a person's or a bot's message. `home` is the team where the app is installed."""
    event: Json = {
        "type": "message",
        "channel": channel.id,
        "channel_type": channel.kind,
        "user": message.user,
        "text": message.text,
        "ts": message.ts,
        "event_ts": message.ts,
        "team": message.team_id,
        "blocks": message.blocks,
    }
    if message.thread_ts:
        event["thread_ts"] = message.thread_ts
    if message.bot_id:
        event |= {"bot_id": message.bot_id, "app_id": message.app_id}
    if message.subtype:
        event["subtype"] = message.subtype
    if user.team_id != home:
        event |= {"user_team": user.team_id, "source_team": user.team_id}
    return event


def envelope_of(event: Json, *, event_id: str, at: float, team_id: str, app_id: str, bot_user: str, shared: bool) -> Json:
    """An event in the wrapper of the Events API."""
    return {
        "token": VERIFICATION,
        "team_id": team_id,
        "context_team_id": team_id,
        "context_enterprise_id": None,
        "api_app_id": app_id,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(at),
        "authorizations": [
            {"enterprise_id": None, "team_id": team_id, "user_id": bot_user, "is_bot": True, "is_enterprise_install": False}
        ],
        "is_ext_shared_channel": shared,
        "event_context": f"4-{event_id}",
    }


def changed_event(world: World, message: Message, channel: Channel, ts: str) -> Json:
    """The `message_changed` event after an edit."""
    before = message_json(world, message)
    if message.edits:
        before |= {"text": message.edits[-1].text, "blocks": message.edits[-1].blocks}
    return {
        "type": "message",
        "subtype": "message_changed",
        "channel": channel.id,
        "channel_type": channel.kind,
        "message": message_json(world, message),
        "previous_message": before,
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
    }


def deleted_event(world: World, message: Message, channel: Channel, ts: str) -> Json:
    """The `message_deleted` event."""
    return {
        "type": "message",
        "subtype": "message_deleted",
        "channel": channel.id,
        "channel_type": channel.kind,
        "deleted_ts": message.ts,
        "previous_message": message_json(world, message),
        "hidden": True,
        "ts": ts,
        "event_ts": ts,
    }


def person_json(user: User) -> Json:
    """A person as interactions name one."""
    return {"id": user.id, "username": user.name, "name": user.name, "team_id": user.team_id}


def interaction(world: World, kind: str, user: User, team_id: str, trigger: str) -> Json:
    """What every interaction carries."""
    team = world.teams[team_id]
    shown = person_json(user)
    return {
        "type": kind,
        "user": shown,
        "api_app_id": world.app.id,
        "token": VERIFICATION,
        "trigger_id": trigger,
        "team": {"id": team.id, "domain": team.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def as_typed(text: str) -> str:
    """What an app gets of the plain words that a person typed: escaped, addresses in angle brackets."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"https?://[^\s<>]+", lambda found: f"<{found.group()}>", escaped)


def typed_text(text: str) -> list[Json]:
    """The blocks that Slack makes of what a person typed."""
    pieces: list[Any] = [{"type": "text", "text": text}]
    return [{"type": "rich_text", "block_id": "typed", "elements": [{"type": "rich_text_section", "elements": pieces}]}]
