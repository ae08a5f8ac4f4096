"""What can go wrong with a model endpoint, in words, and what can help. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from httpx2 import TimeoutException, TransportError
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

from agent_runtime.models.assembly import AnswerFailed, BrokeOff
from agent_runtime.models.reading import NotAnAnswer
from control_plane.errors import ServiceError
from control_plane.spending import Exhausted, OverBudget
from protocol.text import one_line


@dataclass(frozen=True, slots=True)
class Trouble:
    why: str
    """For people: one clause."""
    again: bool = False
    """Another attempt may work at once: the answer was cut or malformed."""
    wait_s: float | None = None
    """Another attempt may work after so many seconds; 0 when the endpoint did not say."""
    too_long: bool = False
    """The request is longer than the model's context: it may work when it is compacted."""
    down: bool = False
    """It speaks against the endpoint, not against this request: the circuit breaker counts it."""


EMPTY = Trouble("it answered with nothing", again=True)
MALFORMED = Trouble("its tool calls were no valid JSON, again and again")
ONLY_THOUGHT = Trouble("it used up its output limit by thinking", again=False)

KNOWN = (
    APIError,
    AnswerFailed,
    BrokeOff,
    OverBudget,
    ServiceError,
    TimeoutError,
    TimeoutException,
    TransportError,
    ValueError,
    TypeError,
)
"""What a call to an endpoint usually raises: the client's errors, time-outs, answers of a wrong shape."""

_MID_STREAM = frozenset({"RemoteProtocolError", "ReadError"})
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size|limit)|maximum.{0,20}(context|tokens|input)|too many (input )?tokens|"
    r"prompt is too long|input is too long|exceeds? .{0,30}(context|num_ctx|n_ctx)|reduce the length|string too long"
)
_PERIODS = {"day": "daily", "month": "monthly"}


def trouble_of(error: Exception, *, waited_s: float, now: datetime | None = None) -> Trouble:
    match error:
        case OverBudget(exhausted=exhausted):
            return Trouble(budget_words(exhausted))
        case ServiceError(message=message):
            return Trouble(f"what it costs could not be written down: {one_line(message, 120)}")
        case AuthenticationError():
            return Trouble("the endpoint refused the key (401); check OPENAI_API_KEY", down=True)
        case PermissionDeniedError():
            return Trouble("the endpoint refused access (403); check the key's rights and the model's name", down=True)
        case NotFoundError():
            return Trouble(
                "the endpoint does not know the model or the path (404); check OPENAI_BASE_URL and the model", down=True
            )
        case APIStatusError() if _is_too_long(error):
            return Trouble(f"the request is longer than the model takes ({error.status_code})", too_long=True)
        case RateLimitError() if "insufficient_quota" in error.message or "billing" in error.message:
            return Trouble("the endpoint's quota is used up (429); its account needs credit", down=True)
        case RateLimitError():
            words = "the endpoint is limiting requests or the quota is used up (429)"
            return Trouble(words, wait_s=_wait(error, now), down=True)
        case BadRequestError():
            return Trouble(f"the endpoint refused the request (400): {one_line(error.message, 160)}")
        case APIStatusError(status_code=status) if status >= 500 or status in (408, 409, 425):
            words = "is overloaded" if status in (503, 529) else "failed"
            return Trouble(f"the endpoint {words} ({status})", wait_s=_wait(error, now), down=True)
        case APIStatusError():
            return Trouble(f"the endpoint failed ({error.status_code})", down=True)
        case APITimeoutError() | TimeoutError() | TimeoutException():
            return Trouble(f"the endpoint did not answer within {waited_s:.0f} s", down=True)
        case APIConnectionError() if _certificate(error):
            return Trouble(
                f"the endpoint's TLS certificate can't be trusted ({_certificate(error)}); "
                "name your authority's file in SSL_CERT_FILE",
                down=True,
            )
        case APIConnectionError() if not _after_connecting(error):
            return Trouble("the endpoint can't be reached; check OPENAI_BASE_URL and the network", down=True)
        case APIConnectionError() | TransportError() | BrokeOff():
            return Trouble("its answer broke off", again=True, down=True)
        case AnswerFailed() if error.status == 429 or (error.status or 0) >= 500:
            return Trouble(f"its provider failed ({error.status}): {one_line(str(error), 120)}", wait_s=0, down=True)
        case AnswerFailed():
            tried = _TOO_LONG.search(str(error).lower()) is not None
            return Trouble(f"it reported an error: {one_line(str(error), 160)}", too_long=tried)
        case NotAnAnswer():
            return Trouble(str(error), again="malformed" in str(error), down=True)
        case _:
            return Trouble(f"its answer broke off or was malformed ({type(error).__name__})", again=True)


def budget_words(exhausted: Exhausted) -> str:
    """For example: the daily budget of this cluster is used up (120,000 of 120,000 tokens)."""
    whose = "this cluster" if exhausted.kind == "cluster" else "the person who asked"
    if exhausted.unit == "tokens":
        amount = f"{exhausted.used:,.0f} of {exhausted.limit:,.0f} tokens"
    else:
        amount = f"{exhausted.used:,.2f} of {exhausted.limit:,.2f}"
    return f"the {_PERIODS[exhausted.period]} budget of {whose} is used up ({amount})"


def retry_after(headers: "dict[str, str]", now: datetime) -> float:
    """Seconds that the endpoint asks to wait, from Retry-After in seconds or as a date, or in milliseconds; 0 when it does not
    say, or says what has passed."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    told = headers.get("retry-after", "").strip()
    seconds = _number(told)
    if seconds is not None:
        return max(0.0, seconds)
    try:
        at = parsedate_to_datetime(told)
    except ValueError:
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text.strip()) else None


def _wait(error: APIStatusError, now: datetime | None) -> float:
    headers = {key.lower(): value for key, value in error.response.headers.items()}
    return retry_after(headers, now or datetime.now(UTC))


def _is_too_long(error: APIStatusError) -> bool:
    if error.status_code == 413:
        return True
    if error.status_code not in (400, 422, 500):
        return False
    return error.code == "context_length_exceeded" or _TOO_LONG.search(error.message.lower()) is not None


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 10:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _after_connecting(error: BaseException) -> bool:
    """Did the transport fail once the answer had begun? The client gives the same error for both."""
    return any(type(cause).__name__ in _MID_STREAM for cause in _causes(error))


def _certificate(error: BaseException) -> str:
    """What TLS said, "" when it was not TLS."""
    for cause in _causes(error):
        found = re.search(
            r"certificate verify failed: ([^(\]]+)|(wrong version number|unknown protocol)", str(cause), re.IGNORECASE
        )
        if found:
            return (found.group(1) or found.group(2)).strip()
    return ""
