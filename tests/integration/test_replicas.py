"""Two replicas on one database and one bus are one product: no request has to come back to where the last one went, and
what a replica was doing when it died is finished by the other, once."""

import asyncio
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio

from tests.integration.postgres import Postgres
from tests.integration.replicas import LEASE_S, ROOT, Replicas, replicas, stream
from tests.integration.scripted_model import Calls, Say, Silent
from tests.integration.waiting import until
from tests.product import Api, Process

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
LOOK = Calls(("kubectl", {"command": "get pods -n shop"}))
ASK = "look at the pods of shop for me please"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> AsyncGenerator[Replicas]:
    async with replicas(tmp_path_factory.mktemp("replicas"), postgres) as here:
        yield here


async def test_who_signs_in_at_one_is_signed_in_at_the_other(two: Replicas) -> None:
    for at, elsewhere in ((two.a, two.b), (two.b, two.a)):
        async with Api(elsewhere.url, at.token("admin")) as api:
            assert (await api.get("/api/v1/me"))["name"] == "Administrator"
    made, used = (two.a, two.b) if two.a.ready["links"] else (two.b, two.a)
    link = urlsplit(str(made.ready["links"]["admin"])).path
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.get(f"{used.url}{link}") as page:
            form = {"csrf": _CSRF.findall(await page.text())[0]}
        async with browser.post(f"{used.url}{link}", data=form) as signed_in:
            assert (signed_in.status, str(signed_in.url)) == (200, f"{used.url}/")
        async with browser.get(f"{made.url}/api/v1/me") as me:
            assert (await me.json())["name"] == "Administrator"
        async with browser.post(f"{made.url}{link}", data=form) as again:
            assert again.status == 401, "the link was used up at the other replica"


async def test_a_question_asked_at_one_is_streamed_at_the_other_and_resumed_at_either(two: Replicas) -> None:
    two.model.replies[:] = [LOOK, Say("It restarts for want of memory.")]
    async with two.api(two.a) as api:
        conversation = await two.ask(api, ASK)
    async with stream(two.b, f"?c={conversation}:0") as events:
        while (first := await events.next("log", 20)).data["event"]["type"] != "tool_finished":
            pass
    for process in (two.a, two.b):
        async with stream(process, f"?c={conversation}:0", **{"Last-Event-ID": first.id}) as events:
            while (last := await events.next("log", 20)).data["event"]["type"] != "turn_finished":
                pass
            seen = [e.data["seq"] for e in events.seen if e.kind == "log"]
        assert seen == list(range(first.data["seq"] + 1, last.data["seq"] + 1)), process.url
    entries = await _log(two, two.b, conversation)
    _assert_whole(entries)
    assert any(e["event"].get("text", "").startswith("It restarts for want of memory.") for e in entries)


async def test_live_text_of_a_turn_on_one_is_seen_at_the_other(two: Replicas) -> None:
    two.model.replies[:] = [Say(" ".join(f"word{n}" for n in range(40)))]
    async with two.api(two.a) as api:
        conversation = await two.ask(api, "hello my friend, tell me about the weather please")
        await api.event(conversation, "turn_finished")
        for process in (two.a, two.b):
            async with stream(process, f"?c={conversation}:0") as events:
                await events.next("lists", 20)
                status, _ = await api.call("POST", f"/api/v1/conversations/{conversation}/ask", {"text": "again please"})
                assert status in (200, 201, 202), status
                live = await events.next("live", 20)
                assert "word" in live.data["text"], process.url


async def test_commands_go_through_either(two: Replicas) -> None:
    for process in (two.a, two.b):
        async with two.api(process) as api:
            body = {"cluster_id": two.cluster, "action": "get", "args": ["pods", "-n", "shop"]}
            status, answer = await api.call("POST", "/api/v1/commands", body)
            assert status in (200, 201), answer
            assert "payments" in str(answer["result"]), process.url


async def test_killed_in_a_turn_the_other_finishes_it(two: Replicas) -> None:
    two.model.replies[:] = [LOOK, Silent()]
    async with two.api(two.a) as api:
        conversation = await two.ask(api, ASK)
        asked = len(two.model.requests)
        turn = (await api.event(conversation, "tool_finished"))["turn"]

        async def waits() -> bool | None:
            return True if len(two.model.requests) >= asked + 1 and len(two.model.replies) == 1 else None

        await until(waits, "the model has the tool's result and is silent")
        dead = await two.runs(f"turn:{turn}")
        await dead.kill()
    two.model.replies[:] = [Say("Done by the one that is left.")]
    alive = two.other(dead)
    async with two.api(alive) as api:
        await api.event(conversation, "turn_finished", 5 * LEASE_S + 10)
        entries = await api.log(conversation)
    _assert_whole(entries)
    assert _kinds(entries)["turn_resumed"] == 1
    calls = Counter(e["event"]["call"] for e in entries if e["event"]["type"] == "tool_finished")
    assert set(calls.values()) == {1}, calls
    await dead.start()


async def test_killed_in_an_action_the_other_finds_out_and_nothing_runs_twice(two: Replicas) -> None:
    """Two fixes, each approved at both replicas at once; one is in the cluster's hands when its replica dies."""
    before = {name: await two.generation(name) for name in ("cart", "search")}
    async with two.api(two.a) as api, two.api(two.b) as other:
        cards: dict[str, dict[str, Any]] = {}
        for name in before:
            cards[name] = await _proposed(two, api, f"kubectl scale deployment/{name} -n shop --replicas=3")
            if name == "search":
                await two.practice.fault("/deployments/search", delay=2, count=1)
            answers = await asyncio.gather(*(at.approve(cards[name]) for at in (other, api)))
            statuses = {status for status, _ in answers}
            assert 200 in statuses
            assert statuses <= {200, 409}
            await api.event(cards[name]["conversation"], "action_started")
        # Between the grant that was sent and its result: the command is on the table, without an end.
        sent = "SELECT 1 FROM commands WHERE approval = %s AND kind = 'execute' AND finished_at IS NULL"

        async def under_way() -> bool | None:
            return True if await two.rows(sent, cards["search"]["id"]) else None

        await until(under_way, "the execution is under way")
        dead = await two.runs(f"action:{cards['search']['id']}")
        await dead.kill()
    async with two.api(two.other(dead)) as api:
        for name, card in cards.items():
            ended = await api.ended(card["id"])
            assert ended["state"] == "succeeded", ended
            assert await two.generation(name) == before[name] + 1, f"{name}: exactly once in the cluster"
            await api.event(card["conversation"], "turn_finished")
            entries = await api.log(card["conversation"])
            _assert_whole(entries)
            assert _kinds(entries)["action_started"] == _kinds(entries)["action_finished"] == 1
        rows = await two.rows("SELECT count(*), max(seq) FROM audit_entries")
        assert rows[0][0] == rows[0][1], "the audit is one chain"
    await dead.start()


async def test_a_second_process_of_the_same_name_is_told_so(two: Replicas, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("twin")
    env = {**two.env, "OPSTHREAD_EXECUTOR_ID": "replica-a"}
    said = await _fails_to_start(folder, env)
    assert "executor id replica-a is in use by process" in said
    assert "OPSTHREAD_EXECUTOR_ID" in said


async def _fails_to_start(folder: Any, env: dict[str, str]) -> str:
    words = ["serve", "--port", "0", "--data-dir", str(folder / "data")]
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "bot.cli", *words],
        cwd=ROOT,
        env={**env, "PATH": "/usr/bin:/bin", "COLUMNS": "1000"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.decode()


async def _proposed(two: Replicas, api: Api, command: str) -> dict[str, Any]:
    two.model.replies[:] = [Say("That is what became of it.")]
    status, body = await api.call("POST", "/api/v1/conversations", {"cluster": two.cluster})
    assert status == 201, body
    conversation = str(body["conversation"]["id"])
    wanted = {"cluster_id": two.cluster, "command": command, "conversation": conversation}
    status, card = await api.call("POST", "/api/v1/proposals", wanted)
    assert status == 201, card
    assert card["conversation"] == conversation
    return card


async def _log(two: Replicas, process: Process, conversation: str) -> list[dict[str, Any]]:
    async with two.api(process) as api:
        return await api.log(conversation)


def _kinds(entries: list[dict[str, Any]]) -> Counter[str]:
    return Counter(str(entry["event"]["type"]) for entry in entries)


def _assert_whole(entries: list[dict[str, Any]]) -> None:
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1)), "no gap, no repeat"
    for kind in ("turn_started", "turn_finished"):
        turns = Counter(entry["turn"] for entry in entries if entry["event"]["type"] == kind)
        assert set(turns.values()) == {1}, (kind, turns)
