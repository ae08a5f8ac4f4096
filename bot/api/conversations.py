"""Conversations over REST: create, list, read the log, ask, stop."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from bot.api.language import Reader, language_of
from bot.api.paging import Cursor, Limit, listing
from bot.api.stream import StreamsOf
from bot.api.views import conversation_view, entry_view, turn_view
from control_plane.conversations import Conversation, Turn
from control_plane.errors import NotFound
from control_plane.services import ControlPlane
from protocol.base import Strict
from protocol.events import Language, TurnCancelled, TurnFailed, TurnFinished

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"])

ConversationId = Annotated[str, Path(max_length=64)]
Text = Annotated[str, Field(max_length=20_000)]


class NewConversation(Strict):
    cluster: str = Field(max_length=200, description="Id or name")
    namespaces: list[Annotated[str, Field(max_length=63)]] | None = Field(default=None, max_length=200)
    title: str = Field(default="", max_length=200)
    text: Text = Field(default="", description="The first question")
    language: Language | None = None
    client_id: str | None = Field(default=None, max_length=64)


class Question(Strict):
    text: Text
    language: Language | None = None
    client_id: str | None = Field(default=None, max_length=64, description="A repeat of the same POST gives the same turn")


@router.get("")
async def list_conversations(me: Me, plane: Plane, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    """Newest first."""
    page, following = await plane.conversations.list(me.principal, limit=limit, before=cursor)
    return listing("conversations", [conversation_view(c) for c in page], following)


@router.post("", status_code=201)
async def create_conversation(body: NewConversation, me: Me, plane: Plane, streams: StreamsOf) -> dict[str, Any]:
    """Open a conversation about a cluster, and ask the first question when `text` is given."""
    conversation, turn = await open_conversation(plane, me, body)
    streams.nudge()
    return {"conversation": conversation_view(conversation), "turn": turn_view(turn) if turn else None}


@router.get("/{conversation}")
async def get_conversation(conversation: ConversationId, me: Me, plane: Plane) -> dict[str, Any]:
    return conversation_view(await plane.conversations.get(conversation, me.principal))


@router.get("/{conversation}/log")
async def get_log(
    conversation: ConversationId,
    me: Me,
    plane: Plane,
    reader: Reader,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> dict[str, Any]:
    """The log in order. `next` is the `after` of the following page, null at the end."""
    found = await plane.conversations.get(conversation, me.principal)
    entries = await plane.conversations.log(conversation, after=after, limit=limit)
    last = entries[-1].seq if entries else after
    following = str(last) if len(entries) == limit and last < found.last_seq else None
    return listing("entries", [entry_view(e, language=reader) for e in entries], following)


@router.get("/{conversation}/log/{seq}")
async def get_entry(
    conversation: ConversationId, seq: Annotated[int, Path(ge=1)], me: Me, plane: Plane, reader: Reader
) -> dict[str, Any]:
    await plane.conversations.get(conversation, me.principal)
    entries = await plane.conversations.log(conversation, after=seq - 1, limit=1)
    if not entries or entries[0].seq != seq:
        raise NotFound(f"There is no entry {seq} in this conversation.")
    return entry_view(entries[0], language=reader)


@router.post("/{conversation}/ask", status_code=202)
async def ask(
    conversation: ConversationId, body: Question, me: Me, plane: Plane, streams: StreamsOf, response: Response
) -> dict[str, Any]:
    """Queue a question; follow it in the stream or the log."""
    turn = await ask_in(plane, me, conversation, body)
    streams.nudge()
    response.headers["Location"] = f"/api/v1/conversations/{conversation}/log"
    return {"turn": turn_view(turn)}


@router.post("/{conversation}/cancel", status_code=202)
async def cancel(conversation: ConversationId, me: Me, plane: Plane) -> dict[str, Any]:
    """Stop: what runs or waits in this conversation ends at the next model or tool boundary."""
    return {"cancelled": await cancel_open_turns(plane, me, conversation)}


async def open_conversation(plane: ControlPlane, me: Caller, body: NewConversation) -> tuple[Conversation, Turn | None]:
    cluster = await plane.fleet.get(body.cluster, me.principal)
    conversation = await plane.conversations.create(
        me.principal,
        cluster=cluster.id,
        namespaces=tuple(body.namespaces) if body.namespaces else None,
        title=body.title.strip(),
    )
    if not body.text.strip():
        return conversation, None
    turn = await ask_in(plane, me, conversation.id, Question(text=body.text, language=body.language, client_id=body.client_id))
    return await plane.conversations.get(conversation.id, me.principal), turn


async def ask_in(plane: ControlPlane, me: Caller, conversation: str, question: Question) -> Turn:
    await plane.conversations.get(conversation, me.principal)
    return await plane.conversations.ask(
        conversation,
        me.principal,
        question.text,
        door=me.asking_door,
        language=question.language or language_of(question.text),
        client_id=question.client_id,
    )


async def cancel_open_turns(plane: ControlPlane, me: Caller, conversation: str) -> list[str]:
    await plane.conversations.get(conversation, me.principal)
    turns = await _open_turns(plane, conversation)
    for turn in turns:
        await plane.conversations.request_cancel(turn, me.principal)
    return turns


async def _open_turns(plane: ControlPlane, conversation: str) -> list[str]:
    """Turns that the log opened and did not close, oldest first."""
    turns: dict[str, bool] = {}
    after = 0
    while entries := await plane.conversations.log(conversation, after=after, limit=1000):
        after = entries[-1].seq
        for entry in entries:
            if entry.turn is None:
                continue
            ended = isinstance(entry.event, TurnFinished | TurnFailed | TurnCancelled)
            turns[entry.turn] = turns.get(entry.turn, False) or ended
    return [turn for turn, ended in turns.items() if not ended]
