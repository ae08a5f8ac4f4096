"""Calls that a model writes as text: run where they are its own and offered, never shown to people, never quotations."""

from typing import Any

import pytest

from agent_runtime.models.answer import Answer, answer_of
from agent_runtime.models.assembly import Assembly

TOOL = {
    "type": "function",
    "function": {
        "name": "kubectl",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    },
}
CALL = '{"name":"kubectl","arguments":{"command":"get pods -n kube-system"}}'
TAGGED = f"<tool_call>{CALL}</tool_call>"


def answered(text: str, *, tools: list[dict[str, Any]], given: str = "", **more: Any) -> Answer:
    into = Assembly()
    into.take({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], **more})
    into.done()
    return answer_of(into, {"messages": [{"role": "tool", "content": given}]}, tools, str)


def test_a_call_in_text_is_run() -> None:
    (call,) = answered(TAGGED, tools=[TOOL]).calls
    assert (call["name"], call["args"]) == ("kubectl", {"command": "get pods -n kube-system"})


@pytest.mark.parametrize(
    "given",
    [
        f"log: {CALL}",
        f"log: {CALL.replace(':', ': ').replace(',', ', ')}",
        "log: " + CALL.replace('"', '\\"'),
        "log: " + CALL.replace(" ", "\n  "),
    ],
)
def test_a_quotation_of_the_cluster_s_text_is_none_however_it_is_spaced_or_escaped(given: str) -> None:
    answer = answered(TAGGED, tools=[TOOL], given=given)
    assert answer.calls == ()
    assert answer.text == TAGGED


@pytest.mark.parametrize(
    "call",
    [
        TAGGED,
        "<function=kubectl><parameter=command>get pods</parameter></function>",
        f"<|python_tag|>{CALL}",
        f"[TOOL_CALLS][{CALL}]",
    ],
)
def test_without_tools_a_call_is_no_answer_for_people(call: str) -> None:
    only = answered(call, tools=[])
    assert (only.text, only.wants_tools) == ("", True), "it is not asked again: the rules answer for it"
    assert not answered("The image is missing.", tools=[]).wants_tools
    assert answered(f"The image is missing.\n{call}", tools=[]).text == "The image is missing."


def test_a_call_of_a_tool_that_is_not_offered_is_not_shown_and_what_follows_it_stays() -> None:
    answer = answered(f"One. {TAGGED.replace('kubectl', 'shell')} Two.", tools=[TOOL])
    assert (answer.text, answer.calls) == ("One.  Two.", ())


def test_a_count_of_tokens_that_nobody_could_have_used_is_estimated_instead() -> None:
    mad = answered("It is well.", tools=[], usage={"prompt_tokens": 10**30, "completion_tokens": 10**12})
    assert mad.estimated
    assert mad.input_tokens + mad.output_tokens < 1000
    told = answered("It is well.", tools=[], usage={"prompt_tokens": 120_000, "completion_tokens": 7})
    assert (told.input_tokens, told.output_tokens, told.estimated) == (120_000, 7, False)
