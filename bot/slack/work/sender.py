"""Makes messages look as the outbox says: a queue a channel, in order, no post twice.

A call whose answer got lost leaves its row uncertain: before it is posted again the thread is searched for the post's nonce.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, cast

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.slack.blocks.parts import context
from bot.slack.clients import Clients
from bot.slack.mrkdwn import line, link
from bot.slack.web_api import SlackBusy, SlackRefused, SlackTrouble, SlackUnsure, WebApi
from bot.slack.work.calls import in_words, look, message, nonce, nonce_of
from bot.slack.work.files import Files
from bot.slack.work.lead import Term
from bot.slack.work.pace import Pace
from bot.slack.work.sight import Still, as_put
from bot.slack.work.words import tell
from control_plane.clock import Clock, utc_now
from control_plane.errors import ServiceError, Unavailable
from control_plane.replica import LeaseLost
from control_plane.slack.installations import Workspaces
from control_plane.slack.outbox import Outbox, Outgoing
from control_plane.slack.posts import Post, Posts

log = structlog.get_logger(__name__)

ONE_S = 60.0
"""For one message with all its calls."""
_TRIES = 6
_TRIES_OF_A_FILE = 3
_TRIED_FOR = timedelta(minutes=10)
"""So often, and so long, a message is tried that Slack does not answer about."""
PAUSES_S = (1.0, 2.0, 5.0, 15.0, 60.0, 120.0)
_TOO_MUCH = frozenset(
    {"invalid_blocks", "invalid_blocks_format", "msg_blocks_too_long", "msg_too_long", "invalid_attachments", "block_mismatch"}
)
"""The blocks are not to Slack's taste: the text alone is shown, and a link to the rest."""
_AT_A_LOOK = 200
_REST_S = 0.5
_ON_ITS_WAY = timedelta(seconds=3)
"""So long after a call was begun, Slack may still be carrying it out, whoever has hung up."""
_ALONE = 3
_NEWS_FOR = timedelta(days=1)
"""What could not be shown for so long, because the token is good for nothing, is no news when it is."""
_REMOVED = frozenset({"account_inactive", "token_revoked"})
"""The app was removed from the workspace: nothing more is shown there until it is installed again."""
GAP_S = 0.005
"""Many rows at once are one look."""
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""The message can't be made to look as it shall: an answer is said once more, in one that can."""
_OF_A_CHANNEL = frozenset({"chat.postMessage", "chat.postEphemeral"})
"""Slack counts these by channel: one that is too loud silences no other."""
_STILL = "streaming_state_conflict"
_SEARCHED = 200
"""Messages of a thread or channel that are looked through for a lost post, from its reservation on: Slack gives the first."""
_APART_S = 120
"""How far Slack's clock may be from ours."""


class Link(Protocol):
    """Where the same is on the web."""

    async def __call__(self, outgoing: Outgoing) -> str:
        """ "" when it is nowhere."""
        ...


@dataclass(frozen=True)
class Shelf:
    """The tables that are sent from."""

    outbox: Outbox
    posts: Posts
    workspaces: Workspaces


class Sender:
    """`run` in one term of the lead."""

    def __init__(
        self,
        shelf: Shelf,
        term: Term,
        clients: Clients,
        pace: Pace,
        files: Files,
        link_of: Link,
        *,
        still: Still | None = None,
        pauses_s: Sequence[float] = PAUSES_S,
        clock: Clock = utc_now,
    ) -> None:
        self._still: Still = still or as_put
        self._pauses_s = pauses_s
        self._clock = clock
        self._outbox = shelf.outbox
        self._posts = shelf.posts
        self._workspaces = shelf.workspaces
        self._term = term
        self._clients = clients
        self._pace = pace
        self._files = files
        self._link_of = link_of
        self._channels: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._alone: dict[int, int] = {}
        """By row: how often Slack did not answer about it, and did about others."""
        self._bell = asyncio.Event()

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch(), name="slack outbox watch")
        try:
            while True:
                self._bell.clear()
                # What nobody of ours is sending was left by the leader before, or by a task that failed on the way.
                left = await self._outbox.uncertain()
                for row in (*left, *await self._outbox.due(_AT_A_LOOK + len(self._channels))):
                    place = (row.team, row.channel)
                    if place not in self._channels:
                        self._channels[place] = asyncio.create_task(self._one(row), name=f"slack send {row.key[:40]}")
                        self._channels[place].add_done_callback(lambda _, place=place: self._free(place))
                waiting = asyncio.ensure_future(self._bell.wait())
                try:
                    done, _ = await asyncio.wait({waiting, watching}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    waiting.cancel()
                if watching in done:
                    watching.result()
                    return
                await asyncio.sleep(GAP_S)
        finally:
            tasks = [watching, *self._channels.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        async with aclosing(self._outbox.watch()) as news:
            async for _ in news:
                self._bell.set()

    def _free(self, place: tuple[str, str]) -> None:
        self._channels.pop(place, None)
        self._bell.set()

    async def _one(self, due: Outgoing) -> None:
        lease = self._term.lease
        try:
            # The second that a channel rests is waited here: newer content replaces what waits.
            if not due.content.ephemeral_to:
                await asyncio.sleep(self._pace.post_wait_s(due.team, due.channel))
            take = self._outbox.resume if due.state == "sending" else self._outbox.sending
            row = await take(due.number, lease)
            if row is None:
                return
            try:
                async with asyncio.timeout(ONE_S):
                    await self._send(row)
            except LeaseLost:
                raise
            except SlackBusy as busy:
                await self._too_fast(row, busy)
            except (SlackUnsure, TimeoutError) as error:
                await self._unsure(row, error)
            except SlackRefused as error:
                await self._refused(row, error)
            except Unavailable:
                raise
            except ServiceError as error:
                await self._wait_for_people(row, error)
        except LeaseLost:
            log.info("slack.row_left", key=due.key)
            await asyncio.sleep(_REST_S)  # the term ends now, or its lease is sure again in a moment
        except (ServiceError, SQLAlchemyError) as error:
            log.warning("slack.outbox", key=due.key, why=str(error)[:300])
            await asyncio.sleep(_REST_S)  # the row is as it was, and comes again
        except Exception:  # one row's fault must not stop its channel
            log.exception("slack.row_failed", key=due.key)
            with suppress(ServiceError, SQLAlchemyError):
                await self._outbox.failed(due.number, "a fault inside Opsthread", lease, uncertain=True)

    async def _send(self, row: Outgoing) -> None:
        content, post = await self._still(row), row.post
        if content is None:
            await self._outbox.dropped(row.number, self._term.lease, "it may not be shown there any more")
            return
        row = row.model_copy(update={"content": content})
        api = await self._clients.of(row.team)
        if content.ephemeral_to or post is None:
            await self._call(api, row, "chat.postEphemeral", **message(row), user=content.ephemeral_to)
            await self._sent(row, "")
            return
        if not post.ts and row.uncertain:
            post = await self._found(api, row, post)
        if content.delete:
            await self._gone(api, row, post)
        elif content.file is not None:
            await self._file(api, row, post)
        elif post.ts:
            await self._update(api, row, post)
        elif row.uncertain and timedelta(0) <= self._clock() - post.updated_at < _ON_ITS_WAY:
            raise SlackUnsure("chat.postMessage", "it may be on its way")
        else:
            await self._post(api, row, post)

    async def _post(self, api: WebApi, row: Outgoing, post: Post) -> None:
        self._pace.posted(row.team, row.channel)
        told = await self._call(api, row, "chat.postMessage", **message(row), metadata=nonce(post))
        await self._sent(row, str(told.get("ts", "")))

    async def _update(self, api: WebApi, row: Outgoing, post: Post) -> None:
        content = row.content
        if post.streaming:
            await self._stop_stream(api, row, post)
        if post.streaming or post.shown != content.hash:
            shown = {**look(content), "metadata": nonce(post)}
            try:
                await self._call(api, row, "chat.update", channel=row.channel, ts=post.ts, **shown)
            except SlackRefused as error:
                if error.code not in _GONE or not row.key.startswith("answer:"):
                    raise
                log.warning("slack.answer_gone", key=row.key, ts=post.ts, why=error.code)
                await self._posts.posted(post.id, "", lease=self._term.lease)
                await self._again(row, 0, error)
                return
        await self._sent(row, post.ts)

    async def _file(self, api: WebApi, row: Outgoing, post: Post) -> None:
        """A file is sent once; newer content of the same key finds it there."""
        ts: str | None = post.ts
        if not ts:
            self._pace.posted(row.team, row.channel)
            call = partial(self._call, api, row)
            ts = await self._files.send(api, row, post.id, call, look_first=row.uncertain)
        if ts is None:
            await self._outbox.dropped(row.number, self._term.lease, "there is no such picture any more")
        else:
            await self._sent(row, ts)

    async def _gone(self, api: WebApi, row: Outgoing, post: Post) -> None:
        try:
            if post.ts:
                await self._call(api, row, "chat.delete", channel=row.channel, ts=post.ts)
        except SlackRefused as error:
            if error.code != "message_not_found":
                raise
        await self._sent(row, "")

    async def _stop_stream(self, api: WebApi, row: Outgoing, post: Post) -> None:
        """Whatever Slack says: it is over, or was before."""
        try:
            await self._call(api, row, "chat.stopStream", channel=row.channel, ts=post.ts)
        except SlackRefused as error:
            if error.dead:
                raise
        await self._posts.stream_ended(post.id, lease=self._term.lease)

    async def _call(self, api: WebApi, row: Outgoing, method: str, **args: Any) -> dict[str, Any]:
        if not self._term.sure:
            raise LeaseLost("the lease may have ended; another replica sends from here on")
        wait = self._pace.take(row.team, method)
        if wait > 0:
            raise SlackBusy(method, wait)
        return await api.call(method, **args)

    async def _sent(self, row: Outgoing, ts: str) -> None:
        await self._outbox.sent(row.number, ts, row.content.hash, self._term.lease)
        self._alone.pop(row.number, None)

    async def _found(self, api: WebApi, row: Outgoing, post: Post) -> Post:
        """The post with its ts, when a message with its nonce is there; for an answer also a stream that has none."""
        lease = self._term.lease
        recent = await self._recent(api, row, post.updated_at)
        for one in recent:
            if nonce_of(one) == post.id:
                ts = str(one.get("ts", ""))
                await self._posts.posted(post.id, ts, lease=lease)
                log.info("slack.found_again", key=row.key, ts=ts)
                return post.model_copy(update={"ts": ts})
        if not row.key.startswith("answer:") or row.key.count(":") > 1:
            return post  # a stream is the first message of an answer
        # A stream carries no metadata until it is stopped: it is a message of ours that nothing else accounts for.
        us = (await self._clients.me(row.team)).user
        for one in recent:
            ts = str(one.get("ts", ""))
            unclaimed = one.get("user") == us and not one.get("metadata") and not one.get("files")
            if unclaimed and ts != row.thread_ts and await self._posts.at(row.team, row.channel, ts) is None:
                await self._posts.streaming(post.id, ts, lease=lease)
                log.info("slack.stream_found_again", key=row.key, ts=ts)
                return post.model_copy(update={"ts": ts, "streaming": True})
        return post

    async def _recent(self, api: WebApi, row: Outgoing, at: datetime) -> list[dict[str, Any]]:
        """Messages since then of where it was posted. Where the app may not look, nothing: it was given time to come about."""
        since = f"{at.timestamp() - _APART_S:.6f}"
        where: dict[str, Any] = {"channel": row.channel, "include_all_metadata": True, "oldest": since, "limit": _SEARCHED}
        try:
            if row.thread_ts:
                told = await self._call(api, row, "conversations.replies", ts=row.thread_ts, **where)
            else:
                told = await self._call(api, row, "conversations.history", **where)
        except SlackRefused as error:
            if error.dead:
                raise
            log.warning("slack.cant_look", channel=row.channel, why=error.code)
            return []
        return cast(list[dict[str, Any]], told.get("messages") or [])

    async def _too_fast(self, row: Outgoing, busy: SlackBusy) -> None:
        if busy.method not in _OF_A_CHANNEL:  # else the row's own pause is all: it holds up that channel
            self._pace.refused(row.team, busy.method, busy.after_s)
        # A row that is not paused keeps its uncertainty; a refusal for being too fast adds none, and is no try.
        await self._again(row, busy.after_s, busy, uncertain=row.uncertain, counts=False)

    async def _unsure(self, row: Outgoing, error: Exception) -> None:
        lease = self._term.lease
        # A picture is decoration, and its way (another host than the API's) may be closed for good: its channel doesn't wait.
        age, picture = self._clock() - row.created_at, row.content.file is not None
        enough = row.attempts >= (_TRIES_OF_A_FILE if picture else _TRIES) and (picture or age > _TRIED_FOR)
        if enough and not picture and isinstance(await self._trouble(row.team), SlackRefused | None):
            self._alone[row.number] = self._alone.get(row.number, 0) + 1
        if enough and (picture or age > _NEWS_FOR or self._alone.get(row.number, 0) >= _ALONE):
            self._alone.pop(row.number, None)
            log.error("slack.gave_up", key=row.key, why=str(error))
            await self._outbox.failed(row.number, str(error), lease, uncertain=True)
            return
        pause = self._pause_s(row)
        log.warning("slack.unsure", key=row.key, why=str(error), again_in_s=pause)
        await self._again(row, pause, error, uncertain=True)

    async def _refused(self, row: Outgoing, error: SlackRefused) -> None:
        lease = self._term.lease
        if error.dead:
            # The workspace is closed to us: what it shall show waits until there is a token that works.
            log.error("slack.token", team=row.team, why=error.code)
            # The app may have been installed anew while the old token was being refused.
            now = await self._trouble(row.team) if error.code in _REMOVED else None
            if isinstance(now, SlackRefused) and now.dead and await self._workspaces.revoke(row.team):
                return
            await self._wait_for_people(row, error)
        elif error.code == _STILL and row.post is not None:
            # Slack ends each stream by itself in the end, so that this does, too.
            await self._posts.streaming(row.post.id, row.post.ts, lease=lease)
            await self._again(row, self._pause_s(row), error)
        elif error.code in _TOO_MUCH and row.content.blocks:
            log.error("slack.blocks", key=row.key, why=error.code, told=error.told.get("response_metadata"))
            await self._plainly(row)
        else:
            log.warning("slack.refused", key=row.key, channel=row.channel, why=error.code)
            await self._outbox.failed(row.number, f"{error.method}: {error.code}", lease)

    async def _wait_for_people(self, row: Outgoing, error: SlackTrouble | ServiceError) -> None:
        """A token that is good for nothing, or can't be read."""
        if row.content.file is not None or self._clock() - row.created_at > _NEWS_FOR:
            await self._outbox.dropped(row.number, self._term.lease, f"nothing could be shown: {error}")
        else:
            await self._again(row, 60, error, uncertain=row.uncertain, counts=False)

    def _pause_s(self, row: Outgoing) -> float:
        return self._pauses_s[min(row.attempts, len(self._pauses_s)) - 1]

    async def _trouble(self, team: str) -> SlackTrouble | None:
        """What Slack says of our token there now; None: it is good."""
        try:
            await (await self._clients.of(team)).call("auth.test")
        except SlackTrouble as error:
            return error
        return None

    async def _again(
        self, row: Outgoing, after_s: float, error: Exception, *, uncertain: bool = False, counts: bool = True
    ) -> None:
        lease = self._term.lease
        await self._outbox.again(row.number, after_s, str(error), lease, uncertain=uncertain, counts=counts)
        # A little later than it is due: it must be due when it is looked for.
        asyncio.get_running_loop().call_later(after_s + 0.01, self._bell.set)

    async def _plainly(self, row: Outgoing) -> None:
        """The text alone, and where the rest is."""
        where = await self._link_of(row)
        said = tell("en", "shown_plainly")
        block = context(link(where, said) if where else line(said))
        shown = row.model_copy(update={"content": in_words(row.content, block)})
        try:
            await self._send(shown)
        except SlackBusy as busy:
            await self._too_fast(row, busy)
        except SlackUnsure as error:
            await self._unsure(row, error)
        except SlackRefused as error:
            await self._outbox.failed(row.number, str(error), self._term.lease)
