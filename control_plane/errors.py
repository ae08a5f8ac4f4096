"""What services raise. Surfaces turn these into problem+json, a line in the terminal or a notice in the chat."""


class ServiceError(Exception):
    """Base. `code` is stable and translated by surfaces; the message says what happened, to what, and what to do next."""

    status = 500
    code = "internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class NotFound(ServiceError):
    """It does not exist, or the asker may not know that it does: the same answer for both."""

    status = 404
    code = "not_found"


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"


class NotSignedIn(ServiceError):
    status = 401
    code = "not_signed_in"


class Invalid(ServiceError):
    status = 422
    code = "invalid"


class Conflict(ServiceError):
    """Somebody was faster, or the thing has changed. The message says who and when."""

    status = 409
    code = "conflict"


class Superseded(Conflict):
    """Another process has taken up what this one was doing, and goes on with it."""

    code = "superseded"


class Unavailable(ServiceError):
    """A part that we need does not answer: cluster offline, bus or database down."""

    status = 503
    code = "unavailable"


class TooMany(ServiceError):
    status = 429
    code = "too_many"
