"""Grants: what holds, and every way in which one does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey
from pydantic import ValidationError

from protocol.canonical import canonical_json
from protocol.grant import CLOCK_TOLERANCE, GRANT_SECONDS, Grant, GrantRefused, SignedGrant, sign, verify

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = SigningKey(b"k" * 32)
OTHER_KEY = SigningKey(b"o" * 32)
CLUSTER, BOOT, PLAN = "c" * 16, "boot1", "f" * 64


def _grant(**changes: Any) -> Grant:
    fields: dict[str, Any] = {
        "cluster": CLUSTER,
        "runner_boot": BOOT,
        "plan_hash": PLAN,
        "purpose": "action",
        "authority": f"approval:{'a' * 16}",
        "kid": "k1",
        "nonce": "n" * 16,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(seconds=GRANT_SECONDS),
    }
    return Grant.model_validate({**fields, **changes})


def _verify(signed: SignedGrant, **changes: Any) -> Grant:
    facts: dict[str, Any] = {
        "keys": {"k1": KEY.verify_key},
        "cluster": CLUSTER,
        "boot": BOOT,
        "plan_hash": PLAN,
        "now": NOW + timedelta(seconds=1),
    }
    return verify(signed, **{**facts, **changes})


def test_a_grant_holds_for_what_it_was_signed_for() -> None:
    grant = _grant()
    assert _verify(sign(grant, KEY)) == grant


def test_it_holds_after_a_journey_as_json() -> None:
    signed = SignedGrant.model_validate_json(sign(_grant(), KEY).model_dump_json())
    assert _verify(signed).nonce == "n" * 16


def test_two_keys_hold_while_rotating() -> None:
    keys = {"k1": OTHER_KEY.verify_key, "k2": KEY.verify_key}
    assert _verify(sign(_grant(kid="k2"), KEY), keys=keys).kid == "k2"


@pytest.mark.parametrize(
    ("code", "signed", "facts"),
    [
        ("unknown_key", sign(_grant(kid="k9"), KEY), {}),
        ("unknown_key", sign(_grant(), KEY), {"keys": {}}),
        ("bad_signature", sign(_grant(), OTHER_KEY), {}),
        ("bad_signature", SignedGrant(grant=_grant(nonce="m" * 16), signature=sign(_grant(), KEY).signature), {}),
        ("bad_signature", SignedGrant(grant=_grant(), signature="0" * 128), {}),
        ("bad_signature", SignedGrant(grant=_grant(), signature=KEY.sign(canonical_json(_grant())).signature.hex()), {}),
        ("version", sign(_grant(v=2), KEY), {}),
        ("other_cluster", sign(_grant(), KEY), {"cluster": "d" * 16}),
        ("other_boot", sign(_grant(), KEY), {"boot": "boot2"}),
        ("other_plan", sign(_grant(), KEY), {"plan_hash": "0" * 64}),
        ("clock", sign(_grant(), KEY), {"now": NOW - CLOCK_TOLERANCE - timedelta(seconds=1)}),
        ("expired", sign(_grant(), KEY), {"now": NOW + timedelta(seconds=GRANT_SECONDS)}),
        ("expired", sign(_grant(expires_at=NOW - timedelta(seconds=1)), KEY), {}),
        ("too_long", sign(_grant(expires_at=NOW + timedelta(seconds=GRANT_SECONDS + 1)), KEY), {}),
    ],
)
def test_every_refusal(code: str, signed: SignedGrant, facts: dict[str, Any]) -> None:
    with pytest.raises(GrantRefused) as refused:
        _verify(signed, **facts)
    assert refused.value.code == code
    assert str(refused.value)


def test_a_clock_within_tolerance_holds() -> None:
    assert _verify(sign(_grant(), KEY), now=NOW - CLOCK_TOLERANCE)


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "both"},
        {"authority": "approval:../x"},
        {"authority": "rule:aaaaaaaaaaaaaaaa"},
        {"nonce": "short"},
        {"nonce": "N" * 16},
        {"issued_at": "2026-03-01T12:00:00"},
        {"extra": 1},
    ],
)
def test_what_is_no_grant(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        _grant(**changes)


@pytest.mark.parametrize("signature", ["", "0" * 127, "0" * 130, "G" * 128, "A" * 128])
def test_what_is_no_signature(signature: str) -> None:
    with pytest.raises(ValidationError):
        SignedGrant(grant=_grant(), signature=signature)


def test_every_field_is_signed() -> None:
    signed = sign(_grant(), KEY)
    for name, value in {
        "cluster": "d" * 16,
        "runner_boot": "boot2",
        "plan_hash": "0" * 64,
        "purpose": "undo",
        "authority": f"approval:{'b' * 16}",
        "nonce": "m" * 16,
        "issued_at": NOW + timedelta(seconds=1),
        "expires_at": NOW + timedelta(seconds=30),
    }.items():
        changed = SignedGrant(grant=_grant(**{name: value}), signature=signed.signature)
        with pytest.raises(GrantRefused, match="signature"):
            _verify(changed)
