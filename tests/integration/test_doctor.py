"""`opsthread doctor` on installations that are broken in many ways: it finds that, says how to mend it, and no more."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.cli.connection import Connection
from bot.cli.doctor import examine, run
from bot.doctor.keys import look_at_keys
from bot.doctor.models import look_at_embeddings, look_at_models
from bot.doctor.place import look_at_place, read_settings
from bot.doctor.storage import look_at_database
from bot.doctor.wire import look_at_bus
from control_plane.data_dir import held
from control_plane.settings import Price, Settings
from knowledge.diagnosis.certificates import NotACertificate, expires_at
from protocol.approval import Role
from protocol.checkup import CheckRow, Health, ok
from protocol.commands import CommandStatus, SelfCheck
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.http_server import Here, Person, http_server
from tests.integration.metrics_servers import Keys, make_keys
from tests.integration.postgres import Postgres
from tests.integration.runner_rig import NATS_SERVER, end, free_port
from tests.integration.scripted_model import Calls, Fail, Say, scripted_model
from tests.integration.waiting import until

module = pytest.mark.asyncio(loop_scope="module")


def row(rows: Any, name: str) -> CheckRow:
    """The one row of that name."""
    (found,) = [row for row in rows if row.name == name]
    return found


def settings(folder: Path, **more: Any) -> Settings:
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    return Settings(data_dir=data, port=0, **more)


# Configuration


@pytest.mark.parametrize(
    ("environment", "toml", "name", "health", "mend"),
    [
        ({"OPSTHREAD_MODLE": "x"}, "", "OPSTHREAD_MODLE", Health.WARN, "OPSTHREAD_MODEL"),
        ({"OPSTHREAD_QWERTZUIOP": "x"}, "", "OPSTHREAD_QWERTZUIOP", Health.WARN, "docs/configuration.md"),
        ({}, "prot = 8080", "prot", Health.WARN, "Write port instead"),
        ({}, "port = 8080\nhost = oops", "opsthread.toml", Health.FAIL, "strings are in quotes"),
        ({"OPSTHREAD_PORT": "eighty"}, "", "port", Health.FAIL, "OPSTHREAD_PORT"),
        ({}, "log_level = 'loud'", "log_level", Health.FAIL, "opsthread.toml"),
        ({"OPSTHREAD_RUNNER_MODE": "x", "OPSTHREAD_TOKEN": "t"}, "model = 'm'", "settings", Health.OK, ""),
    ],
)
def test_configuration(
    environment: Mapping[str, str], toml: str, name: str, health: Health, mend: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    if toml:
        (tmp_path / "opsthread.toml").write_text(toml)
    found, rows = read_settings(environment, tmp_path, {})
    assert row(rows, name).health is health
    assert mend in row(rows, name).mend
    assert (found is None) == (health is Health.FAIL)


# Place


def _leave_it(data: Path) -> None:
    assert data.is_dir()


def _open_to_others(data: Path) -> None:
    data.chmod(0o755)


def _a_file(data: Path) -> None:
    data.rmdir()
    data.write_text("")


def _nothing(data: Path) -> None:
    data.rmdir()


@pytest.mark.parametrize(
    ("spoil", "health", "mend"),
    [
        (_open_to_others, Health.WARN, "chmod 700"),
        (_a_file, Health.FAIL, "OPSTHREAD_DATA_DIR"),
        (_nothing, Health.OK, ""),
        (_leave_it, Health.OK, ""),
    ],
)
def test_data_directory(spoil: Callable[[Path], None], health: Health, mend: str, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    spoil(chosen.data_dir)
    found = row(look_at_place(chosen, serving=False), "directory")
    assert found.health is health
    assert mend in found.mend


def test_a_directory_that_cannot_be_written() -> None:
    """Root may write anywhere but where the kernel lets nobody."""
    rows = look_at_place(Settings(data_dir=Path("/proc/self"), port=0), serving=False)
    assert row(rows, "directory").health is Health.FAIL


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        taken = row(look_at_place(settings(tmp_path).model_copy(update={"port": port}), serving=False), "port")
        ours = row(look_at_place(settings(tmp_path).model_copy(update={"port": port}), serving=True), "port")
    assert (taken.health, ours.health) == (Health.FAIL, Health.OK)
    assert f":{port}" in taken.mend


def test_a_directory_that_somebody_holds_and_nobody_answers_for(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    with held(chosen.data_dir):
        found = row(look_at_place(chosen, serving=False), "held")
        assert (found.health, str(os.getpid()) in found.found) == (Health.FAIL, True)
        assert not [one for one in look_at_place(chosen, serving=True) if one.name == "held"]
    assert not [one for one in look_at_place(chosen, serving=False) if one.name == "held"]


def test_addresses_that_people_can_misuse(tmp_path: Path) -> None:
    open_door = settings(tmp_path, host="0.0.0.0")
    assert row(look_at_place(open_door, serving=False), "public URL").health is Health.WARN
    plain = settings(tmp_path, host="0.0.0.0", public_url="http://ops.example.org")
    assert "https://ops.example.org" in row(look_at_place(plain, serving=False), "public URL").mend
    nowhere = settings(tmp_path, host="203.0.113.7").model_copy(update={"port": free_port()})
    assert row(look_at_place(nowhere, serving=False), "port").health is Health.FAIL


# Keys


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("doctor") / "keys")


def test_secrets_that_others_may_read(tmp_path: Path) -> None:
    chosen = settings(tmp_path, openai_api_key_file=tmp_path / "key")
    (tmp_path / "key").write_text("sk-x")
    (tmp_path / "key").chmod(0o644)
    (chosen.data_dir / "grant.key").write_text("ab" * 32)
    rows = look_at_keys(chosen)
    assert row(rows, "openai_api_key_file").mend == f"chmod 600 {tmp_path / 'key'}"
    assert row(rows, "grant.key").health is Health.WARN
    for name in (tmp_path / "key", chosen.data_dir / "grant.key"):
        name.chmod(0o600)
    (only,) = look_at_keys(chosen)
    assert only.health is Health.OK
    assert "sk-x" not in "".join(found.found + found.mend for found in rows)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("grant_key_file", "not hex", "no Ed25519 seed"),
        ("audit_key_file", "abcd", "no Ed25519 seed"),
        ("openai_api_key_file", " \n", "is empty"),
        ("openai_api_key_file", None, "can't be read"),
        ("nats_ca_file", "hello", "no PEM certificate"),
        ("nats_ca_file", "-----BEGIN CERTIFICATE-----\nMAAB\n-----END CERTIFICATE-----", "can't be read"),
    ],
)
def test_key_files_of_a_wrong_form(name: str, text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    found = row(look_at_keys(settings(tmp_path, **{name: path})), name)
    assert found.health is Health.FAIL
    assert words in found.found


def test_certificates_that_end(keys: Keys, tmp_path: Path) -> None:
    path = keys.path("ca.crt")
    chosen = settings(tmp_path, nats_ca_file=path)
    now = datetime.now(UTC)
    assert row(look_at_keys(chosen, now), "nats_ca_file").health is Health.WARN, "two days are left"
    assert row(look_at_keys(chosen, now + timedelta(days=3)), "nats_ca_file").health is Health.FAIL
    (well,) = look_at_keys(chosen, now - timedelta(days=60))
    assert well.health is Health.OK
    end_at = expires_at(path.read_text())
    assert timedelta(days=1, hours=23) < end_at - now <= timedelta(days=2)
    assert expires_at(keys.path("client.crt").read_text() + path.read_text()) < end_at, "the earliest of a chain counts"


@pytest.mark.parametrize("cut", [3, 10, 40, 200, 300])
def test_a_certificate_that_is_cut_off(keys: Keys, cut: int) -> None:
    lines = keys.path("ca.crt").read_text().splitlines()
    body = "".join(lines[1:-1])[:cut]
    with pytest.raises(NotACertificate):
        expires_at(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")


# Database


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


# What cannot even be looked at


async def test_a_data_directory_that_cannot_be_looked_into(tmp_path: Path) -> None:
    """As for a user who may not look into it; for root a name does that no file system takes."""
    chosen = Settings(data_dir=tmp_path / ("x" * 300), port=0)
    assert row(look_at_place(chosen, serving=False), "directory").health is Health.FAIL
    assert row(look_at_keys(chosen), "files").health is Health.FAIL
    assert row(await look_at_database(chosen), "SQLite").health is Health.FAIL


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0"], ids=["missing", "no text"])
async def test_a_key_file_that_cannot_be_read_is_said_once(content: bytes | None, tmp_path: Path) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    for name in ("openai_api_key_file", "fallback_api_key_file"):
        (failed,) = await look_at_models(settings(tmp_path, **{name: key}), ask=True)
        assert (failed.health, failed.name) == (Health.FAIL, "key")
    (skipped,) = await look_at_embeddings(settings(tmp_path, openai_api_key_file=key), ask=False)
    assert skipped.health is Health.SKIP
    (url,) = await look_at_database(settings(tmp_path, database_url_file=key))
    assert (url.health, url.name) == (Health.FAIL, "URL")


@pytest.mark.parametrize("url", ["nats://h:99999", "nats://h:abc", "nats://[::1", f"nats://{'h' * 200}:1"])
async def test_an_address_of_the_bus_that_is_none(url: str, tmp_path: Path) -> None:
    (found,) = await look_at_bus(settings(tmp_path, nats_url=url))
    assert (found.health, found.area) == (Health.FAIL, "bus")


# Bus


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


# Model


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


# The whole command


def test_the_command_without_a_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    how: dict[str, Any] = {"ask_model": False, "verbose": False, "url": None, "token": None, "data_dir": tmp_path / "data"}
    monkeypatch.setenv("OPSTHREAD_PORT", "0")
    assert run(as_json=True, **how) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["healthy"], told["serving"], told["counts"]["fail"]) == (True, False, 0)
    assert row([CheckRow(**one) for one in told["rows"]], "serve").health is Health.SKIP
    monkeypatch.setenv("OPSTHREAD_NATS_SERVER_PATH", "/nowhere")
    assert run(as_json=False, **how) == 1
    shown = capsys.readouterr().out
    assert "✗ bus · nats-server" in shown
    assert "1 to mend" in shown


async def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    gone = Connection(url=f"http://127.0.0.1:{free_port()}", token="t")
    far = await examine(gone, data_dir=None, ask_model=False, remote=True)
    assert [one.name for one in far.rows] == ["serve"], "what is here says nothing of a server elsewhere"
    assert not far.healthy
    near = await examine(gone, data_dir=tmp_path / "data", ask_model=False, remote=False)
    assert row(near.rows, "serve").health is Health.FAIL
    assert row(near.rows, "settings").health is Health.OK


# A running serve


@dataclass
class Ward:
    here: Here
    admin: Person
    dana: Person
    answer: list[Callable[[Job], Any]]

    async def rows(self) -> list[CheckRow]:
        status, body = await self.admin.call("POST", "/api/v1/doctor", {})
        assert status == 200, body
        return [CheckRow.model_validate(one) for one in body["rows"]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Ward]:
    async with http_server(tmp_path_factory.mktemp("ward"), port=0) as here:
        admin, dana = await here.person("root", Role.ADMIN), await here.person("dana", Role.OPERATOR)
        await here.plane.fleet.create("lonely", by="system")
        answers: list[Callable[[Job], Any]] = [_well]

        async def answer(job: Job) -> None:
            await job.accept()
            await answers[0](job)

        async with _runner_of(here, here.cluster.id, answer):
            yield Ward(here, admin, dana, answers)


@asynccontextmanager
async def _runner_of(here: Here, cluster: str, answer: Any) -> AsyncGenerator[FakeRunner]:
    runner = FakeRunner(here.plane.bus.url, answer=answer)
    assert await runner.enrol(await here.plane.fleet.enrolment_token(cluster, by="system")) == ""
    assert (await runner.connect()).accepted

    async def online() -> bool:
        return (await here.plane.fleet.get(cluster)).online

    await until(online, "the cluster is online")
    try:
        yield runner
    finally:
        await runner.close()


async def _well(job: Job) -> None:
    assert isinstance(job.request.command, SelfCheck)
    await job.finish("well", data={"checks": [ok("rights", "needed", "all of them").model_dump(mode="json")]})


async def _older(job: Job) -> None:
    await job.finish("", status=CommandStatus.INVALID, error="This runner cannot read the command (command.kind).")


async def _odd(job: Job) -> None:
    await job.finish("", data={"checks": [{"area": "x" * 99}]})


@module
async def test_everything_that_a_running_serve_knows(ward: Ward) -> None:
    ward.answer[0] = _well
    rows = await ward.rows()
    about = {(one.cluster, one.area, one.name): one for one in rows}
    assert about["", "bus", "connection"].health is Health.OK
    assert about["practice", "rights", "needed"].found == "all of them"
    assert about["practice", "cluster", "runner"].health in (Health.OK, Health.WARN)
    lonely = about["lonely", "cluster", "runner"]
    assert (lonely.health, lonely.mend.split("   ")[0]) == (Health.FAIL, "opsthread cluster add lonely")
    assert about["", "database", "SQLite"].health is Health.OK
    assert about["", "network", "port"].health is Health.OK


@module
async def test_runners_that_cannot_say(ward: Ward) -> None:
    ward.answer[0] = _older
    older = row([one for one in await ward.rows() if one.cluster == "practice"], "self-check")
    assert (older.health, older.mend) == (Health.WARN, "Update the runner.")
    ward.answer[0] = _odd
    odd = row([one for one in await ward.rows() if one.cluster == "practice"], "self-check")
    assert odd.health is Health.FAIL


@module
async def test_only_administrators_ask_the_doctor(ward: Ward, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ward.dana.call("POST", "/api/v1/doctor", {}))[0] == 403
    assert (await ward.dana.call("POST", "/api/v1/doctor", {"model": True}))[0] == 403
    eve = await ward.here.person("eve", Role.ADMIN, namespaces=("elsewhere",))
    assert (await eve.call("POST", "/api/v1/doctor", {}))[0] == 403
    monkeypatch.chdir(tmp_path)
    hers = Connection(url=ward.here.url, token=ward.dana.token)
    found = await examine(hers, data_dir=tmp_path / "data", ask_model=False, remote=False)
    assert "administrator" in row(found.rows, "serve").mend
    his = Connection(url=ward.here.url, token=ward.admin.token)
    assert (await examine(his, data_dir=None, ask_model=False, remote=False)).serving
