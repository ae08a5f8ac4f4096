"""A conversation's thread in Slack, over REST: where it is, where one may be begun, and beginning it."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from bot.api.access import Me, Plane
from bot.api.conversations import ConversationId
from bot.api.language import Reader
from bot.api.stream import StreamsOf
from bot.slack import sharing
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from protocol.base import Strict

router = APIRouter(prefix="/api/v1/conversations", tags=["slack"])


class Where(Strict):
    team: str = Field(max_length=32, description="Slack's id of the workspace")
    channel: str = Field(max_length=32, description="Slack's id of the channel, or of your direct message with the bot")


@router.get("/{conversation}/slack")
async def get_thread(conversation: ConversationId, me: Me, plane: Plane) -> dict[str, Any]:
    """`url` is its thread, null while there is none; `places` are those where you may begin one."""
    return await seen(plane, conversation, me.principal)


@router.post("/{conversation}/slack", status_code=201)
async def begin_thread(
    conversation: ConversationId, body: Where, me: Me, plane: Plane, reader: Reader, streams: StreamsOf
) -> dict[str, Any]:
    """Begin its thread in a bound channel that may see all of it, or in your direct message with the bot. What is asked on
    either side is shown on both. A conversation has one thread: once it is posted, that one is given."""
    found = await plane.conversations.get(conversation, me.principal)
    await sharing.begin(plane, found, me.principal, team=body.team, channel=body.channel, language=reader, door=me.door)
    streams.nudge()
    return await seen(plane, conversation, me.principal)


async def seen(plane: ControlPlane, conversation: str, principal: Principal) -> dict[str, Any]:
    found = await plane.conversations.get(conversation, principal)
    thread = await plane.slack_threads.of_conversation(conversation)
    open_now = thread is not None and thread.thread_ts is not None
    places = () if open_now else await sharing.places(plane, found, principal)
    return {
        "url": (await sharing.link(plane, thread, principal) or None) if thread is not None else None,
        "posted": open_now,
        "places": [
            {"team": one.team, "channel": one.channel, "name": one.name, "direct": one.kind == "direct"} for one in places
        ],
    }
