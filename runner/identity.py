"""Who this runner is: its own key (an nkey that never leaves the machine) and the ids that enrolment gave it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import nkeys

from protocol.bus import ConnectProof
from protocol.ids import new_id
from protocol.proof import encode_proof


@dataclass(frozen=True, slots=True)
class Identity:
    """`cluster` and `runner` are "" until the runner is enrolled."""

    seed: bytes
    public_key: str
    cluster: str = ""
    runner: str = ""

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

    def enrolled_as(self, cluster: str, runner: str) -> "Identity":
        return replace(self, cluster=cluster, runner=runner)


def load_identity(path: Path, random_bytes: Callable[[int], bytes] = os.urandom) -> Identity:
    """The identity kept in `path`; a new key is made and kept when there is none.

    Raises PermissionError when others may read the file: the key would be no secret.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o077
            raw = json.load(file)
    except FileNotFoundError:
        identity = _new_identity(random_bytes)
        save_identity(path, identity)
        return identity
    if mode:
        raise PermissionError(f"{path} holds the runner's key and others may read it: chmod 600 {path}")
    seed = str(raw["seed"]).encode()
    return Identity(seed=seed, public_key=_public(seed), cluster=str(raw.get("cluster", "")), runner=str(raw.get("runner", "")))


def save_identity(path: Path, identity: Identity) -> None:
    """Atomic, mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump({"v": 1, "seed": identity.seed.decode(), "cluster": identity.cluster, "runner": identity.runner}, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _new_identity(random_bytes: Callable[[int], bytes]) -> Identity:
    seed = cast(bytes, cast(Any, nkeys).encode_seed(random_bytes(32), nkeys.PREFIX_BYTE_USER))
    return Identity(seed=seed, public_key=_public(seed))


def _public(seed: bytes) -> str:
    return cast(bytes, _pair(seed).public_key).decode()


def _pair(seed: bytes) -> Any:
    return cast(Any, nkeys).from_seed(bytearray(seed))
