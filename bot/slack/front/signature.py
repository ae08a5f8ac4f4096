"""What Slack signs its HTTP requests with. Pure: the body as it came, the headers, and what time it is."""

import hashlib
import hmac
import re

VALID_S = 300
"""How far Slack's time of a request may be from ours, either way."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def signed_by_slack(secret: str, body: bytes, timestamp: str, signature: str, now: float) -> bool:
    """Whatever stands in the headers, this is an answer and never an error. Without a secret nothing is signed."""
    if not secret or not _TIMESTAMP.fullmatch(timestamp) or abs(now - int(timestamp)) > VALID_S:
        return False
    right = hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={right}".encode(), signature.encode())
