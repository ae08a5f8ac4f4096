"""Files with secrets and certificates: readable by us, closed to others, of the right form, not about to expire."""

import os
import re
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from control_plane.settings import Settings
from knowledge.diagnosis.certificates import NotACertificate, expires_at
from protocol.checkup import CheckRow, fail, ok, warn

SOON = timedelta(days=21)
_KEPT = ("grant.key", "audit.key", "cli.json")
_SEEDS = frozenset({"grant_key_file", "audit_key_file"})
_NO_SECRETS = frozenset({"nats_tls_cert_file", "nats_ca_file"})
_SEED = re.compile(r"[0-9a-fA-F]{64}")


def look_at_keys(settings: Settings, now: datetime | None = None) -> list[CheckRow]:
    at = now or datetime.now(UTC)
    rows = [row for name, path in _configured(settings) for row in _one(name, path, at)]
    try:
        rows += _kept(settings.data_dir)
    except OSError as error:
        rows.append(fail("keys", "files", f"{settings.data_dir} can't be looked into: {error.strerror}", _AS_OWNER))
    closed = [row for row in rows if row.health == "ok"]
    return [row for row in rows if row.health != "ok"] + ([_summary(closed)] if closed else [])


def _kept(folder: Path) -> list[CheckRow]:
    """The secrets that the data directory holds."""
    rows = [row for name in _KEPT if (folder / name).exists() for row in _secret(name, folder / name)]
    return rows + [row for path in sorted(folder.glob("runner-*/identity.json")) for row in _secret("runner's key", path)]


_AS_OWNER = "sudo -u OWNER opsthread doctor   # as the user that serve runs as"


def _summary(rows: list[CheckRow]) -> CheckRow:
    """Good ones in one line: nobody reads twelve of them."""
    return ok("keys", "files", "; ".join(f"{row.name}{': ' + row.found if row.found else ''}" for row in rows))


def _configured(settings: Settings) -> Iterator[tuple[str, Path]]:
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if name.endswith("_file") and isinstance(value, Path):
            yield name, value


def _one(name: str, path: Path, now: datetime) -> list[CheckRow]:
    setting = f"OPSTHREAD_{name.upper()}"
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        mend = f"ls -l {path}   # {setting} must name a file that {os.environ.get('USER') or 'we'} can read"
        return [fail("keys", name, f"{path} can't be read: {why}", mend)]
    if not text.strip():
        return [fail("keys", name, f"{path} is empty", f"Write the value into it; {setting} names it.")]
    if name in _SEEDS and not _SEED.fullmatch(text.strip()):
        mend = f"openssl rand -hex 32 > {path} && chmod 600 {path}   # a new one: runners must be told its public key"
        return [fail("keys", name, f"{path} is no Ed25519 seed: 32 bytes in hex", mend)]
    if name in _NO_SECRETS:
        return [_certificate(name, path, text, now)]
    return _secret(name, path)


def _secret(name: str, path: Path) -> list[CheckRow]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077 and not str(path).startswith("/run/secrets/"):
        found = f"{path} can be read by others on this machine (mode {mode:o})"
        return [warn("keys", name, found, f"chmod 600 {path}")]
    return [ok("keys", name)]


def _certificate(name: str, path: Path, text: str, now: datetime) -> CheckRow:
    try:
        end = expires_at(text)
    except NotACertificate as error:
        return fail("keys", name, f"{path}: {error}", f"openssl x509 -in {path} -noout -text   # it must be PEM")
    left, day = end - now, f"{end:%Y-%m-%d}"
    mend = f"openssl x509 -in {path} -noout -subject -enddate   # have it issued again, then restart"
    if left <= timedelta():
        return fail("keys", name, f"{path} expired on {day}", mend)
    return warn("keys", name, f"{path} expires on {day}", mend) if left < SOON else ok("keys", name, f"until {day}")
