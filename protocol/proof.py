"""How a runner proves its key on every connect, and what an unenrolled one shows instead: the NATS auth token.

The token is base64url of a ConnectProof's canonical JSON. The control plane's auth callout decodes it, verifies it and
answers with a user JWT for the runner's own subjects. Pure: keys, time and randomness come in by parameter.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import datetime, timedelta

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey
from pydantic import ValidationError

from protocol.bus import ConnectProof
from protocol.canonical import canonical_json

PROOF_SECONDS = 60
"""A proof older or younger than this is refused; its nonce needs to be remembered only that long."""

_NKEY_USER = 20 << 3
_MAX_TOKEN = 8192


class ProofRefused(Exception):
    """A connect proof that does not hold. The message is for the log, never for the peer."""


def encode_proof(unsigned: ConnectProof, sign: Callable[[bytes], bytes]) -> str:
    """The auth token: `unsigned` with its signature by the runner's key over everything else."""
    signature = sign(_signed_bytes(unsigned)).hex()
    proof = unsigned.model_copy(update={"signature": signature})
    return base64.urlsafe_b64encode(canonical_json(proof)).decode().rstrip("=")


def decode_proof(token: str, *, now: datetime) -> ConnectProof:
    """The proof in `token`, its signature and age verified. Raises ProofRefused.

    That the key belongs to the runner, that the nonce is new and that an enrolment token is good is the caller's part.
    """
    if len(token) > _MAX_TOKEN:
        raise ProofRefused("the token is too long to be a proof")
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        proof = ConnectProof.model_validate_json(raw)
        key, signature = nkey_verify_key(proof.public_key), bytes.fromhex(proof.signature)
    except (binascii.Error, ValidationError, ValueError) as error:
        raise ProofRefused(f"the token is not a proof: {type(error).__name__}") from None
    try:
        key.verify(_signed_bytes(proof), signature)
    except (BadSignatureError, ValueError):
        raise ProofRefused(f"the signature of {proof.public_key} does not match its proof") from None
    if abs(now - proof.issued_at) > timedelta(seconds=PROOF_SECONDS):
        raise ProofRefused(f"the proof of {proof.public_key} was issued at {proof.issued_at:%H:%M:%S}: mend its clock (NTP)")
    return proof


def nkey_verify_key(public_key: str) -> VerifyKey:
    """The Ed25519 key in a user nkey (base32, starts with U). Raises ValueError."""
    raw = base64.b32decode(public_key + "=" * (-len(public_key) % 8))
    if len(raw) != 35 or raw[0] != _NKEY_USER:
        raise ValueError(f"{public_key!r} is not a user nkey")
    if binascii.crc_hqx(raw[:33], 0) != int.from_bytes(raw[33:], "little"):
        raise ValueError(f"the checksum of nkey {public_key!r} is wrong")
    return VerifyKey(raw[1:33])


def enrol_inbox_id(public_key: str) -> str:
    """The id of an unenrolled runner's inbox (`subjects.inbox_prefix`): the head of its key in lower case."""
    return public_key.lower()[:32]


def _signed_bytes(proof: ConnectProof) -> bytes:
    return canonical_json(proof.model_dump(mode="json", exclude={"signature"}))
