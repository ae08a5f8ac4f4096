"""What Slack sends as what we keep: only fields that are used, without secrets, under a key that a redelivery has too. Pure.

Kinds and their payloads (text is as Slack escapes it):

message            channel, channel_type, user, user_team, text, ts, thread_ts, mention, by_app, files, redacted
assistant_started  channel, thread_ts, user, context: what is open beside the assistant
assistant_looks    as assistant_started: something else is open beside it now
home               user, tab
joined             channel: the bot was invited
action             user, user_team, channel, message_ts, thread_ts, action_id, block_id, value, action_ts, view, ephemeral,
                   response_url
view               user, user_team, view, hash, callback_id, private_metadata, values
command            user, channel, command, text, response_url
shortcut           user, user_team, channel, message_ts, thread_ts, callback_id, response_url: of a message's menu
group              usergroup: who is in it has changed, or it was switched off
gone               (the app was uninstalled, or its token revoked)
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from protocol.redaction import Redacted, redact

Json = Mapping[str, Any]

_BY_PEOPLE = ("", "file_share", "thread_broadcast", "me_message")
"""Subtypes of messages that people write; all others tell of edits, joins, bots and the like."""
_MOST_TEXT = 40_000
_MOST_BYTES = 48_000
"""Of a text as JSON, so that an item with it goes into the inbox: what doesn't is refused each time that Slack sends it."""


@dataclass(frozen=True)
class Kept:
    """One thing that happened in Slack."""

    team: str
    kind: str
    lane: str
    """What is handled one after the other."""
    position: str
    """Slack's time of it."""
    dedupe: str
    payload: dict[str, Any] = field(default_factory=dict[str, Any])


def trimmed(body: Json, bot_user: str) -> Kept | None:
    """None for what is not ours to keep. `bot_user` is who we are there; "" when nobody knows right now."""
    kind = str(body.get("type", ""))
    if kind == "event_callback":
        event = _of(body, "event")
        team = team_of(body)
        make = _EVENTS.get(str(event.get("type", "")))
        return make(team, event, bot_user, str(body.get("event_id", ""))) if make is not None and team else None
    if kind == "block_actions":
        return _action(body)
    if kind == "view_submission":
        return _view(body)
    if kind == "message_action":
        return _shortcut(body)
    if "command" in body and "trigger_id" in body:
        return _command(body)
    return None


def team_of(body: Json) -> str:
    """The workspace where the app is installed, also when somebody of another one acted in a shared channel."""
    team = body.get("team")
    named = cast(Json, team).get("id") if isinstance(team, Mapping) else team
    installed = _of(body, "view").get("app_installed_team_id")
    return str(_authorised(body).get("team_id") or installed or body.get("team_id") or named or "")


def bot_of(body: Json) -> str:
    """The bot's user there, where an event tells it."""
    authorised = _authorised(body)
    return str(authorised.get("user_id", "")) if authorised.get("is_bot") else ""


def _authorised(body: Json) -> Json:
    found = _list(body.get("authorizations"))
    return cast(Json, found[0]) if found and isinstance(found[0], Mapping) else {}


def _message(team: str, event: Json, bot_user: str, _event_id: str) -> Kept | None:
    user, channel, ts = str(event.get("user", "")), str(event.get("channel", "")), str(event.get("ts", ""))
    if not (user and channel and ts) or user == bot_user:
        return None
    if not _by_people(event) and not _by_an_app(event, bot_user):
        return None
    said = _without_secrets(str(event.get("text", ""))[:_MOST_TEXT])
    # Both events of one message have its ts: whichever comes first is kept, so both must look the same.
    named = f"<@{bot_user}>" if bot_user else "<@"
    thread_ts = str(event.get("thread_ts", ""))
    kind = str(event.get("channel_type", ""))
    payload = {
        "channel": channel,
        "channel_type": "im" if kind == "im" or channel.startswith("D") else kind,
        "user": user,
        "user_team": str(event.get("user_team") or event.get("team") or team),
        "text": _fitting(said.text),
        "ts": ts,
        "thread_ts": thread_ts,
        "mention": event.get("type") == "app_mention" or named in said.text,
        "by_app": bool(event.get("bot_id")),
        "files": len(_list(event.get("files"))),
        "redacted": said.count,
    }
    return Kept(team, "message", _thread_lane(team, channel, thread_ts or ts), ts, f"message/{channel}/{ts}", payload)


def _by_people(event: Json) -> bool:
    return not event.get("bot_id") and event.get("subtype", "") in _BY_PEOPLE


def _by_an_app(event: Json, bot_user: str) -> bool:
    """Another app that names us: where a channel lets strangers read, it may ask, never as the person whose token it may have.
    Not ours, so we must know who we are."""
    named = bool(bot_user) and f"<@{bot_user}>" in str(event.get("text", ""))
    return named and bool(event.get("bot_id")) and event.get("subtype", "") in ("", "bot_message")


def _assistant(team: str, event: Json, _bot_user: str, event_id: str) -> Kept | None:
    thread = _of(event, "assistant_thread")
    channel, thread_ts = str(thread.get("channel_id", "")), str(thread.get("thread_ts", ""))
    context = _of(thread, "context")
    payload = {
        "channel": channel,
        "thread_ts": thread_ts,
        "user": str(thread.get("user_id", "")),
        "context": {name: str(context[name]) for name in ("channel_id", "team_id") if context.get(name)},
    }
    at = str(event.get("event_ts", thread_ts))
    kind = "assistant_started" if event.get("type") == "assistant_thread_started" else "assistant_looks"
    return Kept(team, kind, _thread_lane(team, channel, thread_ts), at, f"event/{event_id}", payload)


def _home(team: str, event: Json, _bot_user: str, event_id: str) -> Kept | None:
    user, at = str(event.get("user", "")), str(event.get("event_ts", ""))
    payload = {"user": user, "tab": str(event.get("tab", ""))}
    return Kept(team, "home", _person_lane(team, user), at, f"event/{event_id}", payload)


def _joined(team: str, event: Json, bot_user: str, event_id: str) -> Kept | None:
    if not bot_user or event.get("user") != bot_user:
        return None
    channel = str(event.get("channel", ""))
    at = str(event.get("event_ts", ""))
    return Kept(team, "joined", f"{team}/{channel}", at, f"event/{event_id}", {"channel": channel})


def _group(team: str, event: Json, _bot_user: str, event_id: str) -> Kept | None:
    usergroup = str(event.get("subteam_id") or _of(event, "subteam").get("id") or "")
    at = str(event.get("event_ts", ""))
    return Kept(team, "group", f"{team}/groups", at, f"event/{event_id}", {"usergroup": usergroup}) if usergroup else None


def _gone(team: str, event: Json, _bot_user: str, event_id: str) -> Kept | None:
    if event.get("type") == "tokens_revoked" and not _list(_of(event, "tokens").get("bot")):
        return None
    return Kept(team, "gone", f"{team}/app", str(event.get("event_ts", "")), f"event/{event_id}")


def _action(body: Json) -> Kept | None:
    actions, team, user = _list(body.get("actions")), team_of(body), _of(body, "user")
    if not actions or not team:
        return None
    action = cast(Json, actions[0])
    message, container, view = _of(body, "message"), _of(body, "container"), _of(body, "view")
    message_ts = str(container.get("message_ts") or message.get("ts") or "")
    thread_ts = str(container.get("thread_ts") or message.get("thread_ts") or "")
    channel = str(_of(body, "channel").get("id") or container.get("channel_id") or "")
    who, at = str(user.get("id", "")), str(action.get("action_ts", ""))
    payload = {
        "user": who,
        "user_team": str(user.get("team_id") or team),
        "channel": channel,
        "message_ts": message_ts,
        "thread_ts": thread_ts,
        "action_id": str(action.get("action_id", "")),
        "block_id": str(action.get("block_id", "")),
        "value": _chosen(action),
        "action_ts": at,
        "view": str(view.get("id", "")),
        "ephemeral": bool(container.get("is_ephemeral")),
        "response_url": str(body.get("response_url", "")),
    }
    lane = _thread_lane(team, channel, thread_ts or message_ts) if message_ts else _person_lane(team, who)
    place = message_ts or f"{payload['view']}/{view.get('hash', '')}"
    return Kept(team, "action", lane, at, f"action/{channel}/{place}/{payload['action_id']}/{at}/{who}", payload)


def _view(body: Json) -> Kept | None:
    view, user, team = _of(body, "view"), _of(body, "user"), team_of(body)
    if not team:
        return None
    who = str(user.get("id", ""))
    payload = {
        "user": who,
        "user_team": str(user.get("team_id") or team),
        "view": str(view.get("id", "")),
        "hash": str(view.get("hash", "")),
        "callback_id": str(view.get("callback_id", "")),
        "private_metadata": str(view.get("private_metadata", "")),
        "values": {
            f"{block}/{action}": _chosen(cast(Json, state))
            for block, states in _of(_of(view, "state"), "values").items()
            for action, state in cast(Json, states).items()
        },
    }
    return Kept(team, "view", _person_lane(team, who), "", f"view/{payload['view']}/{payload['hash']}/{who}", payload)


def _shortcut(body: Json) -> Kept | None:
    team, user, message = team_of(body), _of(body, "user"), _of(body, "message")
    channel, ts = str(_of(body, "channel").get("id", "")), str(body.get("message_ts") or message.get("ts") or "")
    if not (team and channel and ts):
        return None
    thread_ts, at = str(message.get("thread_ts", "")), str(body.get("action_ts", ""))
    payload = {
        "user": str(user.get("id", "")),
        "user_team": str(user.get("team_id") or team),
        "channel": channel,
        "message_ts": ts,
        "thread_ts": thread_ts,
        "callback_id": str(body.get("callback_id", "")),
        "response_url": str(body.get("response_url", "")),
    }
    dedupe = f"shortcut/{channel}/{ts}/{payload['callback_id']}/{at}/{payload['user']}"
    return Kept(team, "shortcut", _thread_lane(team, channel, thread_ts or ts), at, dedupe, payload)


def _command(body: Json) -> Kept | None:
    team, who, trigger = str(body.get("team_id", "")), str(body.get("user_id", "")), str(body.get("trigger_id", ""))
    said = _without_secrets(str(body.get("text", ""))[:_MOST_TEXT])
    payload = {
        "user": who,
        "user_team": team,
        "channel": str(body.get("channel_id", "")),
        "command": str(body.get("command", "")),
        "text": _fitting(said.text),
        "redacted": said.count,
        "response_url": str(body.get("response_url", "")),
    }
    return Kept(team, "command", _person_lane(team, who), "", f"command/{trigger}", payload) if team else None


_EVENTS: dict[str, Callable[[str, Json, str, str], Kept | None]] = {
    "app_mention": _message,
    "message": _message,
    "assistant_thread_started": _assistant,
    "assistant_thread_context_changed": _assistant,
    "app_home_opened": _home,
    "member_joined_channel": _joined,
    "subteam_members_changed": _group,
    "subteam_updated": _group,
    "tokens_revoked": _gone,
    "app_uninstalled": _gone,
}


def _chosen(element: Json) -> str:
    """What was pressed, chosen or typed, without secrets."""
    for name in ("selected_option", "selected_date", "value"):
        found = element.get(name)
        if isinstance(found, Mapping):
            found = cast(Json, found).get("value")
        if found is not None:
            return _fitting(redact(str(found)[:_MOST_TEXT]).text)
    return ""


def _without_secrets(text: str) -> Redacted:
    """Of what people wrote, as Slack escapes it. Looked at as it was written, too: a secret may stand between `<` and `>`."""
    once = redact(text)
    written = once.text.translate(_SLACKS)
    for entity, letter in _ENTITIES:
        written = written.replace(entity, letter)
    again = redact(written)
    if not again.count:
        return once
    escaped = again.text
    for entity, letter in reversed(_ENTITIES):
        escaped = escaped.replace(letter, entity)
    return Redacted(text=escaped.translate(_SLACKS_AGAIN), count=once.count + again.count)


_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_SLACKS = str.maketrans({"<": "\ue000", ">": "\ue001", "\ue000": None, "\ue001": None})
"""What Slack itself puts between these (people, channels, links) is set aside meanwhile."""
_SLACKS_AGAIN = str.maketrans({"\ue000": "<", "\ue001": ">"})


def _fitting(text: str) -> str:
    """Without its end, where it has too many bytes: letters of three or four, signs that JSON writes as six."""
    while (over := len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) - _MOST_BYTES) > 0:
        text = text[: -(over // 6 + 1)]
    return text


def _thread_lane(team: str, channel: str, ts: str) -> str:
    return f"{team}/{channel}/{ts}"


def _person_lane(team: str, user: str) -> str:
    return f"{team}/{user}"


def _of(value: Json, name: str) -> Json:
    found = value.get(name)
    return cast(Json, found) if isinstance(found, Mapping) else {}


def _list(value: object) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
