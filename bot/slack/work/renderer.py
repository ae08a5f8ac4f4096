"""Follows the conversations that are threads: what their logs say becomes rows of the outbox, each once; what is live is shown
by the side. The cursor of a thread moves in the transaction of the rows that it stands for."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import aclosing

import structlog

from bot.slack.web_api import SlackTrouble
from bot.slack.work import contents
from bot.slack.work.contents import Keyed
from bot.slack.work.drawing import Drawing, language_of
from bot.slack.work.lead import Term
from bot.slack.work.sight import Sight
from bot.slack.work.streams import Progress, TurnShow
from control_plane.approvals import Approval
from control_plane.errors import ServiceError
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.slack.lead import require_lead
from control_plane.slack.threads import Thread
from protocol.approval import ApprovalState, Role
from protocol.events import (
    ActionFinished,
    ActionStarted,
    ApprovalDecided,
    ApprovalRequested,
    CaseEnded,
    Language,
    LogEntry,
    ModelMessage,
    TextDelta,
    ToolFinished,
    ToolStarted,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UserMessage,
    Wake,
)

log = structlog.get_logger(__name__)

GAP_S = 0.05
"""Many changes at once are one look."""
CARDS_EVERY_S = 1.0
WEIGHED_S = 5.0
"""So long what a thread may show counts for what is only on its way: a channel may be bound anew meanwhile."""
_MOST_PAUSE_S = 60.0
_BATCH = 500
_BEHIND = 200
_CARDS = 500
_ALL = Principal(account="", name="", roles=(ScopedRole(role=Role.VIEWER),))
"""Reads which approvals are open; nothing is decided with it."""

_WAITING = (ApprovalState.PENDING, ApprovalState.APPROVED)

MakeShow = Callable[[Thread, str, Language, Progress, bool], TurnShow]
"""The last: may it stream?"""
PutNow = Callable[[Thread, list[Keyed]], Awaitable[None]]
"""Outside of the log's order, fenced by the lease."""


class Renderer:
    """`run` in one term of the lead."""

    def __init__(self, plane: ControlPlane, term: Term, drawing: Drawing, sight: Sight, make_show: MakeShow) -> None:
        self._plane = plane
        self._term = term
        self._drawing = drawing
        self._sight = sight
        self._make_show = make_show
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, int] = {}
        """By thread: how often in a row it could not be followed."""
        self._bell = asyncio.Event()
        self._cards: dict[str, str] = {}
        """By approval: what of it its card shows."""

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch(), name="slack lists watch")
        carding = asyncio.create_task(self._keep_cards(), name="slack cards")
        try:
            while True:
                self._bell.clear()
                # Those that are followed stay behind until they are quiet: they must not keep the others out.
                for behind in await self._plane.slack_threads.behind(_BEHIND + len(self._followed)):
                    thread = behind.thread
                    if thread.id not in self._followed:
                        self._followed[thread.id] = asyncio.create_task(self._follow(thread), name=f"slack follow {thread.id}")
                        self._followed[thread.id].add_done_callback(lambda _, left=thread.id: self._left(left))
                waiting = asyncio.ensure_future(self._bell.wait())
                try:
                    done, _ = await asyncio.wait({waiting, watching, carding}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                for part in (watching, carding):
                    if part in done:
                        part.result()
                        return
                await asyncio.sleep(GAP_S)
        finally:
            tasks = [watching, carding, *self._followed.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        async with aclosing(self._plane.conversations.watch_lists()) as news:
            async for _ in news:
                self._bell.set()

    def _left(self, thread: str) -> None:
        self._followed.pop(thread, None)
        self._bell.set()

    async def _follow(self, thread: Thread) -> None:
        try:
            await Follower(self._plane, self._drawing, self._sight, self._make_show, self._put_now, thread).run()
            self._failed.pop(thread.id, None)
            return
        except (ServiceError, SlackTrouble) as error:
            log.warning("slack.follow", thread=thread.id, why=str(error)[:300])
        except Exception:  # one thread's fault must not stop the others
            log.exception("slack.follow_failed", thread=thread.id)
        self._failed[thread.id] = failed = self._failed.get(thread.id, 0) + 1
        await asyncio.sleep(min(2.0 ** (failed - 1), _MOST_PAUSE_S))

    async def _keep_cards(self) -> None:
        """Cards that wait show every change, also those that no log tells of: a first approval of two, a freeze."""
        async with aclosing(self._plane.conversations.watch_lists()) as news:
            async for _ in news:
                open_now = await self._plane.approvals.list(_ALL, states=_WAITING, limit=_CARDS)
                for approval in open_now:
                    try:
                        await self._keep_card(approval)
                    except (ServiceError, SlackTrouble) as error:
                        log.warning("slack.card", approval=approval.id, why=str(error)[:300])
                    except Exception:  # one card's fault must not stop the others, nor the threads
                        log.exception("slack.card_failed", approval=approval.id)
                known = {approval.id for approval in open_now}
                self._cards = {one: seen for one, seen in self._cards.items() if one in known}
                await asyncio.sleep(CARDS_EVERY_S)

    async def _keep_card(self, approval: Approval) -> None:
        if self._cards.get(approval.id) == _seen(approval) or approval.conversation is None:
            return
        thread = await self._plane.slack_threads.of_conversation(approval.conversation)
        if thread is None or await self._plane.slack_posts.get(thread.team, f"approval:{approval.id}") is None:
            return  # its request has not been shown yet: the log brings it
        reaches = await self._sight.reaches(thread)
        now = await self._plane.approvals.get(approval.id)
        while True:
            withheld = contents.withheld(f"approval:{now.id}", thread.language)
            await self._put_now(thread, [await self._drawing.card(thread, now) if reaches else withheld])
            # It may have ended while it was drawn, and the log's card been put before this one: that must be the last.
            before, now = now, await self._plane.approvals.get(approval.id)
            if _seen(before) == _seen(now):
                self._cards[approval.id] = _seen(now)
                return

    async def _put_now(self, thread: Thread, drawn: list[Keyed]) -> None:
        """Raises LeaseLost: what was drawn before another took over is older than what that one shows."""
        async with self._plane.database.transaction() as session:
            await require_lead(session, self._term.lease)
            for key, content in drawn:
                await self._plane.slack_outbox.put(
                    session, team=thread.team, channel=thread.channel, thread=thread.id, key=key, content=content
                )


class Follower:
    """One thread, until its conversation is quiet."""

    def __init__(
        self, plane: ControlPlane, drawing: Drawing, sight: Sight, make_show: MakeShow, put_now: PutNow, thread: Thread
    ) -> None:
        self._put_now = put_now
        self._plane = plane
        self._drawing = drawing
        self._sight = sight
        self._make_show = make_show
        self._thread = thread
        self._seen: int = thread.rendered
        self._rendered: int = thread.rendered
        self._reaches: bool | None = None
        self._weighed_at = 0.0
        self._shows: dict[str, TurnShow] = {}

    async def run(self) -> None:
        try:
            async with aclosing(self._plane.conversations.watch(self._thread.conversation)) as lives:
                async for live in lives:
                    if isinstance(live, TextDelta) and (show := self._shows.get(live.turn)) is not None:
                        if await self._still_may():
                            show.write(live)
                        else:
                            await self._silence()
                    elif isinstance(live, Wake) and live.seq > self._seen:
                        await self._catch_up()
                        if not self._shows:
                            await self._put([])
                            return
        finally:
            for show in self._shows.values():
                await show.cancel()

    async def _catch_up(self) -> None:
        conversation = self._thread.conversation
        more = True
        while more and (entries := await self._plane.conversations.log(conversation, after=self._seen, limit=_BATCH)):
            more = len(entries) == _BATCH
            if self._thread.thread_ts is None or any(isinstance(entry.event, UserMessage) for entry in entries):
                # Who asked last is who a stream is for.
                self._thread = await self._plane.slack_threads.get(self._thread.id) or self._thread
            ended = {e.turn for e in entries if e.turn and isinstance(e.event, TurnFinished | TurnFailed | TurnCancelled)}
            reaches = await self._may_show(entries)
            if not reaches:
                await self._silence(besides=ended)
            for entry in entries if reaches else ():
                await self._show(entry, ended)
            drawn = await self._drawn(entries) if reaches else await self._withheld(entries, ended)
            self._seen = entries[-1].seq
            if drawn:
                await self._put(drawn)

    async def _show(self, entry: LogEntry, ended: set[str]) -> None:
        turn = entry.turn
        if turn is None or turn in ended:
            return
        show = self._shows.get(turn)
        if show is None:
            # A show that is begun for a turn that has ended is never closed.
            if not isinstance(entry.event, UserMessage) and not await self._open(turn):
                return
            before = await self._before(entry, turn)
            known = (*before, entry)
            # What was asked elsewhere is told first, by the outbox; a stream would get there before it.
            here = any(isinstance(one.event, UserMessage) and one.event.door == "slack" for one in known)
            show = self._make_show(self._thread, turn, language_of(known, self._thread), self._progress, here)
            for earlier in before:
                show.take(earlier)
            self._shows[turn] = show
            show.start()
        show.take(entry)

    async def _may_show(self, entries: tuple[LogEntry, ...]) -> bool:
        """Weighed for whatever makes a message; what comes between goes by what was found a moment ago."""
        if not any(map(_told_of, entries)) and any(isinstance(entry.event, UserMessage) for entry in entries):
            self._found(True)  # it was asked here, and weighed then
        elif any(map(_told_of, entries)) or self._reaches is None:
            self._found(await self._sight.reaches(self._thread))
        return await self._still_may()

    async def _still_may(self) -> bool:
        if self._reaches is None or asyncio.get_running_loop().time() - self._weighed_at > WEIGHED_S:
            self._found(await self._sight.reaches(self._thread))
        return bool(self._reaches)

    def _found(self, reaches: bool) -> None:
        self._reaches, self._weighed_at = reaches, asyncio.get_running_loop().time()

    async def _silence(self, *, besides: Collection[str] = ()) -> None:
        """What is being shown of turns that run is taken back."""
        silenced = [turn for turn in sorted(self._shows) if turn not in besides]
        for turn in silenced:
            await self._shows.pop(turn).close()
        if silenced:
            language = self._thread.language
            await self._put_now(self._thread, [contents.withheld(contents.answer_key(turn), language) for turn in silenced])

    async def _before(self, entry: LogEntry, turn: str) -> tuple[LogEntry, ...]:
        """What the turn's log said before this entry, which somebody else has shown."""
        if isinstance(entry.event, UserMessage):
            return ()
        return tuple(one for one in await self._plane.conversations.turn_log(turn) if one.seq < entry.seq)

    async def _open(self, turn: str) -> bool:
        return (await self._plane.conversations.turn(turn)).state in ("queued", "running")

    async def _drawn(self, entries: tuple[LogEntry, ...]) -> list[Keyed]:
        """In the order of the log."""
        drawn: list[Keyed] = []
        approvals: set[str] = set()
        thread = self._thread
        for entry in entries:
            approvals.update([approval] if (approval := _approval_of(entry)) else [])
            match entry.event:
                case UserMessage(door=door) as asked if door not in ("slack", "action", "alert"):
                    drawn.append(contents.asked_elsewhere(entry, asked, thread.language))
                case CaseEnded() as end:
                    drawn.append(contents.soaked(entry, end, thread.language))
                case TurnFinished() | TurnFailed() | TurnCancelled() if entry.turn is not None:
                    show = self._shows.pop(entry.turn, None)
                    if show is not None:
                        await show.close()
                    key = contents.answer_key(entry.turn)
                    drawn += await self._drawing.safely(thread, key, self._drawing.answer(thread, entry.turn, ended=True))
                case _:
                    pass
        return [*drawn, *await self._drawing.cards(thread, approvals)]

    async def _withheld(self, entries: tuple[LogEntry, ...], ended: set[str]) -> list[Keyed]:
        """What was begun here ends in a word; the rest is shown where it may be."""
        thread = self._thread
        mine = ended & self._shows.keys()
        for turn in mine:
            await self._shows.pop(turn).close()
        begun = [contents.answer_key(turn) for turn in sorted(mine)]
        others = [contents.answer_key(turn) for turn in sorted(ended - mine)]
        others += sorted({f"approval:{approval}" for entry in entries if (approval := _approval_of(entry))})
        begun += [key for key in others if await self._plane.slack_posts.get(thread.team, key) is not None]
        return [contents.withheld(key, thread.language) for key in begun]

    async def _progress(self, turn: str) -> None:
        await self._put_now(self._thread, await self._drawing.answer(self._thread, turn, ended=False))

    async def _put(self, drawn: list[Keyed]) -> None:
        if self._seen == self._rendered:
            return
        thread = self._thread
        async with self._plane.database.transaction() as session:
            for key, content in drawn:
                await self._plane.slack_outbox.put(
                    session, team=thread.team, channel=thread.channel, thread=thread.id, key=key, content=content
                )
            await self._plane.slack_threads.advance(session, thread.id, self._rendered, self._seen)
        self._rendered = self._seen


def _seen(approval: Approval) -> str:
    """Of what its card shows, what changes."""
    return f"{approval.state}/{approval.version}/{len(approval.decisions)}/{approval.freeze}/{approval.break_glass}"


def _approval_of(entry: LogEntry) -> str:
    """Whose card the entry changes, or ""."""
    match entry.event:
        case (
            ApprovalRequested(approval=changed)
            | ApprovalDecided(approval=changed)
            | ActionStarted(approval=changed)
            | ActionFinished(approval=changed)
        ):
            return changed
        case _:
            return ""


def _told_of(entry: LogEntry) -> bool:
    """It would make a message, and nobody has looked a moment ago whether the thread may show it."""
    match entry.event:
        case UserMessage(door=door):
            return door != "slack"
        case ToolStarted() | ToolFinished() | TurnStarted() | ModelMessage():
            return False
        case _:
            return True
