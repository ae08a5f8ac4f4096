"""Full disks, locked databases, storms, floods and giants, on the whole product: said in words, bounded, and then over."""

import asyncio
import contextlib
import json
import resource
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import aiohttp
import psutil
import pytest
import pytest_asyncio

from tests.integration.waiting import until
from tests.practice_admin import PracticeAdmin
from tests.product import Api, Process

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "why does payments keep restarting?"
MIB = 2**20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: Any) -> AsyncGenerator[Process]:
    folder = cast(Path, tmp_path_factory.mktemp("worse"))
    process = await Process(["demo", "--port", "0", "--data-dir", str(folder / "data"), "--solo"], folder).start()
    yield process
    await process.stop()
    await process.no_orphans()


@pytest_asyncio.fixture(loop_scope="module")
async def api(demo: Process) -> AsyncGenerator[Api]:
    async with Api(demo.url, demo.token("asker")) as client:
        yield client


def cluster_admin(demo: Process) -> PracticeAdmin:
    return PracticeAdmin(cast(dict[str, Any], demo.ready["sandbox"]))


async def ask(api: Api, text: str = QUESTION) -> tuple[int, Any]:
    cluster = (await api.get("/api/v1/clusters"))["clusters"][0]["id"]
    return await api.call("POST", "/api/v1/conversations", {"cluster": cluster, "text": text})


async def log_of(api: Api, conversation: str) -> list[dict[str, Any]]:
    entries = (await api.get(f"/api/v1/conversations/{conversation}/log?limit=1000"))["entries"]
    return [cast(dict[str, Any], entry["event"]) for entry in entries]


async def finished(api: Api, conversation: str, timeout_s: float = 90) -> list[dict[str, Any]]:
    async def there() -> list[dict[str, Any]] | None:
        events = await log_of(api, conversation)
        return events if {"turn_finished", "turn_failed"} & {event["type"] for event in events} else None

    return await until(there, f"the turn of {conversation} ends", timeout_s)


async def answered(api: Api, text: str = QUESTION) -> list[dict[str, Any]]:
    status, body = await ask(api, text)
    assert status == 201, body
    return await finished(api, str(body["conversation"]["id"]))


def codes(events: list[dict[str, Any]]) -> set[str]:
    made = [event["diagnosis"] for event in events if event["type"] == "diagnosis"]
    return {cause["code"] for diagnosis in made for cause in diagnosis["root_causes"]}


def main_process(demo: Process) -> psutil.Process:
    assert demo.process is not None
    return psutil.Process(demo.process.pid)


@contextlib.contextmanager
def no_room(process: psutil.Process) -> Any:
    """From here on no file of that process can grow: what a full disk does to whoever writes."""
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_said_and_nothing_that_was_taken_is_lost(demo: Process, api: Api) -> None:
    status, body = await ask(api)
    assert status == 201
    kept = str(body["conversation"]["id"])
    await finished(api, kept)
    with no_room(main_process(demo)):
        status, problem = await ask(api)
        assert status == 503, problem
        assert "disk is full" in problem["detail"]
        status, _ = await api.call("GET", "/health/live")
        assert status == 200
        assert "turn_finished" in {event["type"] for event in await log_of(api, kept)}, "what was there can still be read"
    assert "memory-limit-too-low" in codes(await answered(api))


async def test_the_bus_does_not_need_its_disk_to_carry_a_question(demo: Process, api: Api) -> None:
    with no_room(demo.child("nats-server")):
        assert "memory-limit-too-low" in codes(await answered(api))


async def test_a_database_that_another_program_holds_is_waited_for_and_then_said(demo: Process, api: Api) -> None:
    file = next(demo.folder.rglob("opsthread.db"))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(ask(api))
        await until(lambda: _busy(asked), "the question waits", 10)
        holder.execute("ROLLBACK")
        status, body = await asyncio.wait_for(asked, 30)
        assert status == 201, "it was only waited for"
        await finished(api, str(body["conversation"]["id"]))
        holder.execute("BEGIN IMMEDIATE")
        status, problem = await ask(api)
        assert status == 503, problem
        assert "another program holds the database" in problem["detail"]
        holder.execute("ROLLBACK")
    assert "memory-limit-too-low" in codes(await answered(api))


async def _busy(task: asyncio.Task[Any]) -> bool:
    await asyncio.wait((task,), timeout=1)
    assert not task.done()
    return True


@pytest.mark.parametrize("status", [410, 429, 500, 503])
async def test_a_storm_of_the_api_server_passes(demo: Process, api: Api, status: int) -> None:
    """Every list and watch fails for a while. The cache is what it was, questions are answered, and it catches up after."""
    admin = cluster_admin(demo)
    await admin.post("faults", {"match": r"^/(api|apis)/", "status": status, "count": 150})
    events = await answered(api)
    assert {"turn_finished"} <= {event["type"] for event in events}
    await admin.delete("faults")
    assert "memory-limit-too-low" in codes(await answered(api))
    assert demo.child("runner").is_running()


async def test_a_hundred_megabytes_of_log_are_read_from_their_end(demo: Process, api: Api) -> None:
    admin = cluster_admin(demo)
    line = "connection pool exhausted, retrying " + "x" * 80_000
    for _ in range(25):
        await admin.post("logs", {"workload": "search", "lines": [line] * 50})
    await admin.post("logs", {"workload": "search", "lines": ["the very last line of this log"]})
    before = rss(demo, "runner")
    events = await answered(api, "show the logs of search")
    shown = json.dumps(events)
    assert "the very last line of this log" in shown, shown[-3000:]
    assert len(shown) < 2 * MIB
    assert rss(demo, "runner") - before < 150 * MIB


async def test_an_object_of_ten_megabytes_is_cut_and_said(demo: Process, api: Api) -> None:
    admin = cluster_admin(demo)
    giant = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "giant", "namespace": "shop"},
        "data": {f"key-{n}": "v" * 100_000 for n in range(100)},
    }
    await admin.post_to("/api/v1/namespaces/shop/configmaps", giant)
    before = rss(demo, "runner")
    events = await answered(api, "kubectl get configmap giant -n shop -o yaml")
    assert len(json.dumps(events)) < 2 * MIB
    assert "memory-limit-too-low" in codes(await answered(api))
    assert rss(demo, "runner") - before < 200 * MIB


async def test_fifty_conversations_at_once_each_get_one_answer(demo: Process, api: Api) -> None:
    questions = [QUESTION if number % 5 == 0 else "kubectl get pods -n shop" for number in range(50)]
    opened = await asyncio.gather(*(ask(api, text) for text in questions))
    taken = [str(body["conversation"]["id"]) for status, body in opened if status == 201]
    assert {status for status, _ in opened} <= {201, 429}, "who can't be served now is told so"
    assert taken
    for events in await asyncio.gather(*(finished(api, conversation, 110) for conversation in taken)):
        kinds = Counter(event["type"] for event in events)
        assert (kinds["turn_started"], kinds["turn_finished"], kinds["turn_failed"]) == (1, 1, 0)
        assert "payments" in json.dumps(events[-1:] + events[:-1])


async def test_readers_that_do_not_read_cost_others_nothing(demo: Process, api: Api) -> None:
    """Streams are opened and never read from: the server keeps little for them, and everybody else goes on."""
    before = main_process(demo).memory_info().rss
    headers = {"Authorization": f"Bearer {demo.token('asker')}"}
    async with aiohttp.ClientSession(headers=headers, read_bufsize=1024) as http:
        streams = [await http.get(f"{demo.url}/api/v1/stream") for _ in range(8)]
        began = time.monotonic()
        for _ in range(5):
            assert "memory-limit-too-low" in codes(await answered(api))
        assert time.monotonic() - began < 90
        for stream in streams:
            stream.close()
    assert main_process(demo).memory_info().rss - before < 120 * MIB


def rss(demo: Process, word: str) -> int:
    return int(demo.child(word).memory_info().rss)
