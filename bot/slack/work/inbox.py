"""Works through the inbox: lanes beside each other, what is in a lane one after the other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from bot.slack.web_api import SlackBusy, SlackTrouble, SlackUnsure
from bot.slack.work.lead import Term
from control_plane.errors import ServiceError, Unavailable
from control_plane.replica import LeaseLost
from control_plane.slack.inbox import MOST_ATTEMPTS, Inbox, Received

log = structlog.get_logger(__name__)

Handler = Callable[[Received], Awaitable[str]]
"""Does what an item asks for, as often as it is called the same once; gives a note for the row. What it raises of
control_plane.errors was told to nobody: those that may pass are tried again."""
GiveUp = Callable[[Received, str], Awaitable[None]]
"""Tells the person that it could not be done."""
LANES, LANES_OF_A_TEAM = 40, 32
"""At once. A workspace that Slack does not answer for leaves some to the others."""
GAP_S = 0.005
"""Many arrivals at once are one look."""
REST_S = 0.5
"""Before a lane is looked at again whose item could not even be begun."""
HANDLE_S = 120.0
PATIENCE = timedelta(minutes=30)
"""So long after it came an item is begun anew when Slack, or the database, was away: nobody could be told either."""
_AT_ONCE = frozenset({"action", "view"})
"""A press is meant for the moment in which it is made: one that approves must not do so when nobody expects it any more."""
PAUSES_S = (1.0, 3.0, 10.0, 30.0, 60.0)


class Worker:
    """`run` in one term of the lead. Kinds without a handler are done with."""

    def __init__(
        self,
        inbox: Inbox,
        term: Term,
        handlers: Mapping[str, Handler],
        give_up: GiveUp,
        *,
        pauses_s: Sequence[float] = PAUSES_S,
    ) -> None:
        self._inbox = inbox
        self._term = term
        self._handlers = handlers
        self._give_up = give_up
        self._pauses_s = pauses_s
        self._lanes: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._bell = asyncio.Event()

    async def run(self) -> None:
        watching = asyncio.create_task(self._watch(), name="slack inbox watch")
        try:
            while True:
                self._bell.clear()
                await self._round()
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
            tasks = [watching, *self._lanes.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        async with aclosing(self._inbox.watch()) as news:
            async for _ in news:
                self._bell.set()

    async def _round(self) -> None:
        free = LANES - len(self._lanes)
        if free <= 0:
            return
        busy = Counter(team for team, _ in self._lanes)
        full = [team for team, lanes in busy.items() if lanes >= LANES_OF_A_TEAM]
        for item in await self._inbox.due(free, besides=tuple(self._lanes), without=full):
            lane = (item.team, item.lane)
            busy[item.team] += 1
            if busy[item.team] > LANES_OF_A_TEAM:
                self._bell.set()  # what is free is for others: they are asked for next
                continue
            self._lanes[lane] = asyncio.create_task(self._one(item), name=f"slack {item.kind} {item.id[:8]}")
            self._lanes[lane].add_done_callback(lambda _, lane=lane: self._free(lane))

    def _free(self, lane: tuple[str, str]) -> None:
        self._lanes.pop(lane, None)
        self._bell.set()

    async def _one(self, due: Received) -> None:
        lease = self._term.lease
        try:
            item = await self._inbox.begin(due.id, lease)
            if item is None:
                return
            if item.attempts > MOST_ATTEMPTS:
                await self._tell(item, "it ended the process each time")
                await self._inbox.failed(item.id, "it was begun too often", lease=lease)
                return
            handler = self._handlers.get(item.kind)
            try:
                async with asyncio.timeout(HANDLE_S):
                    note = await handler(item) if handler is not None else "nothing is done with these"
                await self._inbox.done(item.id, note, lease=lease)
            except LeaseLost:
                raise
            except (Unavailable, SlackBusy, SlackUnsure, TimeoutError) as error:
                log.warning("slack.item_again", item=item.id, kind=item.kind, why=str(error)[:300])
                patient = item.kind not in _AT_ONCE and not isinstance(error, TimeoutError)
                await self._again(item, error, PATIENCE if patient else timedelta(0))
            except Exception as error:  # whatever went wrong: the row waits, or fails, and somebody is told
                log.exception("slack.item_failed", item=item.id, kind=item.kind)
                await self._again(item, error, timedelta(0))
        except LeaseLost:
            log.info("slack.item_left", item=due.id)
            await asyncio.sleep(REST_S)  # the term ends in a moment
        except (ServiceError, SQLAlchemyError) as error:
            # The row still waits: it comes again.
            log.warning("slack.inbox", item=due.id, why=str(error)[:300])
            await asyncio.sleep(REST_S)

    async def _again(self, item: Received, error: Exception, patience: timedelta) -> None:
        pause = error.after_s if isinstance(error, SlackBusy) else self._pauses_s[min(item.attempts, len(self._pauses_s)) - 1]
        why = f"{type(error).__name__}: {error}"[:500]
        if not await self._inbox.again(item.id, pause, why, lease=self._term.lease, patience=patience):
            await self._tell(item, why)
        # A little later than it is due: it must be due when it is looked for.
        asyncio.get_running_loop().call_later(pause + 0.01, self._bell.set)

    async def _tell(self, item: Received, why: str) -> None:
        try:
            await self._give_up(item, why)
        except (SlackTrouble, ServiceError) as trouble:
            log.warning("slack.not_told", item=item.id, why=str(trouble)[:300])
