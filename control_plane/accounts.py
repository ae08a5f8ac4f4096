"""Accounts, roles and sessions: sign-in by one-time link and by user and password (Argon2)."""

import json
import re
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from control_plane import audit, sign_ins
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.database import Session as Db
from control_plane.errors import Conflict, Invalid, NotFound, NotSignedIn
from control_plane.passwords import Passwords
from control_plane.principals import Principal, ScopedRole
from control_plane.sign_ins import Session
from control_plane.tables.accounts import AccountRow, RoleRow, SessionRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.fleet import ClusterRow
from control_plane.wakeups import RIGHTS, LocalWakeups, Wakeups, messages_or_silence
from protocol.approval import Role
from protocol.base import Value
from protocol.ids import is_id, new_id
from protocol.text import clean, one_line

__all__ = ["Account", "Accounts", "Session", "principal_in", "principals_in"]

_NAME = re.compile(r"^[^\s/\\\"'<>]{1,200}$")
_WRONG = "the name or the password is wrong"


class Account(Value):
    id: str
    name: str
    """Sign-in name, unique in the tenant."""
    display_name: str
    disabled: bool = False
    has_password: bool = False
    roles: tuple[ScopedRole, ...] = ()
    created_at: datetime


class Accounts:
    """See each method. Every change writes an audit row in its own transaction, and wakes who shows something to it."""

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock = utc_now,
        passwords: Passwords | None = None,
        wakeups: Wakeups | None = None,
    ) -> None:
        self._db = database
        self._wakeups = wakeups or LocalWakeups()
        self._clock = clock
        self._passwords = passwords or Passwords()

    async def create(
        self, name: str, display_name: str, roles: tuple[ScopedRole, ...], *, password: str | None = None, by: str
    ) -> Account:
        """Raises Invalid (name, password), Conflict when the name is taken. Names do not tell upper from lower case."""
        name = _sign_in_name(name)
        password_hash = await self._passwords.hash(password) if password is not None else None
        now = self._clock()
        row = AccountRow(
            id=new_id(),
            name=name,
            display_name=one_line(display_name, 200) or name,
            disabled=False,
            password_hash=password_hash,
            created_at=now,
        )
        try:
            async with self._db.transaction() as db:
                db.add(row)
                await db.flush()
                _add_roles(db, row.id, roles)
                self._audit(db, "account.created", row.id, by=by, name=name, roles=_words(roles))
        except IntegrityError:
            raise Conflict(f"there is an account named {name!r} already; choose another name") from None
        return _account(row, roles)

    async def get(self, account: str) -> Account:
        """Raises NotFound."""
        async with self._db.read() as db:
            row = await _row(db, account)
            return _account(row, (await _roles(db, [account]))[account])

    async def list(self) -> tuple[Account, ...]:
        async with self._db.read() as db:
            rows = (await db.scalars(select(AccountRow).order_by(AccountRow.name))).all()
            roles = await _roles(db, [row.id for row in rows])
            return tuple(_account(row, roles[row.id]) for row in rows)

    async def set_roles(self, account: str, roles: tuple[ScopedRole, ...], *, by: str) -> Account:
        """From the next request on. Raises Conflict when nobody would be left to administer."""
        async with self._db.transaction() as db:
            row = await _row(db, account)
            async with _an_admin_stays(db):
                await db.execute(delete(RoleRow).where(RoleRow.account == account))
                _add_roles(db, account, roles)
            _wake(db, account)
            self._audit(db, "account.roles_set", account, by=by, roles=_words(roles))
        return _account(row, roles)

    async def set_password(self, account: str, password: str, *, by: str, keep_session: str | None = None) -> None:
        """Ends the account's sessions and tokens, but `keep_session`."""
        password_hash = await self._passwords.hash(password)
        async with self._db.transaction() as db:
            row = await _row(db, account)
            await sign_ins.require_person(db, account)
            row.password_hash = password_hash
            await sign_ins.end_sessions(db, account, but=keep_session)
            _wake(db, account)
            self._audit(db, "account.password_set", account, by=by)

    async def disable(self, account: str, *, by: str) -> None:
        """Ends the account's sessions too. Raises Conflict when nobody would be left to administer."""
        async with self._db.transaction() as db:
            row = await _row(db, account)
            async with _an_admin_stays(db):
                row.disabled = True
            await sign_ins.end_sessions(db, account)
            _wake(db, account)
            self._audit(db, "account.disabled", account, by=by)

    async def enable(self, account: str, *, by: str) -> None:
        async with self._db.transaction() as db:
            (await _row(db, account)).disabled = False
            self._audit(db, "account.enabled", account, by=by)

    async def principal(self, account: str, *, session: str | None = None) -> Principal:
        """As it stands now. Raises NotSignedIn when disabled or unknown."""
        async with self._db.read() as db:
            row = await db.get(SessionRow, session) if session is not None else None
            fresh = row is not None and row.account == account and sign_ins.is_fresh(row, now=self._clock())
            return await principal_in(db, account, fresh=fresh)

    async def make_link(self, account: str, *, by: str, valid: timedelta = timedelta(hours=1)) -> str:
        """A one-time sign-in token for /sign-in/link/<token>. Opening shows a button; the POST uses it up."""
        async with self._db.transaction() as db:
            await _row(db, account)
            await sign_ins.require_person(db, account)
            token = await sign_ins.make_link(db, account, by=by, now=self._clock(), valid=valid)
            self._audit(db, "account.link_made", account, by=by)
        return token

    async def use_link(self, token: str, *, user_agent: str = "") -> Session:
        """Raises NotSignedIn when unknown, used or expired. Exactly one of two racing calls succeeds."""
        now = self._clock()
        async with self._db.transaction() as db:
            account = await sign_ins.use_up_link(db, token, now=now)
            await principal_in(db, account)
            session = sign_ins.open_session(db, account, now=now, user_agent=user_agent)
            self._audit(db, "account.signed_in", account, by=account, with_="link")
        return session

    async def sign_in(self, name: str, password: str, *, user_agent: str = "", address: str = "") -> Session:
        """Raises NotSignedIn (the same words for unknown name and wrong password), TooMany after repeated failures."""
        name = _normal(name)[:200]
        async with self._db.transaction() as db:
            attempt = await sign_ins.note_attempt(db, name, address, now=self._clock())
        async with self._db.read() as db:
            row = await db.scalar(select(AccountRow).where(AccountRow.tenant_id == DEFAULT_TENANT, AccountRow.name == name))
        stored = row.password_hash if row is not None else None
        right = await self._passwords.matches(stored, password)
        if row is None or stored is None or not right or row.disabled:
            raise NotSignedIn(_WRONG)
        rehashed = await self._passwords.hash(password) if self._passwords.outdated(stored) else None
        return await self._signed_in(row.id, stored, attempt, rehashed=rehashed, user_agent=user_agent)

    async def token_for(
        self, account: str, *, by: str, label: str, valid: timedelta, instead_of_earlier: bool = False, local: bool = False
    ) -> Session:
        """A bearer token for REST and the command line. It ends at its time and never counts as a fresh sign-in.
        `instead_of_earlier` ends the account's other tokens of the same label. `local`: it lies in a file beside the data of
        this server, so who holds it holds the server."""
        async with self._db.transaction() as db:
            await principal_in(db, account)
            await sign_ins.require_person(db, account)
            if instead_of_earlier:
                await sign_ins.end_tokens(db, account, label)
            session = sign_ins.open_token(db, account, now=self._clock(), valid=valid, label=label, local=local)
            self._audit(db, "account.token_made", account, by=by, label=label, until=session.expires_at.isoformat())
        return session

    async def authenticate(self, token: str) -> tuple[Principal, Session]:
        """By cookie or bearer. Raises NotSignedIn."""
        now = self._clock()
        async with self._db.read() as db:
            row = await sign_ins.find_session(db, token, now=now)
            principal = await principal_in(db, row.account, fresh=sign_ins.is_fresh(row, now=now))
        until = sign_ins.renewed_until(row, now=now)
        if until is not None:
            row = await self._renew(row, until)
        return principal, sign_ins.as_session(row, token)

    async def confirm(self, session: str, password: str, *, address: str = "") -> None:
        """A fresh sign-in without leaving: the same person says the password again, on the same browser's session. A bearer
        token can't do it. Raises NotSignedIn (wrong password, no password, no such session), TooMany."""
        async with self._db.read() as db:
            row = await db.get(SessionRow, session) if is_id(session) else None
            account = await db.get(AccountRow, row.account) if row is not None and row.kind == "browser" else None
        stored = account.password_hash if account is not None else None
        if account is None or stored is None:
            raise NotSignedIn("this account has no password here; open a new sign-in link instead", code="no_password")
        async with self._db.transaction() as db:
            attempt = await sign_ins.note_attempt(db, account.name, address, now=self._clock())
        if not await self._passwords.matches(stored, password):
            raise NotSignedIn(_WRONG)
        async with self._db.transaction() as db:
            await principal_in(db, account.id)
            if (await _row(db, account.id)).password_hash != stored:
                raise NotSignedIn(_WRONG)
            current = await db.get(SessionRow, session, with_for_update=True)
            if current is None:
                raise NotSignedIn("you have signed out; sign in again")
            current.authenticated_at = self._clock()
            await sign_ins.forget_attempts(db, attempt)
            self._audit(db, "account.confirmed", account.id, by=account.id, with_="password")

    async def sign_out(self, session: str) -> None:
        async with self._db.transaction() as db:
            row = await db.get(SessionRow, session) if is_id(session) else None
            if row is not None:
                await db.delete(row)
                _wake(db, row.account)
                self._audit(db, "account.signed_out", row.account, by=row.account)

    async def watch_rights(self) -> AsyncGenerator[str]:
        """The ids of accounts whose rights or sessions have changed, on whichever replica, as it happens. One that is lost
        is found by who looks from time to time."""
        async with aclosing(messages_or_silence(self._wakeups, RIGHTS)) as messages:
            async for message in messages:
                if message:
                    yield message.decode("ascii", "replace")

    async def _signed_in(self, account: str, stored: str, attempt: str, *, rehashed: str | None, user_agent: str) -> Session:
        """The password was right a moment ago: it must be the account's still, and the account enabled."""
        now = self._clock()
        async with self._db.transaction() as db:
            row = await db.get(AccountRow, account)
            if row is None or row.disabled or row.password_hash != stored:
                raise NotSignedIn(_WRONG)
            if rehashed is not None:
                row.password_hash = rehashed
            await sign_ins.forget_attempts(db, attempt)
            session = sign_ins.open_session(db, account, now=now, user_agent=user_agent)
            self._audit(db, "account.signed_in", account, by=account, with_="password")
        return session

    async def _renew(self, row: SessionRow, until: datetime) -> SessionRow:
        async with self._db.transaction() as db:
            stored = await db.get(SessionRow, row.id)
            if stored is None:
                raise NotSignedIn("you have signed out; sign in again")
            stored.expires_at = until
        return stored

    def _audit(self, db: Db, action: str, account: str, *, by: str, **detail: str) -> None:
        words = {key.rstrip("_"): text for key, text in detail.items()}
        audit.record(db, audit.Entry(actor=by, action=action, subject=f"account:{account}", at=self._clock(), detail=words))


def _wake(db: Db, account: str) -> None:
    db.wake(RIGHTS, account.encode())


async def principal_in(db: Db, account: str, *, fresh: bool = False) -> Principal:
    """The account as this transaction sees it. Raises NotSignedIn when disabled or unknown."""
    row = await db.get(AccountRow, account) if is_id(account) else None
    if row is None or row.disabled:
        raise NotSignedIn("this account is disabled or unknown; ask an admin")
    roles = await _by_cluster_id(db, (await _roles(db, [account]))[account])
    return Principal(
        account=row.id,
        name=row.display_name,
        tenant=row.tenant_id,
        roles=roles,
        admin=any(_administers(role) for role in roles),
        fresh_sign_in=fresh,
    )


async def principals_in(db: Db) -> tuple[Principal, ...]:
    """Everybody who is enabled and has a role, by name, as this transaction sees them."""
    rows = (await db.scalars(select(AccountRow).where(AccountRow.disabled.is_(False)).order_by(AccountRow.display_name))).all()
    roles = await _roles(db, [row.id for row in rows])
    flat = tuple(role for row in rows for role in roles[row.id])
    known = iter(await _by_cluster_id(db, flat))
    return tuple(
        Principal(account=row.id, name=row.display_name, tenant=row.tenant_id, roles=tuple(next(known) for _ in roles[row.id]))
        for row in rows
        if roles[row.id]
    )


async def _by_cluster_id(db: Db, roles: tuple[ScopedRole, ...]) -> tuple[ScopedRole, ...]:
    """People write roles with cluster names; everything that checks them knows ids. A name stays beside its id."""
    named = {cluster for role in roles for cluster in role.clusters if cluster != "*"}
    if not named:
        return roles
    query = select(ClusterRow.name, ClusterRow.id).where(ClusterRow.name.in_(named), ClusterRow.tenant_id == DEFAULT_TENANT)
    ids = {row.name: row.id for row in await db.execute(query)}
    return tuple(
        role.model_copy(update={"clusters": (*role.clusters, *(ids[name] for name in role.clusters if name in ids))})
        for role in roles
    )


def _administers(role: ScopedRole) -> bool:
    return role.role is Role.ADMIN and "*" in role.clusters and "*" in role.namespaces


async def _row(db: Db, account: str) -> AccountRow:
    row = await db.get(AccountRow, account) if is_id(account) else None
    if row is None:
        raise NotFound(f"there is no account {one_line(account, 40)!r}")
    return row


async def _roles(db: Db, accounts: list[str]) -> dict[str, tuple[ScopedRole, ...]]:
    rows = (
        await db.scalars(select(RoleRow).where(RoleRow.account.in_(accounts)).order_by(RoleRow.role, RoleRow.id))
        if accounts
        else ()
    )
    found: dict[str, list[ScopedRole]] = {account: [] for account in accounts}
    for row in rows:
        scoped = ScopedRole(role=Role(row.role), clusters=json.loads(row.clusters), namespaces=json.loads(row.namespaces))
        found[row.account].append(scoped)
    return {account: tuple(roles) for account, roles in found.items()}


def _add_roles(db: Db, account: str, roles: tuple[ScopedRole, ...]) -> None:
    for role in roles:
        db.add(
            RoleRow(
                id=new_id(),
                account=account,
                role=role.role.value,
                clusters=json.dumps(role.clusters),
                namespaces=json.dumps(role.namespaces),
            )
        )


@asynccontextmanager
async def _an_admin_stays(db: Db) -> AsyncGenerator[None]:
    """Raises Conflict when the block takes away the last account that may administer everything."""
    had_one = await _has_admin(db)
    yield
    await db.flush()
    if had_one and not await _has_admin(db):
        raise Conflict("this is the last account that may administer everything; make another one admin first")


async def _has_admin(db: Db) -> bool:
    # Locked, or two admins who take the role from each other would both still see the other one.
    rows = select(AccountRow.id).where(AccountRow.disabled.is_(False)).order_by(AccountRow.id).with_for_update()
    enabled = (await db.scalars(rows)).all()
    roles = await _roles(db, list(enabled))
    return any(_administers(role) for scoped in roles.values() for role in scoped)


def _account(row: AccountRow, roles: tuple[ScopedRole, ...]) -> Account:
    return Account(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        disabled=row.disabled,
        has_password=row.password_hash is not None,
        roles=roles,
        created_at=row.created_at,
    )


def _sign_in_name(name: str) -> str:
    plain = _normal(name)
    if _NAME.fullmatch(plain) is None or one_line(name.strip()) != name.strip():
        raise Invalid(f"{one_line(name, 80)!r} can't be a sign-in name: 1 to 200 characters without spaces, slashes or quotes")
    return plain


def _normal(name: str) -> str:
    return clean(unicodedata.normalize("NFKC", name)).strip().casefold()


def _words(roles: tuple[ScopedRole, ...]) -> str:
    return "; ".join(f"{r.role} over {','.join(r.clusters)} / {','.join(r.namespaces)}" for r in roles) or "none"
