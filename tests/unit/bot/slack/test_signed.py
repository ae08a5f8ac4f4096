"""What Slack signs, and what we sign for OAuth: read by every replica, by nobody else, and not for ever."""

import hashlib
import hmac

import pytest
from nacl.signing import SigningKey

from bot.slack.front.signature import signed_by_slack
from bot.slack.front.states import States

KEY = SigningKey(b"7" * 32)
BODY = b"payload=%7B%7D"


def sign(secret: str, at: str, body: bytes = BODY) -> str:
    return "v0=" + hmac.new(secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("at", "body", "secret", "good"),
    [
        ("1000", BODY, "s", True),
        ("700", BODY, "s", True),
        ("1300", BODY, "s", True),
        ("699", BODY, "s", False),
        ("1301", BODY, "s", False),
        ("1000", BODY + b" ", "s", False),
        ("1000", BODY, "another", False),
        ("", BODY, "s", False),
        ("1000.0", BODY, "s", False),
        (" 1000", BODY, "s", False),
        ("1_000", BODY, "s", False),
        ("１０００", BODY, "s", False),
        ("1000\n", BODY, "s", False),
        ("9" * 5000, BODY, "s", False),
    ],
)
def test_only_what_was_signed_with_our_secret_within_five_minutes_counts(at: str, body: bytes, secret: str, good: bool) -> None:
    assert signed_by_slack("s", body, at, sign(secret, at), 1000.0) is good


@pytest.mark.parametrize("signature", ["", "v0=", "v1=" + "0" * 64, "é" * 67, sign("s", "1000").upper(), sign("", "1000")])
def test_no_other_signature_counts(signature: str) -> None:
    assert not signed_by_slack("s", BODY, "1000", signature, 1000.0)
    assert not signed_by_slack("", BODY, "1000", signature, 1000.0), "without a secret nothing is signed"


def test_a_state_is_of_one_browser_and_one_person_for_ten_minutes_on_every_replica() -> None:
    begun = States(KEY).begin("ann|x", 1_000.0)
    came = States(SigningKey(KEY.encode())).read(begun.state, begun.cookie, 1_600.0)
    assert came is not None
    assert (came.account, bool(came.id)) == ("ann|x", True)
    assert States(KEY).read(begun.state, begun.cookie, 1_601.0) is None
    assert States(KEY).read(begun.state, States(KEY).begin("ann|x", 1_000.0).cookie, 1_000.0) is None
    assert States(KEY).read(begun.state, "", 1_000.0) is None
    assert States(SigningKey(b"8" * 32)).read(begun.state, begun.cookie, 1_000.0) is None


def test_a_state_that_we_did_not_make_is_none_of_ours() -> None:
    begun = States(KEY).begin("ann", 1_000.0)
    packed, _, signature = begun.state.partition(".")
    for forged in ("", ".", packed, f"{packed}.", f"{packed}x.{signature}", f".{signature}", "é.é", "A" * 500, f"{packed}.é"):
        assert States(KEY).read(forged, begun.cookie, 1_000.0) is None
