"""The chain of the audit as values: how a row is digested and chained, how a head is signed, and how an export is checked by
anybody, offline, with nothing but the file and a public key. Pure.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from protocol.canonical import digest, sha256_hex

GENESIS = "0" * 64
EXPORT_VERSION = 1
_PAYLOAD = ("at", "cluster", "namespace", "actor", "actor_name", "door", "action", "subject", "detail")
_LONGEST_LINE = 200_000


def payload_digest(row: Mapping[str, Any]) -> str:
    """Over what the row says. `at` is a time, `detail` the stored JSON text."""
    return digest({name: row[name] for name in _PAYLOAD})


def chained(previous: str, tenant: str, seq: int, payload: str) -> str:
    return sha256_hex(f"{previous}:{tenant}:{seq}:{payload}".encode())


def kid_of(public_key: str) -> str:
    """How signatures name a key: the head of its SHA-256. Raises ValueError for what is no Ed25519 public key in hex."""
    return sha256_hex(VerifyKey(bytes.fromhex(public_key.strip())).encode())[:16]


def sign_head(key: SigningKey, tenant: str, seq: int, head: str) -> str:
    return key.sign(_signed(tenant, seq, head)).signature.hex()


def holds(public_key: str, tenant: str, seq: int, head: str, signature: str) -> bool:
    """Never raises for what somebody wrote into a file."""
    try:
        VerifyKey(bytes.fromhex(public_key)).verify(_signed(tenant, seq, head), bytes.fromhex(signature))
    except (BadSignatureError, ValueError, TypeError):
        return False
    return True


@dataclass
class Report:
    """What an export proves. `broken` is the first thing that does not hold, in words; "" when all of it does."""

    first: int = 0
    last: int = 0
    signed_up_to: int = 0
    """Rows after it are chained, and not signed yet."""
    signed_by: set[str] = field(default_factory=set[str])
    """Ids of the keys whose signatures were checked."""
    known_keys: bool = False
    """Were they keys that the reader brought? Otherwise the file vouches for itself."""
    broken: str = ""


def verify_export(lines: Iterable[str], keys: Mapping[str, str] | None = None) -> Report:
    """Check an export line by line. `keys`: id to public key in hex, from somewhere else than the file; without them the keys
    in the file's last line are taken, which proves that it is whole, and not whose it is."""
    report = Report(known_keys=bool(keys))
    previous, tenant, heads, ended = "", "", dict[int, tuple[str, str, str]](), False
    stands: dict[int, str] = {}
    public = dict(keys or {})
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        raw = _object(line)
        kind = raw.get("type") if raw is not None else None
        if raw is None or ended or kind not in ("entry", "checkpoint", "head"):
            report.broken = f"line {number} is no line of an audit export" if not ended else f"line {number} follows the end"
            return report
        tenant = tenant or str(raw.get("tenant", ""))
        seq = int(raw["seq"]) if isinstance(raw.get("seq"), int) else -1
        if kind == "entry":
            report.broken = _entry(raw, report, previous, tenant, seq)
            if report.broken:
                return report
            previous = str(raw["digest"])
            stands[seq] = previous
        elif kind == "checkpoint":
            heads[seq] = (str(raw.get("digest")), str(raw.get("kid")), str(raw.get("signature")))
        else:
            ended = True
            if (seq, raw.get("digest")) != (report.last, previous or GENESIS):
                report.broken = f"the end says row {seq}, and the rows end at {report.last}: rows were cut off"
                return report
            public = public or {str(k): str(v) for k, v in cast(dict[str, Any], raw.get("public_keys") or {}).items()}
    if not ended:
        report.broken = "the file has no end: rows may be missing"
        return report
    return _signatures(report, heads, stands, tenant, public)


def _entry(raw: Mapping[str, Any], report: Report, previous: str, tenant: str, seq: int) -> str:
    if raw.get("tenant") != tenant:
        return f"row {seq} is another tenant's"
    if report.last and seq != report.last + 1:
        return f"row {report.last + 1} is missing"
    if previous and raw.get("previous") != previous:
        return f"row {seq} does not follow the one before"
    if seq == 1 and raw.get("previous") != GENESIS:
        return "row 1 is not the first of a chain"
    try:
        payload = payload_digest({**raw, "at": datetime.fromisoformat(str(raw["at"]))})
    except (KeyError, ValueError, TypeError):
        return f"row {seq} is not whole"
    if payload != raw.get("payload_digest"):
        return f"row {seq} was altered"
    if raw.get("digest") != chained(str(raw.get("previous")), tenant, seq, payload):
        return f"row {seq} is not chained"
    report.first, report.last = report.first or seq, seq
    return ""


def _signatures(
    report: Report, heads: Mapping[int, tuple[str, str, str]], stands: Mapping[int, str], tenant: str, public: Mapping[str, str]
) -> Report:
    for seq, (head, kid, signature) in sorted(heads.items()):
        if kid not in public:
            report.broken = f"the head at row {seq} is signed by key {kid}, which is not one of yours"
        elif not holds(public[kid], tenant, seq, head, signature):
            report.broken = f"the signature of the head at row {seq} does not hold"
        elif seq in stands and stands[seq] != head:
            report.broken = f"row {seq} is not the one whose head was signed: rows up to it were rewritten"
        elif seq > report.last:
            report.broken = f"a head was signed at row {seq}, and the rows end at {report.last}: rows were cut off"
        if report.broken:
            return report
        report.signed_by.add(kid)
        report.signed_up_to = seq
    return report


def _signed(tenant: str, seq: int, head: str) -> bytes:
    return f"opsthread-audit-head-v1:{tenant}:{seq}:{head}".encode()


def _object(line: str) -> dict[str, Any] | None:
    if len(line) > _LONGEST_LINE:
        return None
    try:
        raw = json.loads(line)
    except ValueError:
        return None
    return cast(dict[str, Any], raw) if isinstance(raw, dict) else None
