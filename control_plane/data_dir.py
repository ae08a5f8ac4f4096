"""The data directory: one process at a time holds it, nobody else on the machine may read it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from nacl.signing import SigningKey

from control_plane.errors import Conflict, Invalid
from protocol.canonical import sha256_hex

_SEED_BYTES = 32


@contextmanager
def held(data_dir: Path) -> Generator[Path]:
    """Make it (0700) if it is not there and hold it until the end. Raises Conflict when another process does, naming it,
    Invalid when it can't be made or written to."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        data_dir.chmod(0o700)
        descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Invalid(
            f"the data directory {data_dir} can't be used: {error.strerror}; give one of your own by OPSTHREAD_DATA_DIR"
        ) from error
    try:
        _lock(descriptor, data_dir)
        yield data_dir
    finally:
        # The file stays: removing it would let two processes hold two files of the same name.
        os.close(descriptor)


def _lock(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise Conflict(
            f"the data directory {data_dir} is already in use by process {holder}; "
            "stop that one first, or give this one a directory of its own by OPSTHREAD_DATA_DIR"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def grant_key(file: Path | None, data_dir: Path) -> SigningKey:
    """The key that signs grants: from `file`, or made once in the data directory. Raises Invalid."""
    return _signing_key(file, data_dir / "grant.key", "grant key")


def audit_key(file: Path | None, data_dir: Path) -> SigningKey:
    """The key that signs heads of the audit: from `file`, or made once in the data directory. Raises Invalid."""
    return _signing_key(file, data_dir / "audit.key", "audit key")


def _signing_key(file: Path | None, own: Path, what: str) -> SigningKey:
    path = file or own
    if file is None and not path.exists():
        _write_new(path, SigningKey.generate().encode().hex())
    try:
        seed = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise Invalid(f"the {what} {path} can't be read: {error}") from error
    if len(seed) != _SEED_BYTES:
        raise Invalid(f"the {what} {path} holds {len(seed)} bytes; it must be an Ed25519 seed: {_SEED_BYTES} bytes in hex")
    return SigningKey(seed)


def kid_of(key: SigningKey) -> str:
    """How grants name the key: the head of its public key's SHA-256."""
    return sha256_hex(key.verify_key.encode())[:16]


def _write_new(path: Path, text: str) -> None:
    """All of it or nothing, for the owner only."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)
