"""The tools of one turn, as LangChain tools. Schemas are compact: they are part of every model request."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field

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
        Field(
            description='or typed: {"type","target":"Kind/ns/name",...}; types restart, scale, rollback, set_image, '
            "set_resources, set_env, patch_configmap, create_configmap, delete_pod, cordon, uncordon, drain, expand_pvc, "
            "adjust_hpa, suspend_cronjob"
        ),
    ] = {}
    why: Annotated[str, Field(description="one sentence for the person who decides", max_length=1000)] = ""
    code: Annotated[str, Field(description="code of the root cause", max_length=80)] = ""


_DESCRIPTIONS = {
    DIAGNOSE: "Run the rules over a target, a namespace or the whole cluster: root causes with evidence and remedies.",
    KUBECTL: "Read with kubectl: get, describe, logs, top, events, rollout status|history, auth can-i, version, "
    "cluster-info, api-resources. No pipes, no shell, no writes.",
    PROMETHEUS: "Query metrics.",
    CHANGES: "What changed recently: field, before, after, who and when.",
    PAST_CASES: "Closed incidents like this one, with fix and outcome. Hints, not proof.",
    PROPOSE: "Propose one change by command or action. People see its diff, risk and undo, and decide; this call runs nothing.",
    REPORT: "State your diagnosis with its evidence, once, before you answer.",
}


def build_tools(context: ToolContext, check_report: CheckReport, *, may_propose: bool) -> list[BaseTool]:
    """`may_propose` False leaves out propose_remediation, so that a model is not led to it in vain."""

    async def _diagnose(target: str = "", namespace: str = "") -> ToolAnswer:
        return await diagnose(context, target, namespace)

    async def _kubectl(command: str) -> ToolAnswer:
        return await kubectl(context, command)

    async def _prometheus(query: str, minutes: int = 0, step: int = 0) -> ToolAnswer:
        return await prometheus(context, query, minutes, step)

    async def _changes(target: str = "", namespace: str = "", minutes: int = 60) -> ToolAnswer:
        return await changes(context, target, namespace, minutes)

    async def _past_cases(text: str) -> ToolAnswer:
        return await past_cases(context, text)

    async def _propose(command: str = "", action: dict[str, Any] | None = None, why: str = "", code: str = "") -> ToolAnswer:
        return await propose(context, command, action or {}, why, code)

    async def _report(**fields: Any) -> ToolAnswer:
        return check_report(Report.model_validate({key: value for key, value in fields.items() if value is not None}))

    rows: list[tuple[str, Callable[..., Awaitable[ToolAnswer]], type[BaseModel]]] = [
        (DIAGNOSE, _diagnose, _Where),
        (KUBECTL, _kubectl, _Line),
        (PROMETHEUS, _prometheus, _Query),
        (CHANGES, _changes, _WhereWhen),
        (PAST_CASES, _past_cases, _Text),
        (PROPOSE, _propose, _Proposal),
        (REPORT, _report, Report),
    ]
    return [_tool(name, run, schema) for name, run, schema in rows if may_propose or name != PROPOSE]


def _tool(name: str, run: Callable[..., Awaitable[ToolAnswer]], schema: type[BaseModel]) -> BaseTool:
    async def _run(**args: Any) -> tuple[str, ToolAnswer]:
        answer = await run(**args)
        return render(answer), answer

    return StructuredTool.from_function(
        coroutine=_run,
        name=name,
        description=_DESCRIPTIONS[name],
        args_schema=schema,
        response_format="content_and_artifact",
        infer_schema=False,
    )
