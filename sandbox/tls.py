"""A certificate for 127.0.0.1, new at each start, made with Ed25519 and a few lines of DER.

kubectl sends its bearer token only over TLS (client-go ignores user settings for plain http), so the
practice cluster needs a certificate. PyNaCl is a dependency already and signs; X.509 is only framing.
"""

import base64
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

from nacl.signing import SigningKey

_ED25519 = bytes.fromhex("06032b6570")
_LIFETIME = timedelta(days=30)


@dataclass(frozen=True)
class Certificates:
    """PEM texts: the authority that clients trust, the server's certificate and its key."""

    authority: str
    certificate: str
    key: str

    def context(self, directory: Path) -> ssl.SSLContext:
        """A server context; the key touches the disk in `directory`, only for as long as ssl reads it."""
        path = directory / f"server-{secrets.token_hex(4)}.pem"
        path.touch(mode=0o600)
        try:
            path.write_text(self.key + self.certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(path)
        finally:
            path.unlink()
        return context


def certificates(now: datetime | None = None) -> Certificates:
    """A fresh authority and a server certificate for 127.0.0.1 and localhost."""
    now = now or datetime.now(UTC)
    authority, server = SigningKey.generate(), SigningKey.generate()
    name, server_name = "opsthread-practice-ca", "opsthread-practice-cluster"
    issuer_id = _key_id(authority)
    constraints = _extension("551d13", _seq(b"\x01\x01\xff"), critical=True)
    usage = _extension("551d0f", _tlv(0x03, b"\x01\x06"), critical=True)
    subject_id = _extension("551d0e", _tlv(0x04, issuer_id))
    root = _certificate(authority, authority, name, name, now, [constraints, usage, subject_id])
    names = _tlv(0x82, b"localhost") + _tlv(0x87, bytes([127, 0, 0, 1]))
    leaf = [
        _extension("551d13", _seq(b""), critical=True),
        _extension("551d0f", _tlv(0x03, b"\x07\x80"), critical=True),
        _extension("551d25", _seq(_oid("2b06010505070301"))),
        _extension("551d11", _tlv(0x30, names)),
        _extension("551d0e", _tlv(0x04, _key_id(server))),
        _extension("551d23", _seq(_tlv(0x80, issuer_id))),
    ]
    certificate = _certificate(server, authority, server_name, name, now, leaf)
    private = _seq(b"\x02\x01\x00", _seq(_ED25519), _tlv(0x04, _tlv(0x04, bytes(server))))
    return Certificates(_pem("CERTIFICATE", root), _pem("CERTIFICATE", certificate), _pem("PRIVATE KEY", private))


def _certificate(
    subject: SigningKey, issuer: SigningKey, name: str, issuer_name: str, now: datetime, extensions: Sequence[bytes]
) -> bytes:
    algorithm = _seq(_ED25519)
    serial = bytes([secrets.randbelow(126) + 1]) + secrets.token_bytes(15)
    public = _seq(algorithm, _tlv(0x03, b"\x00" + bytes(subject.verify_key)))
    body = _seq(
        _tlv(0xA0, b"\x02\x01\x02"),
        _tlv(0x02, serial),
        algorithm,
        _name(issuer_name),
        _seq(_time(now - timedelta(hours=1)), _time(now + _LIFETIME)),
        _name(name),
        public,
        _tlv(0xA3, _seq(*extensions)),
    )
    return _seq(body, algorithm, _tlv(0x03, b"\x00" + issuer.sign(body).signature))


def _key_id(key: SigningKey) -> bytes:
    return sha1(bytes(key.verify_key), usedforsecurity=False).digest()


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _seq(_oid(oid), b"\x01\x01\xff" if critical else b"", _tlv(0x04, value))


def _oid(content: str) -> bytes:
    return _tlv(0x06, bytes.fromhex(content))


def _name(common: str) -> bytes:
    return _seq(_tlv(0x31, _seq(_oid("550403"), _tlv(0x0C, common.encode()))))


def _time(moment: datetime) -> bytes:
    return _tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


def _seq(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width) + content


def _pem(kind: str, der: bytes) -> str:
    body = base64.encodebytes(der).decode().replace("\n", "")
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return f"-----BEGIN {kind}-----\n" + "\n".join(lines) + f"\n-----END {kind}-----\n"
