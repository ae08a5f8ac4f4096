"""The audit over REST, for administrators: newest rows, the whole as JSON lines that anybody can check, the public key."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from bot.api.access import Admin, Me, Plane
from bot.api.paging import Limit, listing
from bot.api.views import View, audit_view

router = APIRouter(prefix="/api/v1", tags=["audit"])


@router.get("/audit")
async def list_audit(
    me: Me, plane: Plane, subject: Annotated[str | None, Query(max_length=200)] = None, limit: Limit = 100
) -> dict[str, Any]:
    """Newest first. `intact` is false when the chain does not hold, with the first broken row. What was added since the last
    signed head is checked at each call, the whole chain every six hours and by `/audit/verify`."""
    rows = await plane.audit.list(me.principal, subject=subject, limit=limit)
    checked = await plane.audit.check(me.principal.tenant)
    return {
        **listing("audit", [audit_view(r) for r in rows]),
        "intact": checked.first_broken is None,
        **checked.model_dump(mode="json"),
    }


@router.get("/audit/verify")
async def verify_audit(me: Admin, plane: Plane) -> View:
    """Check the whole chain and every signature now."""
    broken = await plane.audit.verify(me.principal.tenant)
    return {"intact": broken is None, "first_broken": broken, "public_keys": _keys(plane)}


@router.get("/audit/key")
async def audit_key(_me: Admin, plane: Plane) -> View:
    """The public keys, by id. Keep them somewhere else than the audit."""
    return {"public_keys": _keys(plane)}


@router.get("/audit/export", response_class=StreamingResponse)
async def export_audit(me: Admin, plane: Plane, after: Annotated[int, Query(ge=0)] = 0) -> StreamingResponse:
    """JSON lines: rows as they are stored, signed heads among them, and an end line; `opsthread audit verify FILE` checks them
    without a server. `after` leaves out rows up to that one."""
    lines = plane.audit.export(me.principal, after=after)

    async def chunks() -> AsyncIterator[bytes]:
        async for line in lines:
            yield line.encode()

    name = f"opsthread-audit-{me.principal.tenant}.jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(chunks(), media_type="application/x-ndjson", headers=headers)


def _keys(plane: Plane) -> dict[str, str]:
    signer = plane.audit.signer
    return {signer.kid: signer.public} if signer is not None else {}
