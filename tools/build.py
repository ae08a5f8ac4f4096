"""The tools of one turn, as LangChain tools: a row each. Schemas are compact: they are part of every model request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

from protocol.remediation import PROPOSABLE
from tools.answer import ToolAnswer, render
from tools.cases import past_cases
from tools.context import ToolContext
from tools.names import CHANGES, DIAGNOSE, KUBECTL, PAST_CASES, PROMETHEUS, PROPOSE, REPORT
from tools.propose import propose
from tools.reads import changes, diagnose, kubectl, prometheus
from tools.report import Report

CheckReport = Callable[[Report], ToolAnswer]
"""Checks a reported diagnosis against the turn's tool results and says what held."""


class _Where(BaseModel):
    target: Annotated[str, Field(description="Kind/namespace/name, kind/name or a name; empty: all")] = ""
    namespace: str = ""


class _WhereWhen(_Where):
    minutes: int = 60


class _Line(BaseModel):
    command: Annotated[str, Field(description="one kubectl line that reads, e.g. get pods -n shop")]


class _Query(BaseModel):
    query: Annotated[str, Field(description="PromQL")]
    minutes: Annotated[int, Field(description="range that ends now, charted for people; 0: instant")] = 0
    step: Annotated[int, Field(description="seconds; 0: chosen")] = 0


class _Text(BaseModel):
    text: Annotated[str, Field(description="symptoms in words, or an identifier", max_length=2000)]


class _Proposal(BaseModel):
    command: Annotated[
        str,
        Field(description="kubectl line: scale, rollout restart|undo, set image|resources|env, delete pod, (un)cordon, drain"),
    ] = ""
    action: Annotated[
        dict[str, Any],
        Field(description=f'or typed: {{"type","target":"Kind/ns/name",...}}; types {", ".join(PROPOSABLE)}'),
    ] = {}
    why: Annotated[str, Field(description="one sentence for the person who decides", max_length=1000)] = ""
    code: Annotated[str, Field(description="code of the root cause", max_length=80)] = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` takes the turn's context and the fields of `args`. Its title for people stands in `tools.titles`."""

    name: str
    description: str
    args: type[BaseModel]
    run: Callable[..., Awaitable[ToolAnswer]]


TOOLS = (
    Tool(
        DIAGNOSE,
        "Run the rules over a target, a namespace or the whole cluster: root causes with evidence and remedies.",
        _Where,
        diagnose,
    ),
    Tool(
        KUBECTL,
        "Read with kubectl: get, describe, logs, top, events, rollout status|history, auth can-i, version, "
        "cluster-info, api-resources. No pipes, no shell, no writes.",
        _Line,
        kubectl,
    ),
    Tool(PROMETHEUS, "Query metrics.", _Query, prometheus),
    Tool(CHANGES, "What changed recently: field, before, after, who and when.", _WhereWhen, changes),
    Tool(PAST_CASES, "Closed incidents like this one, with fix and outcome. Hints, not proof.", _Text, past_cases),
    Tool(
        PROPOSE,
        "Propose one change by command or action. People see its diff, risk and undo, and decide; this call runs nothing.",
        _Proposal,
        propose,
    ),
)


def build_tools(context: ToolContext, check_report: CheckReport, *, may_propose: bool) -> list[BaseTool]:
    """`may_propose` False leaves out propose_remediation, so that a model is not led to it in vain."""

    async def report(_: ToolContext, **fields: Any) -> ToolAnswer:
        return check_report(Report.model_validate({key: value for key, value in fields.items() if value is not None}))

    last = Tool(REPORT, "State your diagnosis with its evidence, once, before you answer.", Report, report)
    return [_built(tool, context) for tool in (*TOOLS, last) if may_propose or tool.name != PROPOSE]


def _built(tool: Tool, context: ToolContext) -> BaseTool:
    async def run(**args: Any) -> tuple[str, ToolAnswer]:
        answer = await tool.run(context, **args)
        return render(answer), answer

    return StructuredTool.from_function(
        coroutine=run,
        name=tool.name,
        description=tool.description,
        args_schema=tool.args,
        response_format="content_and_artifact",
        infer_schema=False,
    )
