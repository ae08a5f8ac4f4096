"""chat.postMessage, update, delete, postEphemeral and reactions."""

from tests.fake_slack.blocks import check_blocks, check_markdown, check_text
from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.limits import CHOOSERS, MULTI_SELECTS, PICKERS, SELECTS, TYPED
from tests.fake_slack.payloads import message_json
from tests.fake_slack.records import Channel, Edit, Json, Message
from tests.fake_slack.world import World

NO_TEXT = "missing_text_in_message"
"""Slack's warning for blocks without a `text` that notifications and screen readers could use."""


def post_message(world: World, call: Call) -> Json:
    channel = target(world, call)
    message = drafted(world, call, channel)
    message.thread_ts = thread_of(world, call, channel)
    world.add(message)
    world.echo("posted", message)
    return {"ok": True, "channel": channel.id, "ts": message.ts, "message": message_json(world, message), **_warned(message)}


def post_ephemeral(world: World, call: Call) -> Json:
    channel = target(world, call)
    person = call.need("user")
    if person not in channel.members:
        raise SlackError("user_not_in_channel")
    message = drafted(world, call, channel)
    message.thread_ts, message.only_for = call.text("thread_ts"), person
    world.ephemerals.append(message)
    world.changed()
    return {"ok": True, "message_ts": message.ts}


def update(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("ts", "message_not_found"))
    if channel.is_archived:
        raise SlackError("is_archived")
    if message.user != call.token.user_id or (message.subtype and message.subtype != "bot_message"):
        raise SlackError("cant_update_message")
    if world.streaming(message):
        raise SlackError("streaming_state_conflict")
    blocks = call.objects("blocks", "invalid_blocks_format")
    text = call.text("text") or call.text("markdown_text")
    if not text and not blocks and not call.has("attachments"):
        raise SlackError("no_text")
    check_text(text, of_update=True)
    check_blocks(blocks)
    check_files(world, blocks)
    message.edits.append(Edit(world.clock.now(), message.text, message.blocks))
    message.text = text
    # Without blocks, text takes the place of those that were there; without text they stay.
    if call.has("blocks") or text:
        message.blocks = with_block_ids(world, blocks)
    message.warnings = [NO_TEXT] if blocks and not text else []
    if call.has("metadata"):
        message.metadata = call.object("metadata")
    world.changed()
    world.echo("changed", message)
    shown = message_json(world, message)
    return {"ok": True, "channel": channel.id, "ts": message.ts, "text": text, "message": shown, **_warned(message)}


def delete(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("ts", "message_not_found"))
    if message.user != call.token.user_id:
        raise SlackError("cant_delete_message")
    message.deleted = True
    world.changed()
    world.echo("deleted", message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


def add_reaction(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("timestamp", "bad_timestamp"))
    who = message.reactions.setdefault(call.need("name", "invalid_name"), [])
    if call.token.user_id in who:
        raise SlackError("already_reacted")
    who.append(call.token.user_id)
    world.changed()
    return {"ok": True}


def target(world: World, call: Call) -> Channel:
    """The channel that the caller may write to."""
    name = call.need("channel", "channel_not_found")
    person = world.users.get(name)
    if person is not None and not person.is_bot:
        if person.deleted:
            raise SlackError("channel_not_found")
        return world.direct_message(call.token.user_id, name)
    channel = world.channel(name)
    if channel.is_archived:
        raise SlackError("is_archived")
    if call.token.user_id not in channel.members:
        anyone = "chat:write.public" in call.token.scopes and not channel.is_private and not channel.is_im
        if not anyone:
            raise SlackError("channel_not_found" if channel.is_private or channel.is_im else "not_in_channel")
    return channel


def drafted(world: World, call: Call, channel: Channel) -> Message:
    """The message that the arguments describe, checked, not yet posted."""
    blocks = call.objects("blocks", "invalid_blocks_format")
    text, markdown = call.text("text"), call.text("markdown_text")
    if markdown and (text or blocks):
        raise SlackError("markdown_text_conflict")
    if not text and not markdown and not blocks and not call.objects("attachments"):
        raise SlackError("no_text")
    check_text(text)
    check_markdown(markdown)
    check_blocks(blocks)
    check_files(world, blocks)
    return Message(
        channel=channel.id,
        ts=world.new_ts(),
        team_id=call.token.team_id,
        user=call.token.user_id,
        bot_id=call.token.bot_id,
        app_id=world.app.id,
        text=text or markdown,
        blocks=with_block_ids(world, blocks or ([{"type": "markdown", "text": markdown}] if markdown else [])),
        attachments=call.objects("attachments"),
        metadata=call.object("metadata"),
        unfurl_links=call.flag("unfurl_links"),
        unfurl_media=call.flag("unfurl_media", True),
        link_names=call.flag("link_names"),
        parse=call.text("parse") or "none",
        warnings=[NO_TEXT] if blocks and not text else [],
    )


def check_files(world: World, blocks: list[Json]) -> None:
    """A picture block may show an uploaded file by id, once the upload is complete."""
    for place, block in enumerate(blocks):
        if block.get("type") != "image" or "slack_file" not in block:
            continue
        shown: Json = block["slack_file"]
        file = world.files.get(str(shown.get("id", "")))
        if file is None or not file.complete:
            raise invalid("invalid_blocks", [f"invalid slack file [json-pointer:/blocks/{place}/slack_file]"])


def permalink(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("message_ts", "message_not_found"))
    team = world.teams[channel.team_id]
    address = f"https://{team.domain}.slack.com/archives/{channel.id}/p{message.ts.replace('.', '')}"
    inside = f"?thread_ts={message.thread_ts}&cid={channel.id}" if message.thread_ts else ""
    return {"ok": True, "channel": channel.id, "permalink": address + inside}


def remove_reaction(world: World, call: Call) -> Json:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("timestamp", "bad_timestamp"))
    name = call.need("name", "invalid_name")
    who = message.reactions.get(name, [])
    if call.token.user_id not in who:
        raise SlackError("no_reaction")
    who.remove(call.token.user_id)
    if not who:
        del message.reactions[name]
    world.changed()
    return {"ok": True}


def with_block_ids(world: World, blocks: list[Json]) -> list[Json]:
    """Slack names each block that comes without a name, and each element without an action_id."""
    named: list[Json] = []
    for block in blocks:
        block: Json = {**block, "block_id": block.get("block_id") or world.new_id("b")}
        if isinstance(block.get("elements"), list):
            block["elements"] = [_with_action_id(world, one) for one in block["elements"]]
        for single in ("accessory", "element"):
            if isinstance(block.get(single), dict):
                block[single] = _with_action_id(world, block[single])
        named.append(block)
    return named


INTERACTIVE = {"button", "overflow", "icon_button", "feedback_buttons", *PICKERS, *CHOOSERS, *TYPED, *SELECTS, *MULTI_SELECTS}


def _with_action_id(world: World, element: Json) -> Json:
    nameless = element.get("type") in INTERACTIVE and "action_id" not in element
    return {**element, "action_id": world.new_id("a")} if nameless else element


def thread_of(world: World, call: Call, channel: Channel) -> str:
    """The ts of the root that `thread_ts` names; empty without one."""
    ts = call.text("thread_ts")
    if not ts:
        return ""
    root = world.messages.get((channel.id, ts))
    if root is None:
        raise SlackError("thread_not_found")
    return root.thread


def _warned(message: Message) -> Json:
    return {"warning": NO_TEXT, "response_metadata": {"warnings": [NO_TEXT]}} if message.warnings else {}
