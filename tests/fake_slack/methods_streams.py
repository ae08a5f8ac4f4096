"""chat.startStream, appendStream, stopStream: a message that is built from pieces while people watch, and closed by time."""

from typing import Any, cast

from tests.fake_slack.blocks import check_blocks, check_markdown
from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.limits import LIMITS, STATUSES
from tests.fake_slack.methods_chat import target, thread_of, with_block_ids
from tests.fake_slack.payloads import message_json
from tests.fake_slack.records import Json, Message, Stream
from tests.fake_slack.world import World


def start(world: World, call: Call) -> Json:
    channel = target(world, call)
    if channel.is_im:
        call.need("thread_ts")
    else:
        call.need("recipient_team_id", "missing_recipient_team_id")
        if call.need("recipient_user_id", "missing_recipient_user_id") not in channel.members:
            raise SlackError("user_not_in_channel")
    mode = call.text("task_display_mode") or "timeline"
    if mode not in ("timeline", "plan"):
        raise invalid("invalid_arguments", ["must be one of timeline, plan [json-pointer:/task_display_mode]"])
    now = world.clock.now()
    stream = Stream(now, now, call.text("recipient_user_id"), call.text("recipient_team_id"), mode)
    pieces = _pieces(call, stream)
    token = call.token
    message = Message(channel.id, "", token.team_id, token.user_id, "", bot_id=token.bot_id, app_id=world.app.id, stream=stream)
    message.thread_ts = thread_of(world, call, channel)
    _check_size(stream, pieces)
    message.ts = world.new_ts()
    world.add(message)
    _take(world, message, stream, pieces)
    world.echo("posted", message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


def append(world: World, call: Call) -> Json:
    message, stream = _streaming(world, call)
    pieces = _pieces(call, stream)
    if not pieces:
        raise SlackError("no_text")
    _check_size(stream, pieces)
    _take(world, message, stream, pieces)
    return {"ok": True, "channel": message.channel, "ts": message.ts}


def stop(world: World, call: Call) -> Json:
    message, stream = _streaming(world, call)
    pieces = _pieces(call, stream)
    last = call.objects("blocks", "invalid_blocks_format")
    check_blocks(last)
    _check_size(stream, pieces)
    stream.stopped = True
    stream.last_blocks = with_block_ids(world, last)
    if call.has("metadata"):
        message.metadata = call.object("metadata")
    _take(world, message, stream, pieces)
    world.echo("changed", message)
    return {"ok": True, "channel": message.channel, "ts": message.ts, "message": message_json(world, message)}


def _streaming(world: World, call: Call) -> tuple[Message, Stream]:
    channel = world.channel(call.need("channel", "channel_not_found"))
    message = world.message(channel.id, call.need("ts", "message_not_found"))
    if message.user != call.token.user_id:
        raise SlackError("message_not_owned_by_app")
    stream = message.stream
    if stream is not None and stream.stopped_by:
        raise SlackError("stopped_by_user")
    if stream is None or not world.streaming(message):
        raise SlackError("message_not_in_streaming_state")
    return message, stream


def _pieces(call: Call, stream: Stream) -> list[Json]:
    """The chunks of a call, checked; `markdown_text` is one of text. A stream takes the one or the other to its end."""
    chunks, text = call.objects("chunks", "invalid_chunks"), call.text("markdown_text")
    if chunks and text:
        raise SlackError("cannot_provide_both_markdown_text_and_chunks")
    check_markdown(text)
    if stream.pieces and ((chunks and stream.by_text) or (text and not stream.by_text)):
        raise SlackError("streaming_mode_mismatch")
    stream.by_text = stream.by_text if stream.pieces else bool(text)
    for place, chunk in enumerate(chunks):
        problem = _problem(chunk)
        if problem:
            raise invalid("invalid_chunks", [f"{problem} [json-pointer:/chunks/{place}]"])
    return chunks or ([{"type": "markdown_text", "text": text}] if text else [])


def _problem(chunk: Json) -> str:
    match chunk.get("type"):
        case "markdown_text":
            if not isinstance(chunk.get("text"), str) or not chunk["text"]:
                return "missing required field: text"
            check_markdown(chunk["text"])
        case "task_update":
            missing = [name for name in ("id", "title") if not chunk.get(name)]
            if missing:
                return f"missing required field: {missing[0]}"
            if chunk.get("status", "pending") not in STATUSES:
                return f"status must be one of {', '.join(STATUSES)}"
        case "plan_update":
            if not chunk.get("title"):
                return "missing required field: title"
        case "blocks":
            check_blocks(cast(list[Json], chunk.get("blocks") or []))
        case unknown:
            return f"unsupported type: {unknown}"
    return ""


def _check_size(stream: Stream, more: list[Json]) -> None:
    """One streamed message holds so much and not more, whatever the number of calls that brought it."""
    pieces = [*stream.pieces, *more]
    tasks: dict[str, Json] = {}
    for piece in pieces:
        if piece["type"] == "task_update":
            tasks[str(piece["id"])] = _joined(tasks.get(str(piece["id"]), {}), piece)
    size = sum(_bytes(piece.get("text"), piece.get("title")) for piece in pieces if piece["type"] != "task_update")
    # Details and output weigh twice: measured on the real one, nowhere documented.
    size += sum(_bytes(task["title"]) + 2 * _bytes(task.get("details"), task.get("output")) for task in tasks.values())
    blocks = [block for piece in pieces if piece["type"] == "blocks" for block in piece["blocks"]]
    if size > LIMITS["bytes of a stream"]:
        raise SlackError("msg_too_long")
    if len(blocks) > LIMITS["blocks of a message"]:
        raise invalid("invalid_blocks", ["no more than 50 items allowed [json-pointer:/blocks]"])


def _bytes(*texts: Any) -> int:
    return sum(len(str(text).encode()) for text in texts if text)


def _take(world: World, message: Message, stream: Stream, pieces: list[Json]) -> None:
    """Add the pieces, and build the message anew from all of them."""
    stream.touched_at = world.clock.now()
    for piece in pieces:
        stream.pieces.append(piece)
        if piece["type"] == "task_update":
            stream.tasks[str(piece["id"])] = _joined(stream.tasks.get(str(piece["id"]), {}), piece)
        elif piece["type"] == "plan_update":
            stream.plan_title = str(piece["title"])
    message.text = "".join(str(piece["text"]) for piece in stream.pieces if piece["type"] == "markdown_text")
    message.blocks = [
        {**block, "block_id": block.get("block_id") or f"stream{place}"} for place, block in enumerate(_built(stream))
    ]
    world.changed()


def _built(stream: Stream) -> list[Json]:
    """The blocks that people see: text as it came, each task where it was first seen (or all of them in the plan), the rest."""
    blocks: list[Json] = []
    shown: set[str] = set()
    for piece in stream.pieces:
        match piece["type"]:
            case "markdown_text" if blocks and blocks[-1]["type"] == "markdown":
                blocks[-1] = {"type": "markdown", "text": blocks[-1]["text"] + piece["text"]}
            case "markdown_text":
                blocks.append({"type": "markdown", "text": piece["text"]})
            case "blocks":
                blocks += piece["blocks"]
            case "task_update" if stream.task_display_mode == "timeline" and str(piece["id"]) not in shown:
                shown.add(str(piece["id"]))
                blocks.append(_card(stream.tasks[str(piece["id"])]))
            case "task_update" | "plan_update" if stream.task_display_mode != "timeline" and "plan" not in shown:
                shown.add("plan")
                tasks = [_card(task) for task in stream.tasks.values()]
                blocks.append({"type": "plan", "title": stream.plan_title or "Thinking", "tasks": tasks})
            case _:
                continue
    return blocks + stream.last_blocks


def _joined(task: Json, update: Json) -> Json:
    """Title and status are replaced; details and output grow with each update, as text does."""
    grown = {name: f"{task.get(name) or ''}{update.get(name) or ''}" for name in ("details", "output")}
    return {**task, **update, **{name: text for name, text in grown.items() if text}}


def _card(task: Json) -> Json:
    card: Json = {
        "type": "task_card",
        "task_id": str(task["id"]),
        "title": task["title"],
        "status": task.get("status", "pending"),
    }
    for name in ("details", "output"):
        if task.get(name):
            pieces = [{"type": "text", "text": str(task[name])}]
            card[name] = {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": pieces}]}
    if task.get("sources"):
        card["sources"] = task["sources"]
    return card
