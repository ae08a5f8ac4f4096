"""The NATS JWTs that the auth callout signs: a user's permissions, and the answer that carries them. Pure.

Hand-written because NATS has its own algorithm name, `ed25519-nkey`, and the claims are few. Shapes: the NATS server's
documentation of auth callout, and jwt/v2.
"""

import base64
import json
from dataclasses import dataclass
from typing import Any, cast

import nkeys

from protocol.canonical import canonical_json, sha256_hex


@dataclass(frozen=True)
class Permissions:
    """What a connection may publish to and subscribe to; everything else is refused by the server.

    Never a `resp` claim: with it and an empty publish list the server denies every publish.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def user_claims(
    *, user_nkey: str, name: str, account: str, permissions: Permissions, issued_at: int, expires_at: int
) -> dict[str, Any]:
    """`user_nkey` is the key that the server made for this one connect; times are Unix seconds."""
    return {
        "iat": issued_at,
        "exp": expires_at,
        "name": name,
        "sub": user_nkey,
        "aud": account,
        "nats": {
            "type": "user",
            "version": 2,
            "pub": {"allow": list(permissions.publish)},
            "sub": {"allow": list(permissions.subscribe)},
            "subs": 64,
            "payload": 1_048_576,
            "data": -1,
        },
    }


def answer_claims(
    *, user_nkey: str, server_id: str, issued_at: int, user_jwt: str | None = None, error: str = ""
) -> dict[str, Any]:
    """The callout's answer: a user JWT, or an error, which only the server's log gets to see."""
    body: dict[str, Any] = {"type": "authorization_response", "version": 2}
    if user_jwt is None:
        body["error"] = error or "refused"
    else:
        body["jwt"] = user_jwt
    return {"iat": issued_at, "sub": user_nkey, "aud": server_id, "nats": body}


def sign_jwt(claims: dict[str, Any], seed: bytes) -> str:
    """`claims` with issuer and id added, signed by an account's seed."""
    body = {**claims, "iss": public_key(seed)}
    body["jti"] = sha256_hex(canonical_json(body))
    head = _part({"typ": "JWT", "alg": "ed25519-nkey"})
    signed = f"{head}.{_part(body)}"
    return f"{signed}.{_base64(cast(bytes, _pair(seed).sign(signed.encode())))}"


def unverified_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT that came from the server itself over our own connection. Raises ValueError."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a JWT: three parts expected")
    value: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    if not isinstance(value, dict):
        raise ValueError("not a JWT: its claims are no object")
    return cast(dict[str, Any], value)


def seed_of(prefix: int, raw: bytes) -> bytes:
    return cast(bytes, cast(Any, nkeys).encode_seed(raw, prefix))


def public_key(seed: bytes) -> str:
    return cast(bytes, _pair(seed).public_key).decode()


def _pair(seed: bytes) -> Any:
    return cast(Any, nkeys).from_seed(bytearray(seed))


def _part(value: dict[str, Any]) -> str:
    return _base64(canonical_json(value))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
