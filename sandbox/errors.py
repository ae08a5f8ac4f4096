"""The API server's errors, in the shapes that kubectl and the client libraries know."""

from typing import Any

from sandbox.objects import Obj
from sandbox.resources import Resource

_STATUS_REASON = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ApiError(Exception):
    """A refusal that becomes a Status object. Attributes: code, reason, message, details."""

    def __init__(self, code: int, message: str, *, reason: str = "", details: Obj | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason or _STATUS_REASON.get(code, "InternalError")
        self.details = details or {}

    def status(self) -> Obj:
        body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            body["details"] = self.details
        return {**body, "code": self.code}


def qualified(resource: Resource) -> str:
    """'deployments.apps', or 'pods' in the core group."""
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def _details(resource: Resource, name: str) -> Obj:
    details: Obj = {"name": name, "kind": resource.plural}
    if resource.group:
        details["group"] = resource.group
    return details


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(404, f'{qualified(resource)} "{name}" not found', details=_details(resource, name))


def already_exists(resource: Resource, name: str) -> ApiError:
    return ApiError(
        409,
        f'{qualified(resource)} "{name}" already exists',
        reason="AlreadyExists",
        details=_details(resource, name),
    )


def conflict(resource: Resource, name: str, why: str = "") -> ApiError:
    why = why or ("the object has been modified; please apply your changes to the latest version and try again")
    return ApiError(
        409,
        f'Operation cannot be fulfilled on {qualified(resource)} "{name}": {why}',
        details=_details(resource, name),
    )


def precondition_failed(resource: Resource, namespace: str, name: str, what: str, wanted: str, stored: str) -> str:
    """The reason of a 409 for a uid or version that is not the stored one, as etcd's storage layer words it."""
    place = f"{resource.plural}/{namespace}/{name}" if namespace else f"{resource.plural}/{name}"
    return (
        f"StorageError: invalid object, Code: 4, Key: /registry/{place}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {stored}"
    )


def invalid(kind: str, group: str, name: str, causes: list[tuple[str, str, str]]) -> ApiError:
    """422 from (field, reason, message) rows, in the words of field.Error."""
    said = [f"{field}: {message}" for field, _, message in causes]
    joined = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    head = f'{kind}.{group} "{name}"' if group else f'{kind} "{name}"'
    details: Obj = {
        "name": name,
        "kind": kind,
        "causes": [{"reason": reason, "message": message, "field": field} for field, reason, message in causes],
    }
    if group:
        details["group"] = group
    return ApiError(422, f"{head} is invalid: {joined}", details=details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


def not_resource() -> ApiError:
    return ApiError(404, "the server could not find the requested resource", details={})


def too_many(message: str, retry_after: int, causes: list[dict[str, Any]] | None = None) -> ApiError:
    details: Obj = {"retryAfterSeconds": retry_after}
    if causes:
        details["causes"] = causes
    return ApiError(429, message, details=details)


def expired(message: str) -> ApiError:
    return ApiError(410, message, reason="Expired")
