"""GET /api/v1/stream: one multiplexed Server-Sent Events stream a tab.

Events: `hello`, `log` (a log entry), `approval` (an approval that an entry spoke of, as this person sees it), `live` (text
deltas and progress, never stored), `lists` (side bar and inbox, when they changed), `gone` (the right to read has ended).
The id of each is a map of cursors; the table is what is sent, the bus only wakes.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from time import monotonic
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from sse_starlette import EventSourceResponse, ServerSentEvent

from bot.api.access import Caller, Me
from bot.api.cards import approval_view, notification_view
from bot.api.cursors import encode, parse
from bot.api.language import Reader
from bot.api.live import Hub
from bot.api.noted import Noted
from bot.api.views import conversation_view, entry_view, live_view
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.errors import NotFound, NotSignedIn, ServiceError
from control_plane.services import ControlPlane
from protocol.approval import ApprovalState
from protocol.canonical import digest
from protocol.events import (
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    Language,
    Live,
    LogEntry,
    ModelMessage,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    Wake,
)

router = APIRouter(prefix="/api/v1", tags=["stream"])

HEARTBEAT_S = 15
_BATCH = 500
_QUEUE = 2_000


@dataclass(frozen=True)
class Pace:
    """How often a stream looks by itself."""

    recheck_s: float = 10
    """Whether the reader still may read. A change of rights is heard of at once; this is for when that was lost."""
    lists_s: float = 15
    """Clusters going on- and offline; conversations and approvals are told at once."""
    lists_gap_s: float = 0.25
    """Many changes at once are one look."""
    streams_per_account: int = 12


class Streams:
    """The open streams of this process."""

    def __init__(self, plane: ControlPlane, pace: Pace) -> None:
        self._plane = plane
        self._pace = pace
        self._hub = Hub(plane.conversations, plane.accounts, lists_changed=self.nudge, rights_changed=self.recheck)
        self._open: set[_Stream] = set()
        self._closing = False
        self._noted = Noted(plane.limits, most=pace.streams_per_account)

    async def open(self, me: Caller, cursors: dict[str, int], reader: Language = "en") -> AsyncIterator[ServerSentEvent]:
        """Raises TooMany when the account has its share of streams, on all replicas together."""
        noted = await self._noted.open(me.account)
        stream = _Stream(self._plane, self._hub, self._pace, me, cursors, reader)
        self._open.add(stream)
        self._hub.watch()
        return self._run(stream, noted)

    def nudge(self) -> None:
        """Something changed here: lists are looked at now, not at the next poll."""
        for stream in self._open:
            stream.lists_changed()

    def recheck(self, account: str) -> None:
        """What this account may do has changed: look at its rights now."""
        for stream in self._open:
            if stream.account == account:
                stream.signal(_Recheck())

    def end_session(self, session: str) -> None:
        """The session has signed out."""
        for stream in self._open:
            if stream.session == session:
                stream.signal(_End("signed_out"))

    async def close(self) -> None:
        """Before the server stops: every stream ends, and browsers reconnect to who is left."""
        self._closing = True
        for stream in tuple(self._open):
            stream.signal(_End("restart"))
        await self._hub.close()
        await self._noted.close()

    async def _run(self, stream: "_Stream", noted: str) -> AsyncIterator[ServerSentEvent]:
        try:
            if not self._closing:
                async for event in stream.events():
                    yield event
        finally:
            self._open.discard(stream)
            self._noted.forget(noted)
            await stream.leave()


def streams_of(request: Request) -> Streams:
    return cast(Streams, request.app.state.streams)


StreamsOf = Annotated[Streams, Depends(streams_of)]


@router.get("/stream", response_class=EventSourceResponse)
async def stream(
    me: Me,
    streams: StreamsOf,
    reader: Reader,
    c: Annotated[list[str] | None, Query(description="`<conversation>:<after>`, up to eight")] = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=2000)] = None,
) -> EventSourceResponse:
    """Everything that a tab shows, live. Resumes with Last-Event-ID, without loss or repetition."""
    return EventSourceResponse(
        await streams.open(me, parse(c or [], last_event_id), reader),
        ping=HEARTBEAT_S,
        ping_message_factory=_heartbeat,
        send_timeout=30,
        headers={"Cache-Control": "no-store"},
    )


def _heartbeat() -> ServerSentEvent:
    """A named event, not a comment: a browser tells its page of the one only, and silence must be noticed."""
    return ServerSentEvent(data="{}", event="ping")


@dataclass(frozen=True)
class _Live:
    conversation: str
    live: Live


@dataclass(frozen=True)
class _Lists:
    pass


@dataclass(frozen=True)
class _Recheck:
    pass


@dataclass(frozen=True)
class _End:
    why: str


_Signal = _Live | _Lists | _Recheck | _End


class _Stream:
    """One tab."""

    def __init__(
        self, plane: ControlPlane, hub: Hub, pace: Pace, me: Caller, cursors: dict[str, int], reader: Language
    ) -> None:
        self._plane = plane
        self._hub = hub
        self._pace = pace
        self._me = me
        self._cursors = cursors
        self._reader: Language = reader
        self._signals: asyncio.Queue[_Signal] = asyncio.Queue(_QUEUE)
        self._joined: list[str] = []
        self._lists_digest = ""
        self._lists_due = False

    @property
    def account(self) -> str:
        return self._me.account

    @property
    def session(self) -> str:
        return self._me.session.id

    def signal(self, signal: _Signal) -> None:
        """Never blocks. A reader that is too slow loses live text, which the log will bring whole."""
        if self._signals.full():
            if isinstance(signal, _Live) and not isinstance(signal.live, Wake):
                return
            self._signals.get_nowait()
        self._signals.put_nowait(signal)

    def lists_changed(self) -> None:
        if not self._lists_due:
            self._lists_due = True
            self.signal(_Lists())

    async def leave(self) -> None:
        for conversation in self._joined:
            await self._hub.leave(conversation, self._heard)
        self._joined.clear()

    async def events(self) -> AsyncIterator[ServerSentEvent]:
        yield self._event("hello", {"now": utc_now().isoformat(), "account": self._me.account})
        for conversation in tuple(self._cursors):
            if not await self._may_read(conversation):
                yield self._gone(conversation)
                continue
            self._joined.append(conversation)
            await self._hub.join(conversation, self._heard)
            async for event in self._drain(conversation):
                yield event
            for text in self._hub.texts_so_far(conversation):
                yield self._event("live", {"conversation": conversation, **text.model_dump(mode="json")})
        async for event in self._lists():
            yield event
        async for event in self._follow():
            yield event

    async def _follow(self) -> AsyncIterator[ServerSentEvent]:
        recheck_at = monotonic() + self._pace.recheck_s
        looked_at = monotonic()
        lists_at = looked_at + self._pace.lists_s
        while True:
            signal = await self._next(min(recheck_at, lists_at))
            match signal:
                case _End(why):
                    yield self._event("gone", {"conversation": None, "why": why})
                    return
                case _Live(conversation, Wake()):
                    async for event in self._drain(conversation):
                        yield event
                case _Live(conversation, live) if conversation in self._cursors:
                    yield self._event("live", {"conversation": conversation, **live_view(live, self._reader)})
                case _Lists():
                    lists_at = min(lists_at, looked_at + self._pace.lists_gap_s)
                case _Recheck():
                    recheck_at = 0
                case _:
                    pass
            if monotonic() >= recheck_at:
                recheck_at = monotonic() + self._pace.recheck_s
                before = self._me.principal.roles
                if not await self._still_signed_in():
                    yield self._event("gone", {"conversation": None, "why": "signed_out"})
                    return
                if self._me.principal.roles != before:
                    lists_at = 0
                for conversation in [c for c in self._cursors if not await self._may_read(c)]:
                    yield self._gone(conversation)
            if monotonic() >= lists_at:
                looked_at = monotonic()
                lists_at = looked_at + self._pace.lists_s
                async for event in self._lists():
                    yield event

    async def _next(self, until: float) -> _Signal | None:
        try:
            async with asyncio.timeout(max(0.0, until - monotonic())):
                return await self._signals.get()
        except TimeoutError:
            return None

    def _heard(self, conversation: str, live: Live) -> None:
        self.signal(_Live(conversation, live))

    async def _drain(self, conversation: str) -> AsyncIterator[ServerSentEvent]:
        """All that the table has after our cursor, then each approval that it spoke of, once."""
        if conversation not in self._cursors:
            return
        touched: dict[str, None] = {}
        while entries := await self._plane.conversations.log(conversation, after=self._cursors[conversation], limit=_BATCH):
            for entry in entries:
                self._cursors[conversation] = entry.seq
                touched.update(dict.fromkeys(_approvals_in(entry)))
                self._settle_text(conversation, entry)
                yield self._event("log", entry_view(entry, preview=True, language=self._reader))
        for approval in touched:
            found = await self._approval(approval)
            if found is not None:
                me = self._me.principal
                yield self._event("approval", approval_view(found, me, utc_now(), language=self._reader))
                # Asked for the next one: the connection has taken this.
                await self._plane.approvals.shown([found], me, door=self._me.door, source=self._me.address)

    def _settle_text(self, conversation: str, entry: LogEntry) -> None:
        match entry:
            case LogEntry(turn=str(turn), event=ModelMessage(text=text)):
                self._hub.written(conversation, turn, text)
            case LogEntry(turn=str(turn), event=TurnFinished() | TurnFailed() | TurnCancelled()):
                self._hub.ended(conversation, turn)
            case _:
                pass

    async def _approval(self, approval: str) -> Approval | None:
        try:
            return await self._plane.approvals.get(approval, self._me.principal)
        except NotFound:
            return None

    async def _lists(self) -> AsyncIterator[ServerSentEvent]:
        self._lists_due = False
        view = await self._lists_view()
        seen = digest(view)
        if seen != self._lists_digest:
            self._lists_digest = seen
            yield self._event("lists", view)

    async def _lists_view(self) -> dict[str, Any]:
        conversations, following = await self._plane.conversations.list(self._me.principal, limit=50)
        waiting = await self._plane.approvals.list(self._me.principal, states=(ApprovalState.PENDING,), limit=50)
        clusters = await self._plane.fleet.list(self._me.principal)
        notes = await self._plane.notifications.unseen(self._me.principal)
        frozen = await self._plane.freezes.open([c.id for c in clusters], self._me.principal.tenant)
        return {
            "notifications": [notification_view(note) for note in notes],
            "conversations": [conversation_view(c) for c in conversations],
            "next": following,
            "pending_approvals": [{"id": a.id, "version": a.version, "conversation": a.conversation} for a in waiting],
            "clusters": [
                {
                    "id": c.id,
                    "name": c.name,
                    "online": c.online,
                    "health": c.health,
                    "kill_switch": c.kill_switch,
                    "frozen_until": frozen[c.id].until.isoformat() if c.id in frozen else None,
                }
                for c in clusters
            ],
        }

    async def _still_signed_in(self) -> bool:
        try:
            principal, session = await self._plane.accounts.authenticate(self._me.token)
        except NotSignedIn:
            return False
        except ServiceError:
            return True  # the database is away for a moment: the right to read has not ended by that
        self._me = replace(self._me, principal=principal, session=session)
        return True

    async def _may_read(self, conversation: str) -> bool:
        try:
            await self._plane.conversations.get(conversation, self._me.principal)
        except NotFound:
            return False
        return True

    def _gone(self, conversation: str) -> ServerSentEvent:
        self._cursors.pop(conversation, None)
        return self._event("gone", {"conversation": conversation, "why": "not_found"})

    def _event(self, name: str, data: dict[str, Any]) -> ServerSentEvent:
        return ServerSentEvent(data=orjson.dumps(data).decode(), event=name, id=encode(self._cursors))


def _approvals_in(entry: LogEntry) -> tuple[str, ...]:
    match entry.event:
        case (
            ApprovalRequested(approval=a) | ApprovalDecided(approval=a) | ActionStarted(approval=a) | ActionFinished(approval=a)
        ):
            return (a,)
        case _:
            return ()
