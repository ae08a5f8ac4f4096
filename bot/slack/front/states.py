"""OAuth's `state`: says that this browser and this admin began an installation here, a little while ago. Signed, so that any
replica can read it; the browser holds the other half in a cookie; whoever comes back with it uses it up."""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from nacl.signing import SigningKey

VALID_S = 600
_LABEL = b"opsthread slack install"
_MOST = 400


@dataclass(frozen=True)
class Begun:
    state: str
    """For Slack, which brings it back."""
    cookie: str
    """For the browser alone."""


@dataclass(frozen=True)
class Came:
    account: str
    """Who began it."""
    id: str
    """To be used up."""


class States:
    def __init__(self, grant_key: SigningKey) -> None:
        self._key = hmac.digest(grant_key.encode(), _LABEL, hashlib.sha256)

    def begin(self, account: str, now: float) -> Begun:
        cookie = secrets.token_urlsafe(24)
        told = "|".join((secrets.token_urlsafe(12), str(int(now) + VALID_S), account))
        return Begun(f"{_packed(told.encode())}.{self._signed(told, cookie)}", cookie)

    def read(self, state: str, cookie: str, now: float) -> Came | None:
        """None for one that is not ours, of another browser, or too old."""
        packed, _, signature = state.partition(".")
        told = _unpacked(packed) if len(state) <= _MOST else ""
        if not cookie or not hmac.compare_digest(self._signed(told, cookie).encode(), signature.encode()):
            return None
        identity, until, account = told.split("|", 2)
        return Came(account, identity) if now <= int(until) else None

    def _signed(self, told: str, cookie: str) -> str:
        bound = b"\0".join((told.encode(), hashlib.sha256(cookie.encode()).digest()))
        return hmac.new(self._key, bound, hashlib.sha256).hexdigest()


def _packed(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _unpacked(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (ValueError, binascii.Error):
        return ""
