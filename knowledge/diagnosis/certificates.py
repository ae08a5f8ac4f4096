"""When a PEM certificate ends: the few bytes of DER that say so (RFC 5280, 4.1). Pure."""

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s*([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
_SEQUENCE, _EXPLICIT_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_MOST = 256 * 1024


class NotACertificate(ValueError):
    """The text holds no certificate that can be read."""


def expires_at(pem: str) -> datetime:
    """The earliest end of all certificates in the text. Raises NotACertificate."""
    bodies = _PEM.findall(pem[:_MOST])
    if not bodies:
        raise NotACertificate("there is no PEM certificate in it")
    try:
        return min(_end(base64.b64decode(re.sub(r"\s", "", body), validate=True)) for body in bodies)
    except (binascii.Error, IndexError, ValueError) as error:
        raise NotACertificate(f"its certificate can't be read: {error}") from None


def _end(der: bytes) -> datetime:
    """Certificate > tbsCertificate > [version], serial, algorithm, issuer, validity > notAfter."""
    body = _inside(_inside(der, 0)[0], 0)[0]
    at = 0
    if body[0] == _EXPLICIT_0:
        at = _inside(body, at)[1]
    for _ in range(3):
        at = _inside(body, at)[1]
    validity, _ = _inside(body, at)
    _, second = _inside(validity, 0)
    kind = validity[second]
    text = _inside(validity, second)[0].decode("ascii")
    if kind == _UTC_TIME:
        year = int(text[:2])
        text = f"{1900 + year if year >= 50 else 2000 + year}{text[2:]}"
    elif kind != _GENERALIZED_TIME:
        raise ValueError("its validity is no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _inside(der: bytes, at: int) -> tuple[bytes, int]:
    """The content of the element at `at`, and where the next one begins."""
    length, start = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("a length that DER does not have")
        length = int.from_bytes(der[start : start + count], "big")
        start += count
    if start + length > len(der):
        raise ValueError("it is cut off")
    return der[start : start + length], start + length
