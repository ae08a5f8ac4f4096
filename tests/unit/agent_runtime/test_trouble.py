"""What goes wrong with an endpoint, as a table of errors and verdicts; and the breaker on a clock of its own."""

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, cast

import httpx2
import pytest
from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncOpenAI

from agent_runtime.models.assembly import AnswerFailed, BrokeOff
from agent_runtime.models.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker
from agent_runtime.models.reading import NotAnAnswer
from agent_runtime.models.trouble import retry_after, trouble_of
from control_plane.spending import Exhausted, OverBudget

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
REQUEST = httpx2.Request("POST", "http://models.example/v1/chat/completions")


def status(code: int, message: str = "", *, error_code: str | None = None, **headers: str) -> APIStatusError:
    """As the real client makes it from an answer."""
    body = {"error": {"message": message, "code": error_code}}
    response = httpx2.Response(code, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()}, request=REQUEST)
    return cast(APIStatusError, cast(Any, AsyncOpenAI(api_key="x"))._make_status_error_from_response(response))


def connection(cause: Exception) -> APIConnectionError:
    error = APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


LATER = format_datetime(NOW + timedelta(seconds=7), usegmt=True)
DAY = Exhausted(kind="cluster", period="day", unit="tokens", limit=1000, used=900)

# (error, words in the clause, again, wait, too long, speaks against the endpoint)
TROUBLES: list[tuple[Exception, str, bool, float | None, bool, bool]] = [
    (status(401), "refused the key (401); check OPENAI_API_KEY", False, None, False, True),
    (status(403), "refused access (403)", False, None, False, True),
    (status(404), "does not know the model", False, None, False, True),
    (status(400, "bad shape"), "refused the request (400): ", False, None, False, False),
    (status(400, "x", error_code="context_length_exceeded"), "longer than the model takes", False, None, True, False),
    (status(400, "This model's maximum context length is 8192 tokens"), "longer than", False, None, True, False),
    (status(400, "prompt is too long: 210000 tokens > 200000"), "longer than", False, None, True, False),
    (status(400, "the request exceeds the available context size"), "longer than", False, None, True, False),
    (status(413), "longer than", False, None, True, False),
    (status(429, retry_after="3"), "limiting requests", False, 3.0, False, True),
    (status(429, retry_after=LATER), "limiting requests", False, 7.0, False, True),
    (status(429), "limiting requests", False, 0.0, False, True),
    (status(429, "You exceeded your quota: insufficient_quota"), "needs credit", False, None, False, True),
    (status(500), "failed (500)", False, 0.0, False, True),
    (status(503, retry_after="2"), "overloaded (503)", False, 2.0, False, True),
    (status(529), "overloaded (529)", False, 0.0, False, True),
    (status(418), "failed (418)", False, None, False, True),
    (APITimeoutError(request=REQUEST), "did not answer within 60 s", False, None, False, True),
    (TimeoutError(), "did not answer within 60 s", False, None, False, True),
    (httpx2.ReadTimeout("slow"), "did not answer within 60 s", False, None, False, True),
    (connection(httpx2.ConnectError("refused")), "can't be reached", False, None, False, True),
    (connection(httpx2.RemoteProtocolError("cut")), "broke off", True, None, False, True),
    (httpx2.ReadError("cut"), "broke off", True, None, False, True),
    (BrokeOff("cut"), "broke off", True, None, False, True),
    (
        connection(ssl.SSLCertVerificationError("[SSL] certificate verify failed: self-signed certificate (_ssl.c:1006)")),
        "TLS certificate can't be trusted (self-signed certificate); name your authority's file in SSL_CERT_FILE",
        False, None, False, True,
    ),
    (AnswerFailed("upstream died", 502), "its provider failed (502)", False, 0, False, True),
    (AnswerFailed("policy"), "it reported an error: policy", False, None, False, False),
    (AnswerFailed("exceeds the context window"), "it reported an error", False, None, True, False),
    (NotAnAnswer("its answer was malformed"), "malformed", True, None, False, True),
    (OverBudget(DAY), "the daily budget of this cluster is used up (900 of 1,000 tokens)", False, None, False, False),
    (ValueError("odd"), "malformed (ValueError)", True, None, False, False),
]  # fmt: skip


@pytest.mark.parametrize("row", TROUBLES, ids=[f"{type(row[0]).__name__} {row[1][:30]}" for row in TROUBLES])
def test_an_error_has_words_and_a_verdict(row: tuple[Exception, str, bool, float | None, bool, bool]) -> None:
    error, words, *verdict = row
    trouble = trouble_of(error, waited_s=60, now=NOW)
    assert words in trouble.why
    assert [trouble.again, trouble.wait_s, trouble.too_long, trouble.down] == verdict


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": format_datetime(NOW - timedelta(hours=1), usegmt=True)}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({}, 0),
    ],
)
def test_what_an_endpoint_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert retry_after(headers, NOW) == seconds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened() -> tuple[Breaker, Clock]:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.closed_for_s() == 0
        breaker.failed("it is down")
    return breaker, clock


def test_a_breaker_opens_after_some_failures_in_a_row_and_tries_one_call_later() -> None:
    breaker, clock = opened()
    assert breaker.closed_for_s() == FIRST_PAUSE_S
    clock.now = FIRST_PAUSE_S
    assert breaker.closed_for_s() == 0, "one may try"
    assert breaker.closed_for_s() > 0, "and no other beside it"
    breaker.succeeded()
    assert breaker.closed_for_s() == 0
    assert breaker.why == ""


def test_a_trial_that_fails_closes_the_way_for_longer_up_to_ten_minutes() -> None:
    breaker, clock = opened()
    pauses: list[float] = []
    for _ in range(7):
        clock.now += breaker.closed_for_s()
        assert breaker.closed_for_s() == 0
        breaker.failed("it is down")
        pauses.append(breaker.open_for_s)
    assert pauses == [60, 120, 240, 480, 600, 600, LONGEST_PAUSE_S]


def test_a_trial_that_never_ends_does_not_close_the_way_for_ever() -> None:
    breaker, clock = opened()
    clock.now = FIRST_PAUSE_S
    assert breaker.closed_for_s() == 0
    clock.now += FIRST_PAUSE_S
    assert breaker.closed_for_s() == 0


def test_a_success_in_between_begins_the_count_again_and_the_endpoint_s_own_wait_counts() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed("it is down")
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed("it is down")
    assert breaker.closed_for_s() == 0
    breaker.failed("limited", for_s=120)
    assert breaker.closed_for_s() == 120
