"""A Grant: the signed, single-use, short-lived right to run exactly one plan on exactly one runner.

Ed25519 over canonical JSON. The runner pins the public keys from its own configuration, never from the bus.
"""

from datetime import datetime, timedelta
from typing import Annotated

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from pydantic import Field

from protocol.base import Strict, Utc
from protocol.canonical import canonical_json

GRANT_VERSION = 1
GRANT_SECONDS = 60
CLOCK_TOLERANCE = timedelta(seconds=30)
"""A runner whose clock is further off than this refuses writes."""


class Grant(Strict):
    v: int = 1
    cluster: str
    runner_boot: str
    plan_hash: str
    purpose: Annotated[str, Field(pattern=r"^(action|undo)$")]
    authority: Annotated[str, Field(pattern=r"^approval:[a-z2-7]{16,32}$")]
    kid: str
    nonce: Annotated[str, Field(pattern=r"^[a-z2-7]{16,64}$")]
    issued_at: Utc
    expires_at: Utc


class SignedGrant(Strict):
    grant: Grant
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]


_CONTEXT = b"opsthread grant v1\n"
"""Signed in front of every grant, so that no other signature of the same key can pass for one."""


class GrantRefused(Exception):
    """A grant that does not hold. `code` is stable, the message is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def sign(grant: Grant, key: SigningKey) -> SignedGrant:
    return SignedGrant(grant=grant, signature=key.sign(_signed_bytes(grant)).signature.hex())


def verify(signed: SignedGrant, *, keys: dict[str, VerifyKey], cluster: str, boot: str, plan_hash: str, now: datetime) -> Grant:
    """Check everything but replay, which needs the runner's memory of nonces. Raises GrantRefused.

    `keys` maps kid to public key (two while rotating). `plan_hash` is the hash that the caller computed from the body
    that it is about to run, never one that came with the message.
    """
    grant = signed.grant
    key = keys.get(grant.kid)
    if key is None:
        raise GrantRefused("unknown_key", f"the grant is signed by key {grant.kid!r}, which this runner does not trust")
    try:
        key.verify(_signed_bytes(grant), bytes.fromhex(signed.signature))
    except BadSignatureError:
        raise GrantRefused("bad_signature", "the grant's signature does not match its content") from None
    if grant.v != GRANT_VERSION:
        raise GrantRefused(
            "version", f"the grant is of version {grant.v}, this runner reads {GRANT_VERSION}: upgrade the older one"
        )
    if grant.cluster != cluster:
        raise GrantRefused("other_cluster", f"the grant is for cluster {grant.cluster}, this runner serves {cluster}")
    if grant.runner_boot != boot:
        raise GrantRefused("other_boot", "the grant is for an earlier start of this runner")
    if grant.plan_hash != plan_hash:
        raise GrantRefused("other_plan", "the grant is for another plan")
    if grant.issued_at - now > CLOCK_TOLERANCE:
        raise GrantRefused("clock", "the grant was issued in this runner's future: its clock is off; mend the clock (NTP)")
    if now >= grant.expires_at:
        raise GrantRefused("expired", f"the grant expired at {grant.expires_at:%H:%M:%S} UTC")
    if grant.expires_at - grant.issued_at > timedelta(seconds=GRANT_SECONDS):
        raise GrantRefused("too_long", f"the grant is valid for longer than {GRANT_SECONDS} s")
    return grant


def _signed_bytes(grant: Grant) -> bytes:
    return _CONTEXT + canonical_json(grant)
