"""The table of tools: what each turn's model is told, and who is told it."""

from typing import Any, cast

import orjson
from langchain_core.utils.function_calling import convert_to_openai_tool

from protocol.remediation import PROPOSABLE
from tools.answer import ToolAnswer
from tools.build import TOOLS, build_tools
from tools.context import ToolContext
from tools.names import PROPOSE, REPORT
from tools.report import Report
from tools.titles import title_of

NO_CONTEXT = cast(ToolContext, None)
"""Building needs none; running would."""


def seen(report: Report) -> ToolAnswer:
    return ToolAnswer("checked", body=report.summary)


def told(*, may_propose: bool = True) -> dict[str, dict[str, Any]]:
    """What a model gets of each tool, by its name."""
    built = build_tools(NO_CONTEXT, seen, may_propose=may_propose)
    return {tool.name: convert_to_openai_tool(tool)["function"] for tool in built}


def test_every_row_is_told_to_the_model_and_the_whole_stays_short() -> None:
    functions = told()
    assert set(functions) == {tool.name for tool in TOOLS} | {REPORT}
    assert all(function["description"] for function in functions.values())
    # Part of every request: a tool more is paid for in each of them.
    assert len(orjson.dumps(list(functions.values()))) < 6500


def test_who_may_not_propose_is_not_told_how() -> None:
    assert set(told(may_propose=False)) == set(told()) - {PROPOSE}


def test_every_tool_has_a_title_that_names_its_arguments() -> None:
    for tool in TOOLS:
        fields = {name: f"{name}-given" for name in tool.args.model_fields}
        title = title_of(tool.name, fields)
        assert any(value in title for value in fields.values()), tool.name
    assert title_of("tool-of-tomorrow", {}) == "tool-of-tomorrow"


def test_every_type_that_can_be_proposed_is_named() -> None:
    action = told()[PROPOSE]["parameters"]["properties"]["action"]["description"]
    assert all(name in action for name in PROPOSABLE)
    assert "delete_configmap" not in action


async def test_a_tool_gives_the_model_text_and_the_house_the_answer() -> None:
    tool = next(tool for tool in build_tools(NO_CONTEXT, seen, may_propose=False) if tool.name == REPORT)
    call = {"name": REPORT, "id": "1", "type": "tool_call", "args": {"summary": "all is well", "healthy": True}}
    message = await tool.ainvoke(call)
    assert "all is well" in message.content
    assert message.artifact == ToolAnswer("checked", body="all is well")
