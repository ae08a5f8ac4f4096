"""Commands over REST: reads only, in the Agent Manager's shape. A write is answered with the way to propose it."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bot.api.access import Caller, Me, Plane
from bot.api.paging import Limit, listing
from bot.api.views import View, command_view
from control_plane.errors import Invalid
from control_plane.services import ControlPlane
from protocol.base import Strict
from protocol.commands import Command, CommandResult, Kubectl, PromQuery
from protocol.kubectl import Call, GrammarError, WriteCall, parse

router = APIRouter(prefix="/api/v1/commands", tags=["commands"])

CommandId = Annotated[str, Path(max_length=64)]
_DURATION = re.compile(r"^([0-9]{1,4})(ms|s|m)?$")
_PROMETHEUS = ("prometheus", "promql")
MAX_TIMEOUT_S = 120.0


class WriteNotHere(Invalid):
    code = "write_not_here"


class NewCommand(Strict):
    """`{"cluster_id": "…", "tool": "kubectl", "action": "get", "args": ["pods", "-n", "shop"], "timeout": "30s"}`"""

    cluster_id: str = Field(max_length=200, description="Id or name")
    type: str = Field(default="diagnostic", max_length=50)
    tool: str = Field(default="kubectl", max_length=50, description="kubectl, or prometheus (the expression is `action`)")
    action: str = Field(min_length=1, max_length=4000)
    args: list[Annotated[str, Field(max_length=4000)]] = Field(default=[], max_length=100)
    namespace: str = Field(default="", max_length=63)
    timeout: str | int = Field(default="30s", description='"30s", "500ms", "2m", or seconds')
    correlation_id: str = Field(default="", max_length=64)


@router.post("", status_code=201)
async def create_command(body: NewCommand, me: Me, plane: Plane, response: Response) -> dict[str, Any]:
    """Run a read and wait for its end. 422 for a write: propose it at /api/v1/proposals."""
    result = await run_read(plane, me, body.cluster_id, _command(body), timeout_s=seconds(body.timeout))
    row = await plane.commands.get(result.id, me.principal)
    response.headers["Location"] = f"/api/v1/commands/{result.id}"
    return {**command_view(row), "result": result_view(result)}


@router.get("")
async def list_commands(
    me: Me, plane: Plane, cluster_id: Annotated[str | None, Query(max_length=200)] = None, limit: Limit = 50
) -> dict[str, Any]:
    """Newest first."""
    cluster = (await plane.fleet.get(cluster_id, me.principal)).id if cluster_id else None
    rows = await plane.commands.list(me.principal, cluster=cluster, limit=limit)
    return listing("commands", [command_view(r) for r in rows])


@router.get("/{command}")
async def get_command(command: CommandId, me: Me, plane: Plane) -> View:
    return command_view(await plane.commands.get(command, me.principal))


@router.get("/{command}/result")
async def get_result(command: CommandId, me: Me, plane: Plane) -> View:
    return result_view(await plane.commands.result(command, me.principal))


def result_view(result: CommandResult) -> View:
    return {
        "command_id": result.id,
        "status": result.status,
        "output": result.text,
        "error": result.error,
        "data": result.data,
        "duration_ms": result.duration_ms,
        "cut": result.cut,
        "redacted": result.redacted,
    }


async def run_read(plane: ControlPlane, me: Caller, cluster: str, command: Command, *, timeout_s: float) -> CommandResult:
    found = await plane.fleet.get(cluster, me.principal)
    return await plane.commands.run(
        found.id,
        command,
        principal=me.principal,
        scope=me.principal.scope_limit(found.id),
        deadline_s=timeout_s,
        correlation={"door": me.door},
    )


def kubectl_call(words: str | list[str]) -> Call:
    """Raises Invalid with the grammar's words."""
    try:
        return parse(words)
    except GrammarError as error:
        raise Invalid(str(error), code="not_in_grammar") from None


def seconds(timeout: str | int) -> float:
    """Raises Invalid for what is not a duration, or is out of 1 s to MAX_TIMEOUT_S."""
    found = _DURATION.fullmatch(str(timeout).strip())
    if found is None:
        raise Invalid('timeout must be like "30s", "500ms" or "2m".')
    value = int(found[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0}[found[2] or "s"]
    if not 0 < value <= MAX_TIMEOUT_S:
        raise Invalid(f"timeout must be over 0 and at most {MAX_TIMEOUT_S:.0f}s.")
    return value


def _command(body: NewCommand) -> Command:
    if body.tool in _PROMETHEUS:
        return PromQuery(expr=body.action)
    if body.tool != "kubectl":
        raise Invalid(f"{body.tool!r} is not a tool. Use kubectl or prometheus; there is no shell.", code="not_in_grammar")
    namespace = ["-n", body.namespace] if body.namespace else []
    call = kubectl_call([*body.action.split(), *body.args, *namespace])
    if isinstance(call, WriteCall):
        raise WriteNotHere(f"{call.line!r} writes. Commands only read: propose it at POST /api/v1/proposals.")
    return Kubectl(call=call)
