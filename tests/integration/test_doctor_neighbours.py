"""What `opsthread doctor` says of what it talks to: the database, the bus, the models."""

import asyncio
import os
import signal
import socket
import sqlite3
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.doctor.models import look_at_embeddings, look_at_models
from bot.doctor.storage import look_at_database
from bot.doctor.wire import look_at_bus
from control_plane.settings import Price, Settings
from protocol.checkup import Health
from tests.integration.doctor_rows import row, settings
from tests.integration.postgres import Postgres
from tests.integration.runner_rig import NATS_SERVER, end, free_port
from tests.integration.scripted_model import Calls, Fail, Say, scripted_model
from tests.integration.waiting import until


async def test_sqlite(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    path = chosen.data_dir / "opsthread.db"
    assert row(await look_at_database(chosen), "SQLite").health is Health.OK
    assert not path.exists(), "looking must not make one"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('r9999')")
    newer = row(await look_at_database(chosen), "SQLite")
    assert (newer.health, "newer version" in newer.found) == (Health.FAIL, True)
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    assert row(await look_at_database(chosen), "integrity").health is Health.FAIL


async def test_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    rows = await look_at_database(settings(tmp_path, database_url=postgres.new_database()))
    assert {found.name: found.health for found in rows} == {"PostgreSQL": Health.OK, "database": Health.OK}
    missing = settings(tmp_path, database_url=postgres.new_database().replace("t_", "nothing_"))
    (gone,) = await look_at_database(missing)
    assert gone.health is Health.FAIL
    assert "does not exist" in gone.found
    (down,) = await look_at_database(
        settings(tmp_path, database_url=f"postgresql+psycopg://u:s3cret@127.0.0.1:{free_port()}/d")
    )
    assert down.health is Health.FAIL
    assert "s3cret" not in down.found + down.mend


@pytest.mark.parametrize("url", ["nonsense", "postgresql://", "mysql://u@h/d"])
async def test_a_database_url_that_is_none(url: str, tmp_path: Path) -> None:
    found = await look_at_database(settings(tmp_path, database_url=url))
    assert [one.health for one in found] == [Health.FAIL]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://u@h/d", "mysql is neither sqlite nor postgresql"),
        ("postgresql+nosuchdriver://u@h/d", "its driver is not installed"),
    ],
)
async def test_a_database_that_we_do_not_speak_to(url: str, words: str, tmp_path: Path) -> None:
    (found,) = await look_at_database(settings(tmp_path, database_url=url))
    assert (found.health, words in found.found, "postgresql+psycopg" in found.mend) == (Health.FAIL, True, True), found


async def test_a_database_in_a_folder_of_odd_letters(tmp_path: Path) -> None:
    """A `#` ends the path to whoever reads it as a part of a URI."""
    folder = tmp_path / "a#b"
    folder.mkdir()
    chosen = settings(folder)
    sqlite3.connect(chosen.data_dir / "opsthread.db").close()
    (chosen.data_dir / "opsthread.db").write_bytes(b"")
    assert row(await look_at_database(chosen), "SQLite").found.startswith("empty")


@pytest.mark.parametrize("url", ["nats://h:99999", "nats://h:abc", "nats://[::1", f"nats://{'h' * 200}:1"])
async def test_an_address_of_the_bus_that_is_none(url: str, tmp_path: Path) -> None:
    (found,) = await look_at_bus(settings(tmp_path, nats_url=url))
    assert (found.health, found.area) == (Health.FAIL, "bus")


async def test_the_bus_without_a_serve(tmp_path: Path) -> None:
    (bundled,) = await look_at_bus(settings(tmp_path))
    assert bundled.health is Health.OK
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        (taken,) = await look_at_bus(settings(tmp_path, nats_port=int(other.getsockname()[1])))
        (ours,) = await look_at_bus(settings(tmp_path, nats_port=int(other.getsockname()[1])), serving=True)
    assert (taken.health, "another program" in taken.found) == (Health.FAIL, True)
    assert ours.health is Health.OK, "a serve of ours listens there, that tells its state to administrators only"
    (missing,) = await look_at_bus(settings(tmp_path, nats_server_path="/nowhere/nats-server"))
    assert missing.health is Health.FAIL
    (down,) = await look_at_bus(settings(tmp_path, nats_url=f"nats://u:s3cret@127.0.0.1:{free_port()}"))
    assert down.health is Health.FAIL
    assert "s3cret" not in down.found + down.mend + down.name


async def test_a_nats_without_jetstream_and_something_else(tmp_path: Path) -> None:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(NATS_SERVER), "-a", "127.0.0.1", "-p", str(port),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        url = f"nats://127.0.0.1:{port}"

        async def answers() -> bool:
            return (await look_at_bus(settings(tmp_path, nats_url=url)))[0].health is Health.OK

        await until(answers, "nats-server answers")
        rows = await look_at_bus(settings(tmp_path, nats_url=url))
        assert [one.health for one in rows] == [Health.OK, Health.FAIL]
        assert "JetStream" in rows[1].found
    finally:
        await end(process, signal.SIGKILL)
    other = await asyncio.start_server(lambda _, writer: writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "127.0.0.1", 0)
    async with other:
        url = f"nats://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        (found,) = await look_at_bus(settings(tmp_path, nats_url=url))
    assert "no NATS" in found.found


async def test_a_model_that_calls_and_streams_and_what_it_cost(tmp_path: Path) -> None:
    async with scripted_model(Calls(("report_ready", {"word": "ready"})), Say("one two three four five six")) as server:
        chosen = _with_model(tmp_path, server.url).model_copy(update={"model_prices": {"m": Price(input=1, output=2)}})
        unasked = await look_at_models(chosen, ask=False)
        assert [one.health for one in unasked] == [Health.SKIP]
        assert server.requests == []
        rows = await look_at_models(chosen, ask=True)
    assert row(rows, "m: tools").health is Health.OK
    assert "tokens" in row(rows, "m: tools").found
    assert "0.0000" in row(rows, "m: tools").found
    assert row(rows, "m: streaming").health in (Health.OK, Health.WARN)
    assert len(server.requests) == 2


async def test_a_model_that_does_not_call_tools_or_does_not_answer(tmp_path: Path) -> None:
    async with scripted_model(Say("I am ready!")) as server:
        rows = await look_at_models(_with_model(tmp_path, server.url), ask=True)
        assert row(rows, "m: tools").health is Health.WARN
    async with scripted_model(Fail(401)) as server:
        (refused,) = await look_at_models(_with_model(tmp_path, server.url), ask=True)
        assert (refused.health, "refused the key" in refused.found) == (Health.FAIL, True)
    (gone,) = await look_at_models(_with_model(tmp_path, f"http://127.0.0.1:{free_port()}/v1"), ask=True)
    assert "can't be reached" in gone.found


async def test_embeddings(tmp_path: Path) -> None:
    (local,) = await look_at_embeddings(settings(tmp_path), ask=False)
    assert local.health is Health.OK
    named = _with_model(tmp_path, f"http://127.0.0.1:{free_port()}/v1").model_copy(update={"embeddings_model": "e"})
    assert (await look_at_embeddings(named, ask=False))[0].health is Health.SKIP


def _with_model(folder: Path, url: str) -> Settings:
    return settings(folder).model_copy(update={"openai_base_url": url, "openai_api_key": SecretStr("sk-x"), "model": "m"})
