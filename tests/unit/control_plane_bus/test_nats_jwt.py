"""The tokens that the auth callout signs, and the server's configuration."""

import base64
import json
from pathlib import Path
from typing import Any, cast

import nkeys
import pytest
from nacl.signing import VerifyKey

from control_plane.bus.config import ServerSecrets, server_config
from control_plane.bus.jwt import Permissions, answer_claims, public_key, seed_of, sign_jwt, unverified_claims, user_claims

SEED = seed_of(nkeys.PREFIX_BYTE_ACCOUNT, bytes(range(32)))


def claims(**more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "user_nkey": "U" * 56,
        "name": "runner r1",
        "account": "APP",
        "permissions": Permissions(("a.>",), ("b.>",)),
        "issued_at": 1_700_000_000,
        "expires_at": 1_700_000_300,
    }
    return user_claims(**{**known, **more})


def test_a_signed_token_verifies_with_the_issuers_key_and_nothing_else() -> None:
    head, body, signature = sign_jwt(claims(), SEED).split(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    issuer = json.loads(base64.urlsafe_b64decode(body + "=="))["iss"]
    key = VerifyKey(base64.b32decode(issuer)[1:33])
    key.verify(f"{head}.{body}".encode(), raw)
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"typ": "JWT", "alg": "ed25519-nkey"}
    with pytest.raises(Exception, match="forged"):
        key.verify(f"{head}.{body}x".encode(), raw)


def test_a_users_token_names_its_subjects_its_account_and_its_end() -> None:
    body = unverified_claims(sign_jwt(claims(), SEED))
    assert (body["sub"], body["aud"], body["exp"]) == ("U" * 56, "APP", 1_700_000_300)
    assert body["nats"]["pub"] == {"allow": ["a.>"]}
    assert body["nats"]["sub"] == {"allow": ["b.>"]}
    assert "resp" not in body["nats"], "with it an empty publish list denies every publish"


def test_an_answer_carries_either_a_token_or_an_error() -> None:
    yes = answer_claims(user_nkey="U", server_id="N", issued_at=1, user_jwt="x.y.z")
    no = answer_claims(user_nkey="U", server_id="N", issued_at=1, error="refused")
    assert yes["nats"] == {"type": "authorization_response", "version": 2, "jwt": "x.y.z"}
    assert no["nats"] == {"type": "authorization_response", "version": 2, "error": "refused"}
    assert yes["aud"] == "N"


@pytest.mark.parametrize("token", ["", "a.b", "a.W10.c", "a.!!!.c"])
def test_what_is_no_token_is_a_value_error(token: str) -> None:
    with pytest.raises(ValueError):
        unverified_claims(token)


def test_the_configuration_holds_the_callout_and_no_seed() -> None:
    secrets = ServerSecrets.fresh()
    text = server_config(port=4222, directory=Path('/data/a "b"'), secrets=secrets)
    assert f"issuer: {public_key(secrets.issuer_seed)}" in text
    assert secrets.issuer_seed.decode() not in text
    assert "auth_users: [ auth, cp, sys ]" in text
    assert json.dumps('/data/a "b"/jetstream') in text


def test_secrets_are_new_each_time() -> None:
    one, other = ServerSecrets.fresh(), ServerSecrets.fresh()
    values = [one.auth_password, one.app_password, one.sys_password, other.auth_password, other.app_password]
    assert len(set(values)) == len(values)
    assert cast(Any, one.issuer_seed) != other.issuer_seed
