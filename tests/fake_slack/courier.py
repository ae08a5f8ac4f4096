"""Brings what happens to the app, by socket mode or signed HTTP, until it is acknowledged or three retries are over."""

import asyncio

from tests.fake_slack.deliveries import ACK_WITHIN_S, RETRY_AFTER_S, Delivery, Kind, Try
from tests.fake_slack.records import Json
from tests.fake_slack.sockets import Sockets
from tests.fake_slack.world import World


class Courier:
    """Owns one task a delivery that is under way."""

    def __init__(self, world: World, sockets: Sockets) -> None:
        self._world = world
        self._sockets = sockets
        self._tasks: set[asyncio.Task[None]] = set()
        self.deliveries: list[Delivery] = []

    def send(self, kind: Kind, payload: Json, team_id: str) -> Delivery:
        """Begin to deliver; the delivery tells how it goes."""
        delivery = Delivery(self._world.new_id("L"), kind, payload, team_id)
        self.deliveries.append(delivery)
        task = asyncio.create_task(self._carry(delivery), name=f"deliver {delivery.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return delivery

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, delivery: Delivery) -> None:
        clock = self._world.clock
        # Only events come again: a person whose click or command was lost sees an error and may try again.
        pauses = RETRY_AFTER_S if delivery.kind is Kind.EVENT else ()
        await self._attempt(delivery, 0, "")
        for number, pause in enumerate(pauses, 1):
            if delivery.acked:
                return
            await clock.sleep(pause)
            await self._attempt(delivery, number, delivery.tries[-1].trouble)
        if not delivery.acked:
            delivery.given_up = True
            self._world.changed()

    async def _attempt(self, delivery: Delivery, number: int, reason: str) -> None:
        attempt = Try(self._world.chance.hex(), self._world.clock.now(), number, "")
        delivery.tries.append(attempt)
        envelope: Json = {
            "envelope_id": attempt.envelope_id,
            "type": delivery.kind.value,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind is not Kind.EVENT,
        }
        if number:
            envelope |= {"retry_attempt": number, "retry_reason": reason}
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
            attempt.acked = True
            delivery.answer = answered.result()
        else:
            attempt.trouble = "timeout"
        self._world.changed()
