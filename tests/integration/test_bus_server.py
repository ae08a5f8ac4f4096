"""The embedded NATS and our connection to it: up quickly, back after a kill, gone with us."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import psutil
import pytest
import pytest_asyncio
from nats.aio.client import Client

from control_plane.bus import WAKE, Bus, Incoming
from control_plane.bus.server import NatsServer, find_binary
from control_plane.bus.tied import tied_command
from control_plane.errors import Unavailable
from control_plane.settings import Settings
from tests.integration.waiting import until

ROOT = Path(__file__).parent.parent.parent


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncGenerator[Bus]:
    running = Bus(Settings(data_dir=tmp_path))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def next_of(feed: Any) -> bytes:
    return await asyncio.wait_for(anext(feed), 10)


async def test_start_listens_on_loopback_with_private_files_and_stop_leaves_nothing(tmp_path: Path) -> None:
    bus = Bus(Settings(data_dir=tmp_path))
    await bus.start()
    pid = bus.server_pid
    assert bus.connected
    assert bus.url.startswith("nats://127.0.0.1:")
    config = tmp_path / "nats" / "nats-server.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert pid is not None
    await bus.stop()
    assert not psutil.pid_exists(pid)


async def test_the_port_is_the_same_after_a_restart_of_the_control_plane(tmp_path: Path) -> None:
    urls: list[str] = []
    for _ in range(2):
        bus = Bus(Settings(data_dir=tmp_path))
        await bus.start()
        urls.append(bus.url)
        await bus.stop()
    assert urls[0] == urls[1]


async def test_a_feed_begins_with_a_wake_and_then_gives_each_message_to_every_reader(bus: Bus) -> None:
    one, other = bus.subscribe("opsthread.test.a"), bus.subscribe("opsthread.test.a")
    assert [await next_of(one), await next_of(other)] == [WAKE, WAKE]
    await bus.publish("opsthread.test.a", b"first")
    await bus.publish("opsthread.test.a", b"second")
    assert [await next_of(one), await next_of(one)] == [b"first", b"second"]
    assert await next_of(other) == b"first"
    await one.aclose()
    with pytest.raises(StopAsyncIteration):
        await next_of(one)
    assert await next_of(other) == b"second"


async def test_a_slow_reader_loses_the_oldest_and_is_told(bus: Bus) -> None:
    feed = bus.subscribe("opsthread.test.slow")
    assert await next_of(feed) == WAKE
    fast = bus.subscribe("opsthread.test.slow")
    assert await next_of(fast) == WAKE
    for number in range(1500):
        await bus.publish("opsthread.test.slow", str(number).encode())
        assert await next_of(fast) == str(number).encode()
    assert await next_of(feed) == WAKE
    assert await next_of(feed) == b"500"


async def test_a_killed_server_comes_back_and_readers_are_woken(bus: Bus) -> None:
    feed = bus.subscribe("opsthread.test.b")
    assert await next_of(feed) == WAKE
    old = bus.server_pid
    assert old is not None
    os.kill(old, signal.SIGKILL)
    assert await next_of(feed) == WAKE
    assert bus.server_pid not in (None, old)
    await bus.publish("opsthread.test.b", b"after")
    assert await next_of(feed) == b"after"


async def test_publishing_while_the_server_is_down_is_dropped_without_an_error(bus: Bus) -> None:
    pid = bus.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # it is there and does not answer
    try:
        await asyncio.wait_for(bus.publish("opsthread.test.c", b"x"), 5)
    finally:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not bus.connected, "the loss is seen")
    assert await bus.send("opsthread.test.c", b"x") is False
    await until(lambda: bus.connected, "connected again")
    assert await bus.send("opsthread.test.c", b"x") is True


async def test_a_connection_that_breaks_with_much_still_to_send_comes_back(bus: Bus) -> None:
    """nats-py then closes without a word."""
    pid = bus.server_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    sent = 0
    async with asyncio.timeout(10):
        while await bus.send("opsthread.test.flood", bytes(100_000)):
            sent += 1
            await asyncio.sleep(0)
    assert sent > 100, "a stalled server is buffered for, then not waited for"
    os.kill(pid, signal.SIGKILL)
    await until(lambda: bus.server_pid not in (None, pid), "a new server")
    await until(lambda: bus.connected, "connected again")
    assert await bus.send("opsthread.test.flood", b"x") is True


async def test_a_message_over_the_limit_is_dropped_and_the_connection_lives(bus: Bus) -> None:
    assert await bus.send("opsthread.test.d", bytes(1_048_577)) is False
    assert await bus.send("opsthread.test.d", bytes(1_000_000)) is True
    assert bus.connected


async def test_one_bad_message_does_not_end_a_subscription(bus: Bus) -> None:
    seen: list[bytes] = []

    async def handler(message: Incoming) -> None:
        if message.data == b"bad":
            raise ValueError("bad")
        seen.append(message.data)

    await bus.serve("opsthread.test.e", handler)
    await bus.send("opsthread.test.e", b"bad")
    await bus.send("opsthread.test.e", b"good")
    await until(lambda: seen == [b"good"], "the good one is handled")


async def test_jetstream_keeps_its_messages_over_a_kill(tmp_path: Path) -> None:
    server = NatsServer(tmp_path / "nats")
    await server.start()
    options: dict[str, Any] = {"user": "cp", "password": server.secrets.app_password}
    try:
        client = Client()
        await client.connect([server.url], **options)
        streams = cast(Any, client).jetstream()
        await streams.add_stream(name="KEPT", subjects=["kept.>"])
        await streams.publish("kept.one", b"x")
        await client.close()
        old = server.pid
        assert old is not None
        os.kill(old, signal.SIGKILL)
        await until(lambda: server.pid not in (None, old) and _listens(server.port), "a new server listens")
        client = Client()
        await client.connect([server.url], **options)
        assert (await cast(Any, client).jetstream().stream_info("KEPT")).state.messages == 1
        await client.close()
    finally:
        await server.stop()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


_PARENT = """
import asyncio, sys
from pathlib import Path
from control_plane.bus.server import NatsServer
async def main():
    server = NatsServer(Path(sys.argv[1]))
    await server.start()
    print(server.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def test_the_server_dies_with_its_sigkilled_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.stdout.close()
    assert child.name() == "nats-server"
    parent.kill()
    parent.wait(10)
    psutil.wait_procs([child], timeout=10)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


_TIED_BY_PIPE = """
import subprocess, sys
from control_plane.bus.tied import tied_command
sleeper = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
tied = subprocess.Popen(tied_command(sleeper, how="pipe"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
tied.stdout.readline()
print(tied.pid, flush=True)
sys.stdin.read()
"""


def test_the_watchdog_pipe_does_the_same_where_there_is_no_death_signal() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _TIED_BY_PIPE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    wrapper = psutil.Process(int(parent.stdout.readline()))
    both = [wrapper, *wrapper.children()]
    assert len(both) == 2
    parent.kill()
    parent.wait(10)
    parent.stdout.close()
    parent.stdin.close()
    _, alive = psutil.wait_procs(both, timeout=10)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def test_a_tied_child_whose_parent_is_gone_already_does_not_start() -> None:
    command = tied_command([sys.executable, "-c", "print('ran')"], how="signal")
    command[command.index(str(os.getpid()))] = "1"
    assert subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout == b""


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nats_server_path names"):
        find_binary(str(tmp_path / "missing"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bus = Bus(Settings(data_dir=tmp_path, nats_server_path="/bin/false", nats_port=taken.getsockname()[1]))
        with pytest.raises(Unavailable, match="did not listen"):
            await bus.start()
        await bus.stop()


async def test_an_external_nats_is_used_with_its_credentials_and_waited_for(tmp_path: Path) -> None:
    external = NatsServer(tmp_path / "external")
    await external.start()
    try:
        url = external.url.replace("nats://", f"nats://cp:{external.secrets.app_password}@")
        bus = Bus(Settings(data_dir=tmp_path, nats_url=url))
        await bus.start()
        try:
            assert bus.connected
            assert bus.server_pid is None
            assert bus.url == external.url, "runners are told no password"
            assert bus.auth_link() is None
        finally:
            await bus.stop()
    finally:
        await external.stop()
