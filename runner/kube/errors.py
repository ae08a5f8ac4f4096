"""What can go wrong between this runner and the API server, in words for people."""

from typing import Any, cast

import orjson

_HINTS = {
    401: "The runner's credentials were refused: renew its kubeconfig or service account token.",
    403: "Ask for the right, or look at something else.",
    429: "The API server is overloaded; try again in a moment.",
}


class KubeError(Exception):
    """An API call that did not succeed.

    `status` is the HTTP status, or 0 when the server could not be reached. `reason` is Kubernetes' own reason (NotFound,
    Forbidden, Conflict, ...), or Unreachable, Timeout, BadAnswer. `message` names the object as the API server does.
    """

    def __init__(self, status: int, reason: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def hint(self) -> str:
        """What to do next, or ""."""
        if self.status >= 500:
            return "The API server has a problem of its own; try again, and look at its logs if it stays."
        return _HINTS.get(self.status, "")

    def for_people(self) -> str:
        return f"Error from server ({self.reason}): {self.message}" if self.status else self.message


def error_from_answer(status: int, body: bytes, retry_after: str | None) -> KubeError:
    """The error that a Status object describes; the head of the body when it is none."""
    parsed = _status_object(body)
    reason = str(parsed.get("reason") or _REASONS.get(status) or "Unknown")
    message = str(parsed.get("message") or body[:300].decode("utf-8", "replace").strip() or f"the API server answered {status}")
    return KubeError(status, reason, message, retry_after_s=_seconds(retry_after))


_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        parsed: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return cast(dict[str, Any], parsed) if isinstance(parsed, dict) else {}


def _seconds(text: str | None) -> float | None:
    if text is None or not text.strip().isdigit():
        return None
    return float(text.strip())
