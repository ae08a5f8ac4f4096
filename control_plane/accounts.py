"""Accounts, roles and sessions: sign-in by one-time link and by user and password (Argon2)."""

from datetime import datetime, timedelta

from control_plane.principals import Principal, ScopedRole
from protocol.base import Value


class Account(Value):
    id: str
    name: str
    """Sign-in name, unique in the tenant."""
    display_name: str
    disabled: bool = False
    has_password: bool = False
    roles: tuple[ScopedRole, ...] = ()
    created_at: datetime


class Session(Value):
    """A signed-in browser or token. `token` is shown once, at creation; the table keeps its SHA-256."""

    id: str
    token: str
    csrf: str
    """Double-submit token bound to the session."""
    account: str
    expires_at: datetime


class Accounts:
    """See each method. Every change writes an audit row in its own transaction."""

    async def create(
        self, name: str, display_name: str, roles: tuple[ScopedRole, ...], *, password: str | None = None, by: str
    ) -> Account: ...

    async def get(self, account: str) -> Account: ...

    async def list(self) -> tuple[Account, ...]: ...

    async def set_roles(self, account: str, roles: tuple[ScopedRole, ...], *, by: str) -> Account: ...

    async def set_password(self, account: str, password: str, *, by: str) -> None: ...

    async def disable(self, account: str, *, by: str) -> None:
        """Ends the account's sessions too."""

    async def principal(self, account: str, *, session: str | None = None) -> Principal:
        """As it stands now. Raises NotSignedIn when disabled or unknown."""
        ...

    async def make_link(self, account: str, *, by: str, valid: timedelta = timedelta(hours=1)) -> str:
        """A one-time sign-in token for /sign-in/link/<token>. Opening shows a button; the POST uses it up."""
        ...

    async def use_link(self, token: str, *, user_agent: str = "") -> Session:
        """Raises NotSignedIn when unknown, used or expired. Exactly one of two racing calls succeeds."""
        ...

    async def sign_in(self, name: str, password: str, *, user_agent: str = "", address: str = "") -> Session:
        """Raises NotSignedIn (the same words for unknown name and wrong password), TooMany after repeated failures."""
        ...

    async def token_for(self, account: str, *, by: str, label: str, valid: timedelta) -> Session:
        """A bearer token for REST and the command line."""
        ...

    async def authenticate(self, token: str) -> tuple[Principal, Session]:
        """By cookie or bearer. Raises NotSignedIn."""
        ...

    async def sign_out(self, session: str) -> None: ...
