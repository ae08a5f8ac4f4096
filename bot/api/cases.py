"""Cases and weights over REST: what was learnt, within the caller's scope; import, export, forgetting; what moves a ranking."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, ValidationError

from agent_runtime.runtime import AgentRuntime
from bot.api.access import Admin, Me, Plane
from bot.api.language import Reader
from bot.api.paging import Cursor, Limit, listing
from bot.api.views import View
from control_plane.cases import StoredCase
from control_plane.errors import Invalid
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.soaks import Soak
from control_plane.weights import Weight
from knowledge.cases import SEED, Case
from knowledge.wording import title
from protocol.base import Strict
from protocol.events import Language

router = APIRouter(prefix="/api/v1", tags=["cases"])

CaseId = Annotated[str, Path(max_length=100)]
Outcomes = Literal["provisional", "held", "relapsed", "unsolved"]
Origins = Literal["action", "import", "seed", "adopted"]
_PAGE = 200
_MOST_IN_A_REQUEST = 200


class Import(Strict):
    cases: list[dict[str, Any]] = Field(min_length=1, max_length=_MOST_IN_A_REQUEST, description="As the export writes them")
    cluster: str | None = Field(default=None, max_length=200, description="Id or name of the cluster that they are about here")
    general: bool = Field(default=False, description="About no cluster: for everybody. Administrators only")


@router.get("/cases")
async def list_cases(
    me: Me,
    plane: Plane,
    reader: Reader,
    cluster: Annotated[str | None, Query(max_length=200, description="Id or name")] = None,
    code: Annotated[str | None, Query(max_length=100)] = None,
    outcome: Outcomes | None = None,
    origin: Origins | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> dict[str, Any]:
    """Newest first: cases of what you may see, and those of no cluster."""
    where = (await plane.fleet.get(cluster, me.principal)).id if cluster else None
    found, following = await plane.cases.list(
        me.principal, cluster=where, code=code, outcome=outcome, origin=origin, limit=limit, before=cursor
    )
    names = await _names(plane, me.principal)
    return listing("cases", [case_view(one, reader, names) for one in found], following)


@router.get("/cases/export", response_class=StreamingResponse)
async def export_cases(me: Me, plane: Plane, seeds: bool = False) -> Response:
    """JSON lines, one case each: all that you may see. The seeds are left out unless asked for."""
    return StreamingResponse(
        _lines(plane, me.principal, seeds=seeds),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": 'attachment; filename="cases.jsonl"', "Cache-Control": "no-store"},
    )


@router.post("/cases/import", status_code=201)
async def import_cases(body: Import, me: Me, plane: Plane, request: Request) -> dict[str, Any]:
    """All of them or none. Their text is cleaned, redacted and capped; those that somebody has had forgotten stay so."""
    where = (await plane.fleet.get(body.cluster, me.principal)).id if body.cluster else None
    cases = [_read(row, number, where, general=body.general) for number, row in enumerate(body.cases, 1)]
    written, forgotten = await plane.cases.bring_in(cases, me.principal, door=me.door)
    _follow(request)
    return {"imported": written, "forgotten": forgotten}


@router.get("/cases/{case}")
async def get_case(case: CaseId, me: Me, plane: Plane, reader: Reader) -> View:
    found = await plane.cases.get(case, me.principal)
    soak = await plane.soaks.of_case(case, tenant=me.principal.tenant)
    return case_view(found, reader, await _names(plane, me.principal)) | {"soak": soak_view(soak) if soak else None}


@router.delete("/cases/{case}", status_code=204)
async def forget_case(case: CaseId, me: Me, plane: Plane, request: Request) -> None:
    """Its words are gone at once, and it does not come back. For admins of its namespace; audited."""
    await plane.cases.forget(case, me.principal, door=me.door)
    _follow(request)


@router.get("/weights")
async def get_weights(me: Me, plane: Plane, reader: Reader) -> dict[str, Any]:
    """What outcomes and approvers' feedback have moved: 1 is neutral, 0.5 and 2 are the bounds."""
    version, found = await plane.weights.show(me.principal.tenant)
    return {"version": version, "weights": [weight_view(one, reader) for one in found]}


@router.get("/weights/history")
async def get_weight_history(who: Admin, plane: Plane, limit: Limit = 100) -> dict[str, Any]:
    changes = await plane.weights.history(who.principal.tenant, limit=limit)
    return listing("changes", [one.model_dump(mode="json") for one in changes])


@router.post("/weights/reset")
async def reset_weights(who: Admin, plane: Plane) -> dict[str, Any]:
    """All weights are 1 again. The history stays; audited."""
    return {"version": await plane.weights.reset(who.principal, door=who.door)}


def case_view(stored: StoredCase, reader: Language = "en", names: dict[str, str] | None = None) -> View:
    case = stored.case
    return {
        **case.model_dump(mode="json"),
        "cluster_name": (names or {}).get(case.cluster, ""),
        "cause": title(case.code, reader) if case.code else "",
        "origin": stored.origin,
        "version": stored.version,
        "approval": stored.approval,
        "created_at": stored.created_at.isoformat(),
        "updated_at": stored.updated_at.isoformat(),
        "indexed": stored.indexed,
    }


def soak_view(soak: Soak) -> View:
    return {
        "state": soak.state,
        "looks": soak.step if soak.state == "waiting" else soak.steps,
        "of": soak.steps,
        "next_at": soak.due_at.isoformat() if soak.state == "waiting" else None,
        "object": soak.object,
        "message": soak.message,
    }


def weight_view(weight: Weight, reader: Language = "en") -> View:
    code, _, remedy = weight.key.partition("/")
    return {**weight.model_dump(mode="json"), "cause": title(code, reader), "remedy": remedy}


def _read(row: dict[str, Any], number: int, cluster: str | None, *, general: bool) -> Case:
    """Raises Invalid, naming the row."""
    try:
        case = Case.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"case {number} of the import is not one: {where}: {first['msg']}") from None
    if case.id.startswith(SEED):
        raise Invalid(f"case {number} of the import is named like a seed ({case.id}); give it another id")
    if general:
        return case.model_copy(update={"cluster": "", "namespace": ""})
    return case.model_copy(update={"cluster": cluster}) if cluster is not None else case


async def _lines(plane: ControlPlane, principal: Principal, *, seeds: bool) -> AsyncGenerator[str]:
    cursor: str | None = None
    while True:
        found, cursor = await plane.cases.list(principal, limit=_PAGE, before=cursor)
        for one in found:
            if seeds or one.origin != "seed":
                yield one.case.model_dump_json() + "\n"
        if cursor is None:
            return


async def _names(plane: ControlPlane, principal: Principal) -> dict[str, str]:
    return {cluster.id: cluster.name for cluster in await plane.fleet.list(principal)}


def _follow(request: Request) -> None:
    runtime: AgentRuntime = request.app.state.runtime
    runtime.cases_changed()
