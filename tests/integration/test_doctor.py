"""`opsthread doctor` as a command, and asked of a serve that runs: what it found, and who may ask."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.cli.connection import Connection
from bot.cli.doctor import examine, run
from protocol.approval import Role
from protocol.checkup import CheckRow, Health, ok
from protocol.commands import CommandStatus, SelfCheck
from tests.integration.doctor_rows import row
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.http_server import Here, Person, http_server
from tests.integration.runner_rig import free_port
from tests.integration.waiting import until

module = pytest.mark.asyncio(loop_scope="module")


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
