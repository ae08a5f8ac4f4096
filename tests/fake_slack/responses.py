"""response_url: answers to an interaction without a token."""

import json
from typing import Any, cast

from aiohttp import web

from tests.fake_slack.blocks import check_blocks, check_text
from tests.fake_slack.errors import SlackError
from tests.fake_slack.limits import LIMITS
from tests.fake_slack.methods_chat import with_block_ids
from tests.fake_slack.records import Edit, Json, Message, ResponseUrl
from tests.fake_slack.world import World

LIFE_S = 1800.0


async def answer(world: World, request: web.Request) -> web.Response:
    """Take one answer; it replaces or deletes the pressed message, or makes a new one."""
    url = world.response_urls.get(request.match_info["ticket"])
    body: Json = json.loads(await request.text())
    try:
        if url is None or world.clock.now() - url.made_at > LIFE_S:
            raise SlackError("expired_url")
        if len(url.answers) >= LIMITS["uses of a response_url"]:
            raise SlackError("used_url")
        check_text(str(body.get("text") or ""))
        check_blocks(cast(list[Json], body.get("blocks") or []))
        respond(world, url, body)
    except SlackError as refused:
        return web.json_response(refused.body(), status=404 if refused.code.endswith("_url") else 400)
    return web.Response(text="ok")


def respond(world: World, url: ResponseUrl, body: dict[str, Any]) -> None:
    """The effect of an answer, or of the text that came with a command's acknowledgement."""
    url.answers.append(body)
    text, blocks = str(body.get("text") or ""), with_block_ids(world, body.get("blocks") or [])
    pressed = url.message
    if body.get("delete_original") and pressed:
        pressed.deleted = True
    elif body.get("replace_original") and pressed:
        pressed.edits.append(Edit(world.clock.now(), pressed.text, pressed.blocks))
        pressed.text, pressed.blocks = text, blocks
    else:
        bot = world.bot_of(url.team_id)
        made = Message(url.channel, world.new_ts(), url.team_id, bot.id, text, blocks, bot_id=bot.bot_id, app_id=world.app.id)
        made.thread_ts = str(body.get("thread_ts") or "")
        if body.get("response_type") == "in_channel":
            world.add(made)
        else:
            made.only_for = url.user
            world.ephemerals.append(made)
    world.changed()
