"""What people watch while a turn runs: a status line at once, then a stream: a task for each tool call, and text as written.

Decoration: whatever of it fails, the answer comes through the outbox. Where there can be no stream (nobody to name as its
reader, too many a minute, one that Slack closed), the message shows the progress by updates, through the outbox too.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from bot.slack.blocks.tasks import STREAM_ROOM, Chunk, changes, stream_size
from bot.slack.blocks.turn import story_of
from bot.slack.clients import Clients
from bot.slack.mrkdwn import streamed
from bot.slack.web_api import SlackBusy, SlackRefused, SlackTrouble
from bot.slack.work.lead import Term
from bot.slack.work.pace import UPDATE, Pace
from bot.slack.work.telling import Telling
from bot.slack.work.words import tell
from control_plane.errors import ServiceError
from control_plane.services import ControlPlane
from control_plane.slack.posts import unreserve
from control_plane.slack.threads import Thread
from protocol.events import Language, LogEntry, ModelMessage, TextDelta, UserMessage

log = structlog.get_logger(__name__)

APPEND_EVERY_S = 1.0
PROGRESS_EVERY_S = 4.0
STATUS_EVERY_S = 90.0
"""Slack takes a status away after two minutes."""
_MOST_TEXT = 8_000
_STATUS_WAIT_S = 2.0
_STOPPED = "stopped_by_user"

Progress = Callable[[str], Awaitable[None]]
"""Puts the turn so far into the outbox."""


@dataclass(frozen=True)
class Draft:
    """What a call would add to a stream, and what the stream then has."""

    chunks: list[dict[str, Any]]
    tasks: dict[str, Chunk]
    text: str


@dataclass
class Shown:
    """What a stream is to show, and what it has. Pure."""

    language: Language = "en"
    entries: list[LogEntry] = field(default_factory=list[LogEntry])
    sent: dict[str, Chunk] = field(default_factory=dict[str, Chunk])
    sent_text: str = ""
    _before: str = ""
    """Messages of the model that are whole."""
    _message: str = ""
    """The one that is being written."""

    @property
    def text(self) -> str:
        return self._before + self._message

    def take(self, entry: LogEntry) -> None:
        self.entries.append(entry)
        if isinstance(entry.event, ModelMessage) and not entry.event.final:
            self._close(entry.event.text)

    def write(self, delta: TextDelta) -> None:
        """Text of the message that is being written. What was missed of it comes when it is whole."""
        if delta.offset == 0 and self._message:
            self._close(self._message)
        if delta.offset <= len(self._message):
            self._message = self._message[: delta.offset] + delta.text

    def draft(self) -> Draft | None:
        """As much of what is new as a stream has room for; None when there is nothing."""
        tasks, text = dict(self.sent), self.sent_text
        chunks: list[dict[str, Any]] = []
        story = story_of(self.entries, self.language)
        for key, chunk in changes(story, self.language, self.sent).items():
            if stream_size([*({**tasks, key: chunk}).values()], text) <= STREAM_ROOM:
                tasks[key] = chunk
                chunks.append(chunk)
        more = streamed(self.text[:_MOST_TEXT])[len(text) :]
        room = max(STREAM_ROOM - stream_size([*tasks.values()], text), 0)
        more = more.encode()[:room].decode(errors="ignore")
        if more:
            chunks.append({"type": "markdown_text", "text": more})
        return Draft(chunks, tasks, text + more) if chunks else None

    def has(self, draft: Draft) -> None:
        """Slack took it."""
        self.sent, self.sent_text = draft.tasks, draft.text

    def _close(self, whole: str) -> None:
        """The message is whole. What was shown of it stays; what follows begins below it."""
        kept = whole if whole.startswith(self._message) else self._message
        self._before = f"{self._before}{kept}\n\n" if kept.strip() else self._before
        self._message = ""


class TurnShow:
    """One running turn in a thread. `start`, feed it, `close` before the answer is put."""

    def __init__(
        self,
        plane: ControlPlane,
        clients: Clients,
        telling: Telling,
        term: Term,
        pace: Pace,
        thread: Thread,
        turn: str,
        language: Language,
        progress: Progress,
        *,
        streams: bool = True,
    ) -> None:
        """`streams` False: by updates alone, which keep their place behind what the outbox has."""
        self._streams = streams
        self._plane = plane
        self._clients = clients
        self._telling = telling
        self._term = term
        self._pace = pace
        self._thread = thread
        self._turn = turn
        self._language: Language = language
        self._progress = progress
        self._shown = Shown(language)
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ts = ""
        self._promised = False
        """What is shown needs an update when it is whole."""

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"slack show {self._turn}")

    def take(self, entry: LogEntry) -> None:
        self._shown.take(entry)
        # A question that waits for the one before it has a status line, and no stream yet: Slack allows few of them.
        if not isinstance(entry.event, UserMessage):
            self._changed.set()

    def write(self, delta: TextDelta) -> None:
        self._shown.write(delta)
        self._changed.set()

    async def close(self) -> None:
        """Nothing more is called when this comes back; a call that is under way has ended, so that its message is known."""
        self._closing.set()
        try:
            if self._task is not None:
                await asyncio.wait({self._task})
        finally:  # when we are cancelled, so is it
            await self.cancel()

    async def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._settle()

    def _settle(self) -> None:
        if self._promised:
            self._promised = False
            self._pace.kept(self._thread.team)

    def _promise(self) -> bool:
        self._promised = self._promised or self._pace.promise(self._thread.team)
        return self._promised

    async def _run(self) -> None:
        status = asyncio.create_task(self._status(), name=f"slack status {self._turn}")
        try:
            if not await self._stream():
                await self._progress_only()
        except Exception:  # decoration: the answer comes all the same
            log.exception("slack.show_failed", turn=self._turn)
            await self._closing.wait()
        finally:
            # A status that is under way gets there before the answer, which takes it away.
            await asyncio.wait({status}, timeout=_STATUS_WAIT_S if self._closing.is_set() else 0)
            status.cancel()
            await asyncio.gather(status, return_exceptions=True)

    async def _status(self) -> None:
        thread = self._thread
        while thread.thread_ts and not self._closing.is_set():
            await self._telling.status(thread.team, thread.channel, thread.thread_ts, tell(self._language, "looking"))
            await self._closes_within(STATUS_EVERY_S)

    async def _stream(self) -> bool:
        """Until the turn is over. False: there is no stream (any more) and the turn goes on."""
        if not await self._news():
            return True
        if not await self._open():
            return self._closing.is_set()
        loop = asyncio.get_running_loop()
        sent = loop.time()
        while await self._news():
            wait = max(sent + APPEND_EVERY_S - loop.time(), self._pace.wait_s(self._thread.team, "chat.appendStream"))
            if wait > 0 and await self._closes_within(wait):
                return True
            draft = self._shown.draft()
            if draft is not None and not await self._append(draft):
                return self._closing.is_set()
            sent = loop.time()
        return True

    async def _open(self) -> bool:
        thread, team = self._thread, self._thread.team
        direct = thread.kind in ("direct", "assistant")
        if not self._streams or not thread.thread_ts or not (direct or thread.recipient):
            return False
        lease, key = self._term.lease, f"answer:{self._turn}"
        if await self._plane.slack_posts.get(team, key) is not None:
            return False  # begun before us: its stream is nobody's now, and may be there although its ts is not known
        if not self._promise() or self._pace.take(team, "chat.startStream") > 0:
            return False
        post = await self._plane.slack_posts.reserve(team, key, thread.channel, thread.id, lease=lease)
        if not self._term.sure:
            return False
        draft = self._shown.draft()
        try:
            api = await self._clients.of(team)
            told = await api.call(
                "chat.startStream",
                channel=thread.channel,
                thread_ts=thread.thread_ts,
                recipient_team_id=team,
                recipient_user_id=thread.recipient or thread.started_by or None,
                task_display_mode="plan",
                chunks=draft.chunks if draft is not None else None,
            )
        except SlackTrouble as error:
            self._note(error)
            if isinstance(error, SlackRefused | SlackBusy):
                async with self._plane.database.transaction() as session:
                    await unreserve(session, team, post.key)  # there is no message for certain: nobody need look for it
            return False
        if draft is not None:
            self._shown.has(draft)
        self._ts = str(told.get("ts", ""))
        await self._plane.slack_posts.streaming(post.id, self._ts, lease=lease)
        return True

    async def _append(self, draft: Draft) -> bool:
        """False: the stream takes nothing more."""
        thread = self._thread
        if not self._term.sure:
            return False
        if self._pace.take(thread.team, "chat.appendStream") > 0:
            self._changed.set()
            return True
        try:
            api = await self._clients.of(thread.team)
            await api.call("chat.appendStream", channel=thread.channel, ts=self._ts, chunks=draft.chunks)
        except SlackBusy as busy:
            self._note(busy)
            self._changed.set()  # the same once more, when Slack takes it
            return True
        except SlackRefused as error:
            self._note(error)
            if error.code == _STOPPED:
                await self._stop_turn()
            return False
        except SlackTrouble as error:
            self._note(error)  # it may be there: text is not said twice for decoration
        self._shown.has(draft)
        return True

    async def _stop_turn(self) -> None:
        """Somebody pressed Stop in Slack, which shows it to who asked."""
        conversations = self._plane.conversations
        try:
            asked_by = (await conversations.turn(self._turn)).asked_by
            await conversations.request_cancel(self._turn, await self._plane.accounts.principal(asked_by))
        except ServiceError as error:
            log.warning("slack.not_stopped", turn=self._turn, why=error.message)

    async def _progress_only(self) -> None:
        """The message as it is now, every few seconds, as long as updates can be spared for it."""
        while not await self._closes_within(PROGRESS_EVERY_S):
            spare = self._pace.spare(self._thread.team, UPDATE) > 0.5
            if self._changed.is_set() and spare and self._term.sure and self._promise():
                self._changed.clear()
                await self._progress(self._turn)

    async def _news(self) -> bool:
        """True: there is something to show. False: the turn is over."""
        changed = asyncio.ensure_future(self._changed.wait())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({changed, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            closing.cancel()
        self._changed.clear()
        return not self._closing.is_set()

    async def _closes_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return False
        return True

    def _note(self, error: SlackTrouble) -> None:
        if isinstance(error, SlackBusy):
            self._pace.refused(self._thread.team, error.method, error.after_s)
        log.info("slack.stream", turn=self._turn, why=str(error))
