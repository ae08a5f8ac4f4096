"""Who this runner is: its own key (an nkey that never leaves its cluster) and the ids that enrolment gave it."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, cast

import nkeys

from protocol.bus import ConnectProof
from protocol.ids import new_id
from protocol.proof import encode_proof

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Identity:
    """`cluster` and `runner` are "" until the runner is enrolled."""

    seed: bytes
    public_key: str
    cluster: str = ""
    runner: str = ""
    token_sha256: str = ""
    """Of the token that it enrolled with: another one in the configuration means that it shall enrol again."""

    @property
    def enrolled(self) -> bool:
        return bool(self.cluster and self.runner)

    def sign(self, data: bytes) -> bytes:
        return cast(bytes, _pair(self.seed).sign(data))

    def auth_token(self, now: datetime, enrol: str | None = None) -> str:
        """A fresh proof for one connect."""
        proof = ConnectProof(
            runner=self.runner,
            cluster=self.cluster,
            public_key=self.public_key,
            issued_at=now,
            nonce=new_id(),
            enrol=enrol,
        )
        return encode_proof(proof, self.sign)

    def enrolled_as(self, cluster: str, runner: str, token: str = "") -> "Identity":
        return replace(self, cluster=cluster, runner=runner, token_sha256=digest_of(token) if token else "")

    def to_json(self) -> bytes:
        """As it is kept. It holds the seed."""
        kept = {"v": 1, "seed": self.seed.decode(), "cluster": self.cluster, "runner": self.runner, "token": self.token_sha256}
        return json.dumps(kept).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "Identity":
        """Raises ValueError and KeyError for what is no kept identity."""
        kept: dict[str, Any] = json.loads(raw)
        seed = str(kept["seed"]).encode()
        ids = {name: str(kept.get(name, "")) for name in ("cluster", "runner")}
        return cls(seed=seed, public_key=_public(seed), token_sha256=str(kept.get("token", "")), **ids)


class IdentityStore(Protocol):
    """Where the identity is kept: a file, or one named Secret."""

    async def load(self) -> Identity:
        """The kept identity; a new key is made and kept when there is none."""
        ...

    async def save(self, identity: Identity) -> None: ...


class IdentityFile:
    """Mode 0600, written whole or not at all."""

    def __init__(self, path: Path, random_bytes: RandomBytes = os.urandom) -> None:
        self._path = path
        self._random_bytes = random_bytes

    async def load(self) -> Identity:
        """Raises PermissionError when others may read the file: the key would be no secret."""
        return load_identity(self._path, self._random_bytes)

    async def save(self, identity: Identity) -> None:
        save_identity(self._path, identity)


def load_identity(path: Path, random_bytes: RandomBytes = os.urandom) -> Identity:
    """The identity kept in `path`; a new key is made and kept when there is none.

    Raises PermissionError when others may read the file: the key would be no secret.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o077
            raw = file.read()
    except FileNotFoundError:
        identity = new_identity(random_bytes)
        save_identity(path, identity)
        return identity
    if mode:
        raise PermissionError(f"{path} holds the runner's key and others may read it: chmod 600 {path}")
    return Identity.from_json(raw)


def save_identity(path: Path, identity: Identity) -> None:
    """Atomic, mode 0600, whatever lies where it is written first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(identity.to_json())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def new_identity(random_bytes: RandomBytes = os.urandom) -> Identity:
    seed = cast(bytes, cast(Any, nkeys).encode_seed(random_bytes(32), nkeys.PREFIX_BYTE_USER))
    return Identity(seed=seed, public_key=_public(seed))


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _public(seed: bytes) -> str:
    return cast(bytes, _pair(seed).public_key).decode()


def _pair(seed: bytes) -> Any:
    return cast(Any, nkeys).from_seed(bytearray(seed))
