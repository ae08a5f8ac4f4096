"""What a button carries besides the approval's id: a sign that the card was ours, of this plan and for this channel."""

import hashlib
import hmac

from nacl.signing import SigningKey


def key_of(grant_key: SigningKey) -> bytes:
    """The same on all replicas, and of no use for signing grants."""
    return hmac.digest(grant_key.encode(), b"opsthread slack cards", hashlib.sha256)


def nonce(key: bytes, team: str, channel: str, approval: str, plan_hash: str) -> str:
    told = "|".join((team, channel, approval, plan_hash)).encode()
    return hmac.new(key, told, hashlib.sha256).hexdigest()[:16]


def value(key: bytes, team: str, channel: str, approval: str, plan_hash: str) -> str:
    """Of a button: `<approval>.<nonce>`."""
    return f"{approval}.{nonce(key, team, channel, approval, plan_hash)}"


def current(key: bytes, team: str, channel: str, told: str, plan_hash: str) -> bool:
    """Is this the button of a card of ours, in this channel, of exactly this plan?"""
    approval, _, given = told.partition(".")
    return hmac.compare_digest(nonce(key, team, channel, approval, plan_hash).encode(), given.encode())
