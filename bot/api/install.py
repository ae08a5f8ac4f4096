"""The runner's manifests over HTTP, so that one `kubectl apply` in the new cluster is all that an installation takes."""

from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response
from pydantic import Field, ValidationError

from bot.api.access import Admin, Plane
from bot.api.clusters import TOKEN_VALID, ClusterId, require_cluster_admin
from bot.install.manifests import Install, Mode, refusal, runner_manifest
from control_plane.clock import utc_now
from control_plane.errors import Invalid, NotSignedIn
from control_plane.services import ControlPlane
from protocol.base import Strict

router = APIRouter(prefix="/api/v1", tags=["clusters"])

_Names = Annotated[list[str], Field(max_length=200)]


class NewInstall(Strict):
    """What an administrator wants a cluster's runner to be able to do."""

    mode: Mode = "read-only"
    namespaces: _Names = []
    remediations: _Names = []
    image: str = Field(default="", max_length=500)


@router.post("/clusters/{cluster}/installations", status_code=201)
async def create_installation(cluster: ClusterId, body: NewInstall, me: Admin, plane: Plane) -> dict[str, Any]:
    """A new single-use token, and the manifests that use it. Raises what Install refuses as 422."""
    found = await plane.fleet.get(cluster, me.principal)
    require_cluster_admin(me.principal, found)
    _install(plane, body, token=None)  # what can't be installed costs no token
    token = await plane.fleet.enrolment_token(found.id, by=me.account, valid=TOKEN_VALID)
    return {
        "enrolment_token": token,
        "enrolment_token_expires_at": (utc_now() + TOKEN_VALID).isoformat(),
        "path": "/api/v1/install/runner.yaml",
        "bus": plane.bus.url,
        "manifest": runner_manifest(_install(plane, body, token=token)),
    }


@router.get("/install/runner.yaml", response_class=Response)
async def runner_yaml(
    plane: Plane,
    authorization: Annotated[str, Header(max_length=500)] = "",
    mode: Mode = "read-only",
    namespace: Annotated[list[str] | None, Query(max_length=200)] = None,
    remediation: Annotated[list[str] | None, Query(max_length=200)] = None,
    image: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """For `curl … | kubectl apply -f -`. The bearer is an enrolment token; the runner uses it up, not this."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotSignedIn("Send the enrolment token of `opsthread cluster add` as the bearer token.")
    await plane.fleet.cluster_of_token(token.strip())
    wanted = NewInstall(mode=mode, namespaces=namespace or [], remediations=remediation or [], image=image)
    text = runner_manifest(_install(plane, wanted, token=token.strip()))
    return Response(text, media_type="application/yaml", headers={"Cache-Control": "no-store"})


def _install(plane: ControlPlane, wanted: NewInstall, token: str | None) -> Install:
    """Raises Invalid with what is wrong with the wish, or with our own address."""
    settings = plane.settings
    try:
        return Install(
            nats_url=plane.bus.url,
            mode=wanted.mode,
            namespaces=tuple(wanted.namespaces),
            remediations=tuple(wanted.remediations),
            grant_keys={plane.grant_kid: plane.grant_key.verify_key.encode().hex()} if wanted.mode == "remediation" else {},
            token=token,
            image=wanted.image or settings.runner_image,
            bus_ca=_text(settings.nats_ca_file),
        )
    except ValidationError as error:
        raise Invalid(f"The runner can't be installed like that: {refusal(error)}.") from None


def _text(file: FilePath | None) -> str:
    return file.read_text() if file is not None else ""
