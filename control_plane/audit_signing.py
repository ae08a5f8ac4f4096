"""The key that signs heads of the audit, and where the last signed one is noted outside the database."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import structlog
from nacl.signing import SigningKey

from control_plane.audit_chain import holds, sign_head
from protocol.canonical import sha256_hex

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Signer:
    """Who rewrites the rows, or takes them away at the end, and the signatures with them, leaves the note behind."""

    key: SigningKey
    note: Path | None = None

    @property
    def kid(self) -> str:
        return sha256_hex(self.key.verify_key.encode())[:16]

    @property
    def public(self) -> str:
        return self.key.verify_key.encode().hex()

    def sign(self, tenant: str, seq: int, digest: str) -> str:
        return sign_head(self.key, tenant, seq, digest)

    def signed(self, tenant: str, seq: int, digest: str, signature: str) -> bool:
        return holds(self.public, tenant, seq, digest, signature)

    def noted(self, tenant: str) -> tuple[int, str] | None:
        """The last head that was signed here: seq and digest."""
        try:
            raw = json.loads(self.note.read_text()) if self.note is not None else None
        except (OSError, ValueError):
            return None
        heads = cast(dict[str, Any], raw) if isinstance(raw, dict) else {}
        match heads.get(tenant):
            case [int(seq), str(digest)]:
                return seq, digest
            case _:
                return None

    def write_note(self, tenant: str, seq: int, digest: str) -> None:
        if self.note is None:
            return
        try:
            fresh = self.note.with_suffix(".new")
            fresh.write_text(json.dumps({tenant: [seq, digest]}))
            fresh.replace(self.note)
        except OSError as error:
            log.warning("the last signed head of the audit could not be noted", file=str(self.note), why=str(error))
