"""A wire between browser and server that can be cut and mended, as a proxy or a network does it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import cast


class Cable:
    def __init__(self, to_port: int) -> None:
        self._to = to_port
        self._whole = True
        self._ends: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            writer.transport.abort()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends |= {writer, there_writer}
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()
        self._ends.discard(sink)

    def cut(self) -> None:
        self._whole = False
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    def mend(self) -> None:
        self._whole = True

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._pumps, return_exceptions=True)


@asynccontextmanager
async def cable(to_url: str) -> AsyncGenerator[tuple[Cable, str]]:
    """The cable, and the address of its near end."""
    wire = Cable(int(to_url.rsplit(":", 1)[1]))
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    port = cast(int, server.sockets[0].getsockname()[1])
    try:
        yield wire, f"http://127.0.0.1:{port}"
    finally:
        server.close()
        await wire.close()
