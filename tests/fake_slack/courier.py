"""Brings what happens to the app, by socket mode or signed HTTP, until it is acknowledged or three retries are over."""

import asyncio
from collections.abc import Callable, Coroutine

from tests.fake_slack.deliveries import ACK_WITHIN_S, RETRY_AFTER_S, Delivery, Kind, Try
from tests.fake_slack.http_mode import HttpAnswer, HttpDoor
from tests.fake_slack.records import Json
from tests.fake_slack.sockets import Sockets
from tests.fake_slack.world import World


class Courier:
    """Owns one task a delivery that is under way."""

    def __init__(self, world: World, sockets: Sockets) -> None:
        self._world = world
        self._sockets = sockets
        self._tasks: set[asyncio.Task[None]] = set()
        self.http: HttpDoor | None = None
        """Set: signed HTTP instead of socket mode."""
        self.holding = False
        """While true nothing goes out; `release` lets it go, in the order that the test wants."""
        self._held: list[Delivery] = []
        self.deliveries: list[Delivery] = []

    def send(self, kind: Kind, payload: Json, team_id: str, then: Callable[[Delivery], None] | None = None) -> Delivery:
        """Begin to deliver; the delivery tells how it goes. `then` runs once it is acknowledged."""
        delivery = Delivery(self._world.new_id("L"), kind, payload, team_id, then)
        self.deliveries.append(delivery)
        if self.holding:
            self._held.append(delivery)
        else:
            self._start(delivery)
        return delivery

    def release(self, *, backwards: bool = False) -> None:
        """Send what was held back, the last first if asked."""
        self.holding = False
        for delivery in reversed(self._held) if backwards else self._held:
            self._start(delivery)
        self._held = []

    def again(self, delivery: Delivery, retry: int = 0, reason: str = "") -> None:
        """Deliver the same once more though it was acknowledged: as a plain duplicate, or as a retry with its reason."""
        self._own(self._attempt(delivery, retry, reason), delivery)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.http is not None:
            await self.http.close()

    def _start(self, delivery: Delivery) -> None:
        self._own(self._carry(delivery), delivery)

    def _own(self, work: Coroutine[None, None, None], delivery: Delivery) -> None:
        task = asyncio.create_task(work, name=delivery.id)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, delivery: Delivery) -> None:
        # Only events come again: a person whose click or command was lost sees an error and may try again.
        pauses = RETRY_AFTER_S if delivery.kind is Kind.EVENT else ()
        await self._attempt(delivery, 0, "")
        for number, pause in enumerate(pauses, 1):
            if delivery.acked or delivery.no_retry:
                break
            await self._world.clock.sleep(pause)
            await self._attempt(delivery, number, delivery.tries[-1].trouble)
        if delivery.acked and delivery.then:
            delivery.then(delivery)
        delivery.given_up = not delivery.acked
        self._world.changed()

    async def _attempt(self, delivery: Delivery, number: int, reason: str) -> None:
        attempt = Try(self._world.chance.hex(), self._world.clock.now(), number, "")
        delivery.tries.append(attempt)
        if self.http is not None:
            await self._by_http(self.http, delivery, attempt, reason)
        else:
            await self._by_socket(delivery, attempt, reason)
        self._world.changed()

    async def _by_socket(self, delivery: Delivery, attempt: Try, reason: str) -> None:
        envelope: Json = {
            "envelope_id": attempt.envelope_id,
            "type": delivery.kind.value,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind is not Kind.EVENT,
        }
        if attempt.retry:
            envelope |= {"retry_attempt": attempt.retry, "retry_reason": reason}
        answered = await self._sockets.send(attempt, envelope)
        if answered is None:
            attempt.trouble = "no_connection"
            return
        late = asyncio.ensure_future(self._world.clock.sleep(ACK_WITHIN_S))
        try:
            await asyncio.wait({answered, late}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            late.cancel()
        if answered.done():
            attempt.acked, delivery.answer = True, answered.result()
        else:
            attempt.trouble = "timeout"

    async def _by_http(self, door: HttpDoor, delivery: Delivery, attempt: Try, reason: str) -> None:
        attempt.to = door.urls[delivery.kind]
        answering = asyncio.ensure_future(door.post(delivery.kind, delivery.payload, retry=attempt.retry, reason=reason))
        late = asyncio.ensure_future(self._world.clock.sleep(ACK_WITHIN_S))
        try:
            await asyncio.wait({answering, late}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                attempt.trouble = "http_timeout"
                return
            answer: HttpAnswer = answering.result()
        finally:
            late.cancel()
            answering.cancel()
        attempt.status, attempt.acked = answer.status, answer.status == 200
        if attempt.acked:
            delivery.answer = answer.acknowledgement()
        else:
            attempt.trouble = "http_error" if answer.status else "connection_failed"
            delivery.no_retry = answer.headers.get("x-slack-no-retry") == "1"
