"""Passwords: Argon2id in a thread. An unknown name costs the same time as a known one."""

import asyncio
import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from control_plane.errors import Invalid

MIN_LENGTH = 12
MAX_LENGTH = 1024

# Each hash takes 64 MiB and all of a core for some 50 ms (RFC 9106's second recommendation).
_AT_ONCE = 2


class Passwords:
    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Raises Invalid when it is too short or too long."""
        if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
            raise Invalid(f"a password needs {MIN_LENGTH} to {MAX_LENGTH} characters; this one has {len(password)}")
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """False, after the same work, when there is no stored hash."""
        if len(password) > MAX_LENGTH:
            stored, password = None, ""
        async with self._slots:
            return await asyncio.to_thread(self._matches, stored, _normal(password))

    def outdated(self, stored: str) -> bool:
        """Was it made with weaker parameters than today's?"""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str | None, password: bytes) -> bool:
        if self._decoy is None:
            self._decoy = self._hasher.hash(secrets.token_hex(16))
        try:
            return self._hasher.verify(stored or self._decoy, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False


def _normal(password: str) -> bytes:
    """Two keyboards may write the same letter in two ways (NIST SP 800-63B asks for this)."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
