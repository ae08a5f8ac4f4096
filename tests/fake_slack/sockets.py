"""Socket mode: connections, hello, envelopes to one random connection, acknowledgements, retries, disconnects."""

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.fake_slack.deliveries import Try
from tests.fake_slack.records import Json
from tests.fake_slack.world import World

MOST_CONNECTIONS = 10


@dataclass(eq=False)
class Connection:
    """One open WebSocket of the app."""

    id: str
    ws: web.WebSocketResponse
    request: web.Request
    stalled: bool = False
    """Takes no envelopes and answers no pings, but stays open."""
    leaving: bool = False
    """Was told to go; gets nothing new."""
    pings: int = 0
    pongs: int = 0
    sent: list[Json] = field(default_factory=list[Json])


class Sockets:
    """Every connection that is open, and the acknowledgements that came."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.open: list[Connection] = []
        self._waiting: dict[str, asyncio.Future[Json]] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._world.tickets:
            raise web.HTTPForbidden(text="The ticket is unknown or was used.")
        self._world.tickets.discard(ticket)
        ws = web.WebSocketResponse(autoping=False, heartbeat=None, max_msg_size=0)
        await ws.prepare(request)
        connection = Connection(self._world.new_id("K"), ws, request)
        if len(self.open) >= MOST_CONNECTIONS:
            await self._say(connection, _disconnect(connection, "too_many_websockets"))
            await ws.close()
            return ws
        hello = {
            "type": "hello",
            "num_connections": len(self.open) + 1,
            "connection_info": {"app_id": self._world.app.id},
            "debug_info": {**_debug(connection), "approximate_connection_time": 18060},
        }
        await self._say(connection, hello)
        self.open.append(connection)
        self._world.changed()
        try:
            await self._listen(connection)
        finally:
            self.open.remove(connection)
            self._world.changed()
        return ws

    async def send(self, attempt: Try, envelope: Json) -> asyncio.Future[Json] | None:
        """Send to one random connection; the future gives the acknowledgement's payload. None when nobody is there."""
        there = [one for one in self.open if not one.leaving and not one.ws.closed]
        if not there:
            return None
        connection = self._world.chance.choice(there)
        answered: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting[attempt.envelope_id] = answered
        attempt.to = connection.id
        if not connection.stalled:
            await self._say(connection, envelope)
        return answered

    async def disconnect(self, reason: str = "refresh_requested", connection: Connection | None = None) -> None:
        """Tell a connection (or all) to go: `warning`, `refresh_requested` or `link_disabled`. It gets nothing new."""
        for one in [connection] if connection else list(self.open):
            # A warning comes ten seconds ahead; the connection still works.
            one.leaving = reason != "warning"
            await self._say(one, _disconnect(one, reason))

    def cut(self, connection: Connection | None = None) -> None:
        """Break a connection (or all) without a word, as a network does."""
        for one in [connection] if connection else list(self.open):
            one.leaving = True
            if one.request.transport is not None:
                one.request.transport.abort()

    async def ping(self) -> None:
        """Send each connection a ping frame; `connection.pongs` counts the answers."""
        for one in list(self.open):
            one.pings += 1
            await one.ws.ping(b"Ping from applink")

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.ws:
            if message.type is WSMsgType.PING and not connection.stalled:
                await connection.ws.pong(message.data)
            elif message.type is WSMsgType.PONG:
                connection.pongs += 1
                self._world.changed()
            elif message.type is WSMsgType.TEXT:
                body: Json = json.loads(message.data)
                answered = self._waiting.pop(str(body.get("envelope_id", "")), None)
                if answered is not None and not answered.done():
                    answered.set_result(body.get("payload") or {})

    async def _say(self, connection: Connection, body: Json) -> None:
        connection.sent.append(body)
        try:
            await connection.ws.send_str(json.dumps(body))
        except ConnectionError:
            # The other side is gone: what was said is lost, as on any network.
            connection.leaving = True


def _disconnect(connection: Connection, reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": _debug(connection)}


def _debug(connection: Connection) -> Json:
    return {"host": f"applink-{connection.id.lower()}", "build_number": 1}
