"""What can go wrong with a model endpoint, in words, and whether asking again can help. Pure."""

from dataclasses import dataclass

from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from protocol.text import one_line


@dataclass(frozen=True, slots=True)
class Trouble:
    why: str
    """For people: one clause."""
    again: bool
    """A second attempt may work: the answer was cut or malformed."""


EMPTY = Trouble("it answered with nothing", again=True)
MALFORMED = Trouble("its tool call was no valid JSON", again=True)


KNOWN = (APIError, TimeoutError, ValueError, TypeError)
"""What a call to an endpoint usually raises: the client's errors, time-outs, answers of a wrong shape."""

_MID_STREAM = frozenset({"RemoteProtocolError", "ReadError"})


def trouble_of(error: Exception, *, waited_s: float) -> Trouble:
    """The client has already retried what is safe (connect, 429 with Retry-After, 5xx) before a stream began."""
    match error:
        case AuthenticationError():
            return Trouble("the endpoint refused the key (401); check OPENAI_API_KEY", again=False)
        case PermissionDeniedError():
            return Trouble("the endpoint refused access (403); check the key's rights and the model's name", again=False)
        case NotFoundError():
            return Trouble(
                "the endpoint does not know the model or the path (404); check OPENAI_BASE_URL and the model", again=False
            )
        case RateLimitError():
            return Trouble("the endpoint is limiting requests or the quota is used up (429)", again=False)
        case BadRequestError():
            return Trouble(f"the endpoint refused the request (400): {one_line(error.message, 160)}", again=False)
        case APIStatusError():
            return Trouble(f"the endpoint failed ({error.status_code})", again=False)
        case APITimeoutError() | TimeoutError():
            return Trouble(f"the endpoint did not answer within {waited_s:.0f} s", again=False)
        case APIConnectionError() if _after_connecting(error):
            return Trouble("its answer broke off", again=True)
        case APIConnectionError():
            return Trouble("the endpoint can't be reached; check OPENAI_BASE_URL and the network", again=False)
        case _:
            return Trouble(f"its answer broke off or was malformed ({type(error).__name__})", again=True)


def _after_connecting(error: BaseException | None) -> bool:
    """Did the transport fail once the answer had begun? The client gives the same error for both."""
    seen = 0
    while error is not None and seen < 10:
        if type(error).__name__ in _MID_STREAM:
            return True
        error, seen = error.__cause__ or error.__context__, seen + 1
    return False
