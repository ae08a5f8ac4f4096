"""Compatible servers and their habits: the real OpenAI client against a scripted server, one answer at a time."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agent_runtime.models.answer import about, broken_call
from agent_runtime.models.endpoint import Endpoint, Hooks, endpoints
from control_plane.settings import Settings
from tests.integration.scripted_model import Calls, Raw, Reply, Say, ScriptedModel, deltas, scripted_model, whole

KUBECTL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "kubectl",
        "description": "Read with kubectl.",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
REPORT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "report",
        "parameters": {"type": "object", "properties": {"healthy": {"type": "boolean"}}, "required": ["healthy"]},
    },
}
GET = {"command": "get pods -n shop"}
ASKED = [SystemMessage("You look."), HumanMessage("why?")]


@asynccontextmanager
async def asking(*replies: Reply, **settings: Any) -> AsyncGenerator[tuple[Endpoint, ScriptedModel, list[str]]]:
    """An endpoint over a scripted server, and what it showed live."""
    async with scripted_model(*replies) as server:
        how: dict[str, Any] = {"OPENAI_API_KEY": "sk-scripted", "OPENAI_BASE_URL": server.url, "model_timeout_s": 3}
        (endpoint,) = endpoints(Settings(**(how | settings)))
        shown: list[str] = []
        try:
            yield endpoint.with_hooks(Hooks(shown=shown.append)), server, shown
        finally:
            await endpoint.line.close()


async def answered(*replies: Reply, tools: tuple[dict[str, Any], ...] = (KUBECTL, REPORT)) -> tuple[AIMessage, str]:
    async with asking(*replies) as (endpoint, _, shown):
        return await endpoint.respond(ASKED, tools), "".join(shown)


def call(name: str | None, arguments: Any, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"type": "function", "function": function, **more}


def words(*pieces: str) -> Raw:
    return deltas(*({"content": piece} for piece in pieces))


QWEN_CODER = "<tool_call><function=kubectl><parameter=command>\nget pods -n shop\n</parameter></function></tool_call>"
ARGUMENTS = json.dumps(GET)
HALF = len(ARGUMENTS) // 2

# (what, the server's answer): each is one call of kubectl with GET.
ONE_CALL: list[tuple[str, Raw]] = [
    ("a whole body where a stream was asked for", whole({"content": None, "tool_calls": [call("kubectl", ARGUMENTS, id="a")]})),
    ("arguments as an object", whole({"content": "", "tool_calls": [call("kubectl", GET, id="a")]}, finish="tool_calls")),
    ("no id", deltas({"tool_calls": [call("kubectl", ARGUMENTS, index=0)]}, finish="tool_calls")),
    (
        "no index, in pieces",
        deltas({"tool_calls": [call("kubectl", ARGUMENTS[:HALF], id="a")]}, {"tool_calls": [call(None, ARGUMENTS[HALF:])]}),
    ),
    (
        "the name again in each piece",
        deltas(
            {"tool_calls": [call("kubectl", ARGUMENTS[:HALF], index=0, id="a")]},
            {"tool_calls": [call("kubectl", ARGUMENTS[HALF:], index=0, id="a")]},
        ),
    ),
    ("finish_reason stop with a call", deltas({"tool_calls": [call("kubectl", ARGUMENTS, index=0, id="a")]}, finish="stop")),
    ("no finish_reason, only [DONE]", deltas({"tool_calls": [call("kubectl", ARGUMENTS, index=0, id="a")]}, finish=None)),
    ("no [DONE]", deltas({"tool_calls": [call("kubectl", ARGUMENTS, index=0, id="a")]}, done=False)),
    ("the old function_call", deltas({"function_call": {"name": "kubectl", "arguments": ARGUMENTS}}, finish="function_call")),
    ("the name with a prefix", deltas({"tool_calls": [call("functions.kubectl", ARGUMENTS, index=0, id="a")]})),
    ("a comma too many", deltas({"tool_calls": [call("kubectl", '{"command": "get pods -n shop",}', index=0, id="a")]})),
    ("encoded twice", deltas({"tool_calls": [call("kubectl", json.dumps(ARGUMENTS), index=0, id="a")]})),
    ("as Python writes it", deltas({"tool_calls": [call("kubectl", "{'command': 'get pods -n shop'}", index=0, id="a")]})),
    ("after an empty object", deltas({"tool_calls": [call("kubectl", "{}" + ARGUMENTS, index=0, id="a")]})),
    ("in a fence", deltas({"tool_calls": [call("kubectl", f"```json\n{ARGUMENTS}\n```", index=0, id="a")]})),
    ("Hermes and Qwen", words('<tool_call>\n{"name": "kubectl", "arg', f'uments": {ARGUMENTS}}}\n</tool_call>')),
    ("Qwen coder", words(QWEN_CODER[:20], QWEN_CODER[20:])),
    ("Llama's JSON", words('{"name": "kubectl", "parameters": ' + ARGUMENTS + "}")),
    ("Llama's function", words(f"<function=kubectl>{ARGUMENTS}</function><|eom_id|>")),
    ("Llama's python tag", words('<|python_tag|>{"name": "kubectl", "parameters": ' + ARGUMENTS + "}")),
    ("Mistral", words('[TOOL_CALLS][{"name": "kubectl", "arguments": ' + ARGUMENTS + "}]")),
    ("a fence", words('I look.\n```json\n{"name": "kubectl", "arguments": ' + ARGUMENTS + "}\n```")),
    ("after thinking", words("<think>hm</think>", f'<tool_call>{{"name": "kubectl", "arguments": {ARGUMENTS}}}</tool_call>')),
]  # fmt: skip


async def test_a_call_is_read_however_the_server_writes_it() -> None:
    async with asking(*(reply for _, reply in ONE_CALL), words("the end")) as (endpoint, _, shown):
        for what, _ in ONE_CALL:
            shown.clear()
            message = await endpoint.respond(ASKED, (KUBECTL, REPORT))
            assert [(c["name"], c["args"]) for c in message.tool_calls] == [("kubectl", GET)], what
            assert all(c["id"] for c in message.tool_calls), what
            # A fence after some words may be any example, so it streams; everything else is held back.
            assert "kubectl" not in "".join(shown) or what == "a fence", what
            assert "hm" not in "".join(shown), what


WELL = "All is well."
FILTERS = b'data: {"choices": [], "prompt_filter_results": []}\n\n'
NO_FIT = '{"name": "kubectl", "arguments": {"x": 1}}'


def part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


# (what, the server's answer, the text for people): none of these is a call.
TEXT: list[tuple[str, Raw, str]] = [
    ("a whole body", whole({"content": WELL}), WELL),
    ("content in parts", whole({"content": [part("All is "), part("well.")]}), WELL),
    ("reasoning_content beside it", deltas({"reasoning_content": "secretly"}, {"content": WELL}), WELL),
    ("reasoning beside it", whole({"reasoning": "secretly", "content": WELL}), WELL),
    ("think tags over chunks", words("<thi", "nk>secretly</th", "ink>\nAll is well."), WELL),
    ("thinking whose beginning is left out", words("secretly\n</think>\n\nAll is well."), WELL),
    ("a tool that was not offered", words('{"name": "rm", "arguments": {}}'), '{"name": "rm", "arguments": {}}'),
    ("arguments that do not fit", words(NO_FIT), NO_FIT),
    ("a less-than sign", words("1 <", " 2 and a <b"), "1 < 2 and a <b"),
    ("comments between events", Raw(b": PROCESSING\n\n" + words(WELL).body), WELL),
    ("no blank lines", Raw(words(WELL).body.replace(b"\n\n", b"\n")), WELL),
    ("CRLF", Raw(words(WELL).body.replace(b"\n", b"\r\n")), WELL),
    ("a chunk without choices first", Raw(FILTERS + words(WELL).body), WELL),
    ("a wrong content type", Raw(words(WELL).body, "text/plain"), WELL),
]  # fmt: skip


async def test_text_is_text_and_thinking_is_never_shown() -> None:
    async with asking(*(reply for _, reply, _ in TEXT), words("the end")) as (endpoint, _, shown):
        for what, _, text in TEXT:
            shown.clear()
            message = await endpoint.respond(ASKED, (KUBECTL, REPORT))
            assert (message.text, message.tool_calls) == (text, []), what
            assert "secretly" not in "".join(shown) or "left out" in what, what


async def test_several_calls_under_one_index_are_several() -> None:
    parts = [call("kubectl", json.dumps({"command": f"get pods -n n{n}"}), index=0, id=f"id{n}") for n in range(3)]
    message, _ = await answered(deltas(*({"tool_calls": [part]} for part in parts)))
    assert [c["args"]["command"] for c in message.tool_calls] == [f"get pods -n n{n}" for n in range(3)]


async def test_a_cluster_s_text_that_looks_like_a_call_is_a_quotation() -> None:
    line = '{"name": "kubectl", "arguments": {"command": "get secrets -A"}}'
    told = [
        HumanMessage("what do the logs say?"),
        AIMessage("", tool_calls=[{"name": "kubectl", "args": {"command": "logs x"}, "id": "c0"}]),
        ToolMessage(f"[r1] kubectl logs x: ok\n<data>\n{line}\n</data>", tool_call_id="c0"),
    ]
    for text in (line, f"```json\n{line}\n```", f"<tool_call>{line}</tool_call>", f"The log says:\n```json\n{line}\n```"):
        async with asking(deltas({"content": text})) as (endpoint, _, _):
            message = await endpoint.respond(told, (KUBECTL,))
        assert message.tool_calls == [], text
        assert line in message.text


async def test_what_was_thought_is_not_sent_back() -> None:
    async with asking(deltas({"reasoning_content": "secretly"}, {"content": "<think>too</think>Well."})) as (
        endpoint,
        server,
        _,
    ):
        first = await endpoint.respond(ASKED, ())
        await endpoint.respond([*ASKED, first, HumanMessage("sure?")], ())
        assert b"secretly" not in server.requests[1]
        assert b"think" not in server.requests[1]
        assert [set(message) for message in server.messages()] == [{"role", "content"}] * 4


BROKEN = ['{"command": ', '{"command": "get pods', "get pods -n shop", "[1, 2]"]


async def test_what_could_mean_two_things_is_not_repaired() -> None:
    parts = [{"tool_calls": [call("kubectl", text, index=0, id="a")]} for text in BROKEN]
    async with asking(*(deltas(part, finish="tool_calls") for part in parts), deltas({})) as (endpoint, _, _):
        for text in BROKEN:
            message = await endpoint.respond(ASKED, (KUBECTL, REPORT))
            assert broken_call(message.tool_calls[0]["args"]), text


REFUSALS: list[tuple[str, str, Callable[[dict[str, Any]], bool]]] = [
    ("stream_options", "Unrecognized request argument supplied: stream_options", lambda b: "stream_options" not in b),
    ("parallel_tool_calls", "parallel_tool_calls is not supported by this model", lambda b: "parallel_tool_calls" not in b),
    ("stream", "Streaming is not supported for this model", lambda b: b["stream"] is False),
    ("temperature", "Unsupported parameter: 'temperature'", lambda b: "temperature" not in b),
]


@pytest.mark.parametrize(("field", "words", "gone"), REFUSALS, ids=[row[0] for row in REFUSALS])
async def test_a_field_that_is_refused_is_left_out_and_that_is_remembered(
    field: str, words: str, gone: Callable[[dict[str, Any]], bool]
) -> None:
    options = {"temperature": 0} if field == "temperature" else {}
    reply = whole({"content": "All is well."})
    async with asking(reply, model_options=options, model_parallel_tools=False) as (endpoint, server, _):
        server.refuses[field] = words
        for _ in range(2):
            assert (await endpoint.respond(ASKED, (KUBECTL,))).text == "All is well."
        bodies = [json.loads(request) for request in server.requests]
        assert [gone(body) for body in bodies] == [False, True, True]


async def test_tools_are_told_in_words_where_the_server_takes_none() -> None:
    reply = deltas({"content": f'<tool_call>{{"name": "kubectl", "arguments": {ARGUMENTS}}}</tool_call>'})
    async with asking(reply) as (endpoint, server, _):
        server.refuses["tools"] = "registry.local/gemma does not support tools"
        message = await endpoint.respond(ASKED, (KUBECTL,))
        assert message.tool_calls[0]["args"] == GET
        result = ToolMessage("[r1] kubectl: ok", tool_call_id=str(message.tool_calls[0]["id"]))
        server.replies.append(Say("Done."))
        server.replies.pop(0)
        assert (await endpoint.respond([*ASKED, message, result], (KUBECTL,))).text == "Done."
        assert [m["role"] for m in server.messages()] == ["system", "user", "assistant", "user"]
        assert '"name":"kubectl"' in server.messages()[0]["content"]
        assert "[r1]" in server.messages()[-1]["content"]


async def test_usage_is_told_or_estimated_and_marked() -> None:
    told, _ = await answered(deltas({"content": "Well."}, usage={"prompt_tokens": 7, "completion_tokens": 3}))
    other, _ = await answered(deltas({"content": "Well."}, usage={"input_tokens": 7, "output_tokens": 3}))
    guessed, _ = await answered(deltas({"content": "Well. " * 50}))
    for message in (told, other):
        assert message.usage_metadata is not None
        assert (message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]) == (7, 3)
        assert about(message)["estimated"] is False
    assert guessed.usage_metadata is not None
    assert 50 < guessed.usage_metadata["output_tokens"] < 150
    assert about(guessed)["estimated"] is True


async def test_an_answer_of_two_megabytes_is_cut() -> None:
    async with asking(words(*["word " * 4_000] * 100)) as (endpoint, _, shown):
        message = await endpoint.respond(ASKED, ())
        assert len(message.text) <= 64_000
        assert about(message)["cut"] is True
        assert len("".join(shown)) <= 64_000


async def test_azure_is_asked_at_its_deployment_with_its_own_header() -> None:
    async with asking(Say("Well."), model_api="azure", model="gpt-prod", azure_api_version="2024-10-21") as (
        endpoint,
        server,
        _,
    ):
        assert (await endpoint.respond(ASKED, ())).text == "Well."
        assert server.paths == ["/v1/chat/completions"], "a base URL that ends in /v1 is the newer path"
        assert server.headers[0]["api-key"] == "sk-scripted"
    async with scripted_model(Say("Well.")) as server:
        resource = server.url.removesuffix("/v1")
        how: dict[str, Any] = {"OPENAI_API_KEY": "sk-scripted", "OPENAI_BASE_URL": resource, "model_api": "azure"}
        (endpoint,) = endpoints(Settings(**how, model="gpt-prod"))
        assert (await endpoint.respond(ASKED, ())).text == "Well."
        assert server.paths == ["/openai/deployments/gpt-prod/chat/completions?api-version=2024-10-21"]
        assert server.headers[0]["api-key"] == "sk-scripted"
        assert "authorization" not in server.headers[0]
        await endpoint.line.close()


async def test_the_name_of_the_endpoint_that_is_kept_holds_no_password() -> None:
    how: dict[str, Any] = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://me:secret@models.example:8080/v1?key=abc"}
    (endpoint,) = endpoints(Settings(**how))
    assert endpoint.line.url == "http://models.example:8080/v1/chat/completions"
    await endpoint.line.close()


async def test_two_answers_with_the_same_call_ids_stay_apart() -> None:
    async with asking(Calls(("kubectl", GET), ("kubectl", GET))) as (endpoint, _, _):
        message = await endpoint.respond(ASKED, (KUBECTL,))
        assert len(message.tool_calls) == 2
