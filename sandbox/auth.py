"""Who asks: bearer tokens of the three people of the practice cluster, and of ServiceAccounts."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.errors import ApiError

AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class Identity:
    """A user name and its groups; what they may is in RBAC objects."""

    name: str
    groups: tuple[str, ...]


IDENTITIES = (
    Identity("admin", ("system:masters", AUTHENTICATED)),
    Identity("viewer", (AUTHENTICATED,)),
    Identity("runner", (AUTHENTICATED,)),
)
ANONYMOUS = Identity("system:anonymous", ("system:unauthenticated",))


def service_account(namespace: str, name: str) -> Identity:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
    return Identity(f"system:serviceaccount:{namespace}:{name}", groups)


class Tokens:
    """One random token an identity, new at each start unless it was kept; ServiceAccounts get theirs when they ask."""

    def __init__(self, kept: Mapping[str, str] | None = None) -> None:
        self.by_name = {i.name: (kept or {}).get(i.name) or secrets.token_urlsafe(24) for i in IDENTITIES}
        self._identities = {self.by_name[identity.name]: identity for identity in IDENTITIES}
        self._issued: dict[str, tuple[Identity, float]] = {}

    def issue(self, identity: Identity, expires: float) -> str:
        """A new token of an identity, good until `expires` (seconds since the epoch)."""
        token = secrets.token_urlsafe(32)
        self._issued[token] = (identity, expires)
        return token

    def identify(self, authorization: str, now: float) -> Identity:
        """The identity behind an Authorization header. Raises ApiError 401."""
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        identity = self._identities.get(token) if scheme.lower() == "bearer" else None
        if identity is None and scheme.lower() == "bearer":
            issued, expires = self._issued.get(token, (None, 0.0))
            identity = issued if now < expires else None
        if identity is None:
            raise ApiError(401, "Unauthorized")
        return identity
