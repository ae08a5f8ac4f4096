"""Models over REST: which are configured and how they do, and the exact bytes that a turn sent to them."""

from typing import Annotated, Any, cast

from fastapi import APIRouter, Path, Request, Response

from agent_runtime.runtime import AgentRuntime
from bot.api.access import Admin, Me, Plane
from control_plane.model_requests import ModelRequest

router = APIRouter(prefix="/api/v1", tags=["models"])

Id = Annotated[str, Path(max_length=64)]


@router.get("/models")
async def models(_: Admin, request: Request) -> dict[str, Any]:
    """The models in the order in which they are asked, and whether they are. Of this replica; never a key."""
    return {"models": cast(AgentRuntime, request.app.state.runtime).models()}


@router.get("/turns/{turn}/requests")
async def model_requests(turn: Id, me: Me, plane: Plane) -> dict[str, Any]:
    """What a turn sent to models, without the bytes, for admins of all that the conversation shows. Reading is audited."""
    found = await plane.model_requests.list(turn, me.principal, door=me.door)
    return {"requests": [_view(row) for row in found]}


@router.get("/turns/{turn}/requests/{request_id}")
async def model_request(turn: Id, request_id: Id, me: Me, plane: Plane) -> Response:
    """The bytes of one request as they were sent. Reading is audited."""
    body = await plane.model_requests.body(turn, request_id, me.principal, door=me.door)
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="model-request-{request_id}.json"'}
    return Response(body, media_type="application/json", headers=headers)


def _view(row: ModelRequest) -> dict[str, Any]:
    return row.model_dump(mode="json")
