"""Fallbacks, budgets, the kept requests: what a turn does when its model can't or must not be asked, over the real client."""

import asyncio
import hashlib
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from agent_runtime.models.breaker import FAILURES
from agent_runtime.turns.naming import KINDS, NODES
from control_plane.errors import Forbidden, NotFound
from protocol.approval import Role
from protocol.commands import CommandStatus
from protocol.events import LiveProgress, ModelMessage, ToolFinished, TurnFinished
from protocol.kubectl import ReadCall, WriteCall, parse, render
from sandbox.tls import certificates
from tests.integration.agent_house import House, Told, agent_house
from tests.integration.scripted_model import Calls, Fail, Raw, Reply, Say, ScriptedModel, deltas, scripted_model

WHY = "why does payments keep restarting?"
GET = ("kubectl", {"command": "get pods -A"})


@asynccontextmanager
async def two_models(
    folder: Path, first: tuple[Reply, ...], second: tuple[Reply, ...], **settings: Any
) -> AsyncGenerator[tuple[House, ScriptedModel, ScriptedModel]]:
    async with scripted_model(*first) as one, scripted_model(*second) as two:
        how: dict[str, Any] = {
            "OPENAI_API_KEY": "sk-first",
            "OPENAI_BASE_URL": one.url,
            "model": "big-1",
            "model_timeout_s": 3,
            "fallback_model": "small-1",
            "fallback_base_url": two.url,
            "fallback_api_key": "sk-second",
        }
        async with agent_house(folder, **(how | settings)) as house:
            yield house, one, two


async def asked(house: House, text: str = WHY) -> Told:
    return await house.ask(await house.person("ann", Role.OPERATOR), text, model=house.model())


async def test_the_fallback_takes_over_in_the_same_turn_with_what_the_tools_brought(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Calls(GET), Fail(401)), (Say("It is memory."),)) as (house, one, two):
        told = await asked(house)
        answer, finished = told.all(ModelMessage)[-1], told.one(TurnFinished)
        assert answer.text.startswith("It is memory.")
        assert "small-1" in answer.text
        assert "401" in answer.text
        assert (answer.model, answer.offline) == ("small-1", False)
        assert finished.models == ("big-1", "small-1")
        assert "401" in finished.why
        assert finished.ended_by == "answer"
        assert len(one.requests) == 2
        assert "payments-7c9-abc" in two.messages()[-1]["content"], "the tool's result is not lost"
        assert two.headers[0]["authorization"] == "Bearer sk-second"


async def test_without_both_the_rules_answer_and_say_why_of_each(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Fail(401),), (Fail(404),)) as (house, _, _two):
        told = await asked(house)
        answer, finished = told.all(ModelMessage)[-1], told.one(TurnFinished)
        assert answer.offline
        assert "401" in answer.text
        assert "404" in answer.text
        assert "needs more memory" in answer.text
        assert (finished.ended_by, finished.models, finished.input_tokens) == ("model_error", ("",), 0)


async def test_a_model_that_fails_again_and_again_is_left_alone_and_tried_later(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Fail(401),), (Say("It is memory."),)) as (house, one, _):
        ann, models = await house.person("ann", Role.OPERATOR), house.model()
        for _ in range(FAILURES + 1):
            await house.ask(ann, WHY, model=models)
        told = await house.ask(ann, WHY, model=models)
        assert len(one.requests) == FAILURES
        assert "not asked again for" in told.all(ModelMessage)[-1].text


async def test_a_wait_that_the_endpoint_asks_for_is_waited_and_shown(tmp_path: Path) -> None:
    replies = (Fail(429, {"Retry-After": "1"}), Say("It is memory."))
    async with two_models(tmp_path, replies, (Say("never"),)) as (house, _, two):
        ann = await house.person("ann", Role.OPERATOR)
        turn = await house.queue(ann, WHY)
        watching = house.plane.conversations.watch(turn.conversation)
        await anext(watching)
        await house.turns(house.model()).run(turn.id)
        notes = [live.note async for live in _until_note(watching)]
        assert any("wait 1 s" in note and "429" in note for note in notes)
        assert not two.requests


async def test_a_stop_ends_the_wait_for_an_endpoint(tmp_path: Path) -> None:
    replies = (Fail(429, {"Retry-After": "25"}), Say("never"))
    async with two_models(tmp_path, replies, (Say("never"),)) as (house, one, two):
        ann = await house.person("ann", Role.OPERATOR)
        turn = await house.queue(ann, WHY)
        watching = house.plane.conversations.watch(turn.conversation)
        await anext(watching)
        running = asyncio.create_task(house.turns(house.model()).run(turn.id))
        assert [live async for live in _until_note(watching)]
        await house.plane.conversations.request_cancel(turn.id, ann)
        async with asyncio.timeout(10):
            await running
        assert (await house.told(turn.id)).turn.state == "cancelled"
        assert (len(one.requests), len(two.requests)) == (1, 0)


async def _until_note(watching: AsyncGenerator[Any]) -> AsyncGenerator[LiveProgress]:
    async with asyncio.timeout(5):
        async for live in watching:
            if isinstance(live, LiveProgress) and "wait" in live.note:
                yield live
                break
    await watching.aclose()


HALF_A_CALL = {"index": 0, "function": {"name": "kubectl", "arguments": '{"comm'}}


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (Fail(429, {"Retry-After": "3600"}), "(429); it asks to wait 3600 s"),
        (Fail(529), "529"),
        (Raw(b"<html>sign in</html>", "text/html"), "web page"),
        (Raw(b'{"error": {"message": "upstream died", "code": 502}}', "application/json"), "upstream died"),
        (deltas({"content": "half"}, finish="content_filter"), "content filter"),
        (deltas({"reasoning_content": "on and on"}, finish="length"), "thinking"),
        (deltas({"tool_calls": [HALF_A_CALL]}, finish=None, done=False), "broke off"),
        (Raw(deltas(*[{"content": "drip "}] * 40).body, every_s=0.1), "did not answer within"),
    ],
    ids=["429 for an hour", "529", "web page", "error in a body", "content filter", "only thought", "cut in a call", "drip"],
)  # fmt: skip
async def test_what_does_not_pass_is_left_to_the_fallback(tmp_path: Path, failure: Reply, why: str) -> None:
    settings = {"model_timeout_s": 0.5} if why == "did not answer within" else {}
    async with two_models(tmp_path, (failure,), (Say("It is memory."),), **settings) as (house, _, _two):
        told = await asked(house)
        answer = told.all(ModelMessage)[-1]
        assert answer.text.startswith("It is memory.")
        assert answer.text.count("It is memory.") == 1
        assert why in answer.text


async def test_a_request_that_is_too_long_is_compacted_and_sent_once_more(tmp_path: Path) -> None:
    lines = "\n".join(f"shop payments-7c9-abc line {n} " + "x" * 90 for n in range(100)) + "\nERROR the last word"
    too_long = Raw(b'{"error": {"message": "This model\'s maximum context length is 4096 tokens"}}', "application/json", 400)
    replies = (Calls(GET), Calls(("kubectl", {"command": "get pods -n shop"})), too_long, Say("It is memory."))
    async with two_models(tmp_path, replies, (Say("never"),), model_context_tokens=8000) as (house, one, two):
        house.script.lines["kubectl get pods -A"] = lines
        told = await asked(house)
        assert told.all(ModelMessage)[-1].text == "It is memory."
        assert len(one.requests[3]) < len(one.requests[2]) / 2
        assert not two.requests
        assert "line 50" in told.all(ToolFinished)[1].text, "the log has the whole result"


async def test_arguments_that_are_no_json_are_told_to_the_model_with_the_schema_but_not_for_ever(tmp_path: Path) -> None:
    broken = Calls(("kubectl", '{"command": "get pods'))
    async with two_models(tmp_path, (broken,), (Say("It is memory."),)) as (house, one, _):
        told = await asked(house)
        refused = [f for f in told.all(ToolFinished) if "no valid JSON" in f.text]
        assert len(refused) == 3
        assert '"command"' in refused[0].text
        assert "kubectl" not in house.script.kinds
        assert told.all(ModelMessage)[-1].model == "small-1"
        assert len(one.requests) == 4


async def test_a_certificate_that_nobody_vouches_for_is_named(tmp_path: Path) -> None:
    async def never(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0, ssl=certificates().context(tmp_path))
    port = server.sockets[0].getsockname()[1]
    how: dict[str, Any] = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"https://127.0.0.1:{port}/v1"}
    try:
        async with agent_house(tmp_path, **how) as house:
            told = await asked(house)
            assert (
                "TLS certificate can't be trusted (unable to get local issuer certificate)" in told.all(ModelMessage)[-1].text
            )
            assert "SSL_CERT_FILE" in told.all(ModelMessage)[-1].text
    finally:
        server.close()
        await server.wait_closed()


PRICES = {"big-1": {"input": 1000.0, "output": 2000.0}}


async def test_what_a_turn_cost_stands_in_its_end_and_in_the_usage(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Calls(GET), Say("It is memory.")), (Say("never"),), model_prices=PRICES) as (
        house,
        _,
        _two,
    ):
        told = await asked(house)
        finished = told.one(TurnFinished)
        assert (finished.input_tokens, finished.output_tokens, finished.estimated) == (20, 20, False)
        assert (round(finished.money, 6), finished.currency) == (0.06, "USD")
        admin = await house.person("root", Role.ADMIN)
        usage = await house.plane.usage.read(admin)
        lines = {(line.kind, line.name, line.period): line for line in usage.lines}
        for key in (
            ("cluster", "shop", "day"),
            ("cluster", "shop", "month"),
            ("person", "ann", "day"),
            ("person", "ann", "month"),
        ):
            assert (lines[key].calls, lines[key].tokens, round(lines[key].money, 6)) == (2, 40, 0.06)
            assert lines[key].reserved_tokens == 0
        assert [(m.model, m.calls, m.failed) for m in usage.models] == [("big-1", 2, 0)]
        metrics = generate_latest().decode()
        assert 'opsthread_model_calls_total{model="big-1",state="answered"}' in metrics
        assert 'opsthread_model_tokens_total{direction="input",model="big-1"}' in metrics


async def test_a_turn_of_the_rules_costs_nothing_and_says_so(tmp_path: Path) -> None:
    async with agent_house(tmp_path) as house:
        told = await house.ask(await house.person("ann", Role.OPERATOR), WHY)
        finished = told.one(TurnFinished)
        assert (finished.input_tokens, finished.money, finished.models) == (0, 0, ("",))


async def test_a_budget_that_is_used_up_leaves_it_to_the_rules_with_a_sentence(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Say("It is memory."),), (Say("never"),), person_tokens_per_day=100) as (house, one, two):
        told = await asked(house)
        answer = told.all(ModelMessage)[-1]
        assert answer.offline
        assert "the daily budget of the person who asked is used up (0 of 100 tokens)" in answer.text
        assert not one.requests
        assert not two.requests


async def test_a_budget_of_money_leaves_it_to_a_fallback_that_costs_nothing(tmp_path: Path) -> None:
    settings = {"model_prices": PRICES, "cluster_money_per_month": 0.01}
    async with two_models(tmp_path, (Say("never"),), (Say("It is memory."),), **settings) as (house, one, _):
        told = await asked(house)
        answer = told.all(ModelMessage)[-1]
        assert answer.text.startswith("It is memory.")
        assert "monthly budget of this cluster" in answer.text
        assert not one.requests


async def test_the_requests_of_a_turn_are_kept_byte_for_byte_for_its_admins_and_reading_them_is_audited(tmp_path: Path) -> None:
    replies = (Calls(GET), Say("It is memory."))
    async with two_models(tmp_path, replies, (Say("never"),)) as (house, one, _):
        told = await asked(house, WHY + " the password=hunter2secret is old")
        requests, turn = house.plane.model_requests, told.turn.id
        admin, ann = await house.person("root", Role.ADMIN), await house.plane.accounts.principal(told.turn.asked_by)
        rows = await requests.list(turn, admin, door="rest")
        bodies = [await requests.body(turn, row.id, admin, door="rest") for row in rows]
        assert bodies == one.requests
        assert [row.sha256 for row in rows] == [hashlib.sha256(body).hexdigest() for body in one.requests]
        assert [(row.state, row.outcome) for row in rows] == [("answered", "1 tool call(s)"), ("answered", "an answer")]
        assert not [body for body in bodies if b"sk-first" in body or b"hunter2secret" in body]
        with pytest.raises(Forbidden):
            await requests.list(turn, ann, door="rest")
        stranger = await house.person("bob", Role.ADMIN, namespaces=("other",))
        with pytest.raises(NotFound):
            await requests.body(turn, rows[0].id, stranger, door="rest")
        read = [row for row in await house.plane.audit.list(admin) if row.action == "model_requests.read"]
        assert [row.subject for row in read] == [f"model_request:{row.id}" for row in reversed(rows)] + [f"turn:{turn}"]
        assert rows[0].endpoint == one.url + "/chat/completions"


async def test_no_bytes_are_kept_where_that_is_switched_off(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Say("It is memory."),), (Say("never"),), model_requests_days=0) as (house, _, _two):
        told = await asked(house)
        admin = await house.person("root", Role.ADMIN)
        (row,) = await house.plane.model_requests.list(told.turn.id, admin, door="rest")
        assert not row.kept
        with pytest.raises(NotFound):
            await house.plane.model_requests.body(told.turn.id, row.id, admin, door="rest")


def seen(kind: str, body: bytes) -> str:
    """The first object of a kind in a request, as the model sees it."""
    found = re.search(rf"{kind}/[a-z]+-[a-z2-7]{{7}}/[a-z0-9-]+".encode(), body)
    assert found, body
    return found.group().decode()


async def test_a_model_under_pseudonyms_sees_no_name_and_its_evidence_holds(tmp_path: Path) -> None:
    def report(body: bytes) -> Reply:
        workload = seen("Deployment", body)
        evidence = {"result": "r1", "excerpt": "OOMKilled exitCode 137", "source": "object", "object": seen("Pod", body)}
        cause = {"code": "memory-limit-too-low", "object": workload, "explanation": f"{workload} needs more"}
        causes = [{**cause, "confidence": 0.9, "evidence": [evidence]}]
        return Calls(("report", {"summary": "OOM", "healthy": False, "root_causes": causes}))

    def logs(body: bytes) -> Reply:
        _, space, pod = seen("Pod", body).split("/")
        return Calls(("kubectl", {"command": f"logs {pod} -n {space} --previous --tail=50"}))

    def say(body: bytes) -> Reply:
        _, space, name = seen("Deployment", body).split("/")
        return Say(f"The workload `{name}` of {space} is killed.")

    async with scripted_model(logs, report, say) as server:
        how: dict[str, Any] = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": server.url, "pseudonyms": ("shop",)}
        async with agent_house(tmp_path, **how) as house:
            house.script.lines[render(_read(f"get {KINDS} -A -o name"))] = "pod/payments-7c9-abc\ndeployment.apps/payments"
            told = await asked(house, "why does payments in namespace shop keep restarting? 10.9.8.7 says db.corp.internal")
            answer = told.all(ModelMessage)[-1]
            assert answer.text == "The workload `payments` of shop is killed."
            assert "kubectl logs payments-7c9-abc -n shop" in told.all(ToolFinished)[1].text
            assert told.all(ToolFinished)[1].status == "ok"
            made = [e.event.diagnosis for e in told.entries if e.event.type == "diagnosis"][-1]
            assert str(made.root_causes[0].object) == "Deployment/shop/payments"
            assert made.root_causes[0].confidence == 0.9, "the evidence holds against the log"
            for request in server.requests:
                for name in (b"payments", b"shop", b"10.9.8.7", b"corp.internal"):
                    assert name not in request
            assert b"memory-limit-too-low" in server.requests[0]


async def test_who_sees_one_namespace_hides_the_nodes_that_its_pods_run_on(tmp_path: Path) -> None:
    replies = (Calls(("kubectl", {"command": "get pods -n shop -o wide"})), Say("Well."))
    async with two_models(tmp_path, replies, (Say("never"),), pseudonyms=("*",)) as (house, one, _):
        lines = house.script.lines
        lines[render(_read(f"get {KINDS} -n shop -o name"))] = "pod/payments-7c9-abc\ndeployment.apps/payments"
        lines[render(_read("get pods -n shop -o jsonpath=" + NODES))] = "rack7-blue rack7-blue"
        lines["kubectl get pods -n shop -o wide"] = "payments-7c9-abc 0/1 Error 9 3d 10.1.2.3 rack7-blue"
        ann = await house.person("ann", Role.OPERATOR, namespaces=("shop",))
        told = await house.ask(ann, WHY, model=house.model())
        assert told.all(ToolFinished)[1].status == "ok"
        assert "rack7-blue" in told.all(ToolFinished)[1].text
        assert len(one.requests) == 2
        assert not [request for request in one.requests if b"rack7" in request or b"payments" in request]


async def test_when_names_can_t_be_read_nothing_goes_to_a_model(tmp_path: Path) -> None:
    async with two_models(tmp_path, (Say("never"),), (Say("never"),), pseudonyms=("*",)) as (house, one, two):
        house.script.failing["kubectl"] = CommandStatus.FORBIDDEN
        told = await asked(house)
        assert told.all(ModelMessage)[-1].offline
        assert "could not be read" in told.all(ModelMessage)[-1].text
        assert not one.requests
        assert not two.requests


def _read(line: str) -> ReadCall:
    call = parse(line)
    assert not isinstance(call, WriteCall)
    return call
