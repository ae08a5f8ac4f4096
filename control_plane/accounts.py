"""Accounts, roles and sessions: sign-in by one-time link and by user and password (Argon2)."""

import re
import unicodedata
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from control_plane import audit, sign_ins
from control_plane.addresses import normal_address
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.database import Session as Db
from control_plane.errors import Conflict, Invalid, NotFound, NotSignedIn
from control_plane.passwords import Passwords
from control_plane.principals import Principal, ScopedRole
from control_plane.roles import GIVEN, SourcedRole, add_roles, an_admin_stays, forget_roles, principal_in, roles_of
from control_plane.sign_ins import NOBODY, Session
from control_plane.slack.people import forget_matched
from control_plane.tables.accounts import AccountRow, SessionRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.wakeups import RIGHTS, LocalWakeups, Wakeups, messages_or_silence
from protocol.base import Value
from protocol.ids import is_id, new_id
from protocol.text import clean, one_line

__all__ = ["Account", "Accounts", "Session"]

_NAME = re.compile(r"^[^\s/\\\"'<>]{1,200}$")
_WRONG = "the name or the password is wrong"


class Account(Value):
    id: str
    name: str
    """Sign-in name, unique in the tenant."""
    display_name: str
    disabled: bool = False
    email: str | None = None
    """By it a person of Slack is recognised as this account. Nobody else has the same."""
    has_password: bool = False
    roles: tuple[ScopedRole, ...] = ()
    """What admins gave."""
    other_roles: tuple[SourcedRole, ...] = ()
    """What follows from elsewhere, such as a user group of Slack."""
    person: bool = True
    """False: nobody signs in as it. It reads for people without an account in a channel, or speaks for alerts."""
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
        self,
        name: str,
        display_name: str,
        roles: tuple[ScopedRole, ...],
        *,
        password: str | None = None,
        email: str | None = None,
        by: str,
    ) -> Account:
        """Raises Invalid (name, password, email), Conflict when the name or the address is taken. Names do not tell upper from
        lower case."""
        name = _sign_in_name(name)
        address = _address(email) if email else None
        password_hash = await self._passwords.hash(password) if password is not None else None
        now = self._clock()
        row = AccountRow(
            id=new_id(),
            name=name,
            display_name=one_line(display_name, 200) or name,
            disabled=False,
            email=address,
            password_hash=password_hash,
            created_at=now,
        )
        try:
            async with self._db.transaction() as db:
                await _require_free(db, address)
                db.add(row)
                await db.flush()
                add_roles(db, row.id, roles)
                more = {"email": address} if address else {}
                self._audit(db, "account.created", row.id, by=by, name=name, roles=_words(roles), **more)
        except IntegrityError:
            raise Conflict(f"there is an account named {name!r} already; choose another name") from None
        return _account(row, [_given(role) for role in roles])

    async def get(self, account: str) -> Account:
        """Raises NotFound."""
        async with self._db.read() as db:
            row = await _row(db, account)
            return _account(row, (await roles_of(db, [account]))[account])

    async def list(self) -> tuple[Account, ...]:
        async with self._db.read() as db:
            rows = (await db.scalars(select(AccountRow).order_by(AccountRow.name))).all()
            roles = await roles_of(db, [row.id for row in rows])
            return tuple(_account(row, roles[row.id]) for row in rows)

    async def set_roles(self, account: str, roles: tuple[ScopedRole, ...], *, by: str) -> Account:
        """Those that admins give, from the next request on; what follows from elsewhere stays. Raises Conflict when nobody
        would be left to administer, Forbidden for an account that is no person's."""
        async with self._db.transaction() as db:
            row = await _row(db, account)
            await sign_ins.require_person(db, account)
            async with an_admin_stays(db):
                await forget_roles(db, account)
                add_roles(db, account, roles)
            await db.flush()
            _wake(db, account)
            self._audit(db, "account.roles_set", account, by=by, roles=_words(roles))
            return _account(row, (await roles_of(db, [account]))[account])

    async def set_email(self, account: str, email: str | None, *, by: str) -> Account:
        """By which a person of Slack is recognised; None for nobody. Raises Invalid, Conflict when another account has it,
        Forbidden for an account that is no person's."""
        address = _address(email) if email else None
        try:
            async with self._db.transaction() as db:
                row = await _row(db, account)
                await sign_ins.require_person(db, account)
                if address != row.email:
                    await _require_free(db, address)
                    before, row.email = row.email, address
                    await forget_matched(db, account)
                    await db.flush()
                    self._audit(db, "account.email_set", account, by=by, email=address or "none", before=before or "none")
                return _account(row, (await roles_of(db, [account]))[account])
        except IntegrityError:
            raise _taken(address or "") from None

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
            async with an_admin_stays(db):
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
            return await principal_in(db, account, now=self._clock(), fresh=fresh)

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
            await principal_in(db, account, now=now)
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
            await principal_in(db, account, now=self._clock())
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
            principal = await principal_in(db, row.account, now=now, fresh=sign_ins.is_fresh(row, now=now))
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
            await principal_in(db, account.id, now=self._clock())
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


async def _row(db: Db, account: str) -> AccountRow:
    row = await db.get(AccountRow, account) if is_id(account) else None
    if row is None:
        raise NotFound(f"there is no account {one_line(account, 40)!r}")
    return row


def _given(role: ScopedRole) -> SourcedRole:
    return SourcedRole(role=role.role, clusters=role.clusters, namespaces=role.namespaces)


def _account(row: AccountRow, roles: Iterable[SourcedRole]) -> Account:
    held = tuple(roles)
    return Account(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        disabled=row.disabled,
        email=row.email,
        has_password=row.password_hash is not None,
        roles=tuple(role.plain() for role in held if role.source == GIVEN),
        other_roles=tuple(role for role in held if role.source != GIVEN),
        person=not row.name.startswith(NOBODY) and not any(role.source.startswith(sign_ins.OF_NOBODY) for role in held),
        created_at=row.created_at,
    )


def _address(email: str) -> str:
    """Raises Invalid."""
    address = normal_address(email)
    if address is None:
        raise Invalid(f"{one_line(email, 80)!r} is no e-mail address in ASCII; write a domain with other letters as xn--…")
    return address


async def _require_free(db: Db, address: str | None) -> None:
    if address is not None and await db.scalar(select(AccountRow.id).where(AccountRow.email == address)) is not None:
        raise _taken(address)


def _taken(address: str) -> Conflict:
    return Conflict(f"another account has the e-mail address {address} already; take it away there first")


def _sign_in_name(name: str) -> str:
    plain = _normal(name)
    taken = next((name for name in NOBODY if plain.startswith(name)), None)
    if taken is not None:
        raise Invalid(f"a sign-in name can't begin with {taken!r}: accounts that nobody signs in as are named so")
    if _NAME.fullmatch(plain) is None or one_line(name.strip()) != name.strip():
        raise Invalid(f"{one_line(name, 80)!r} can't be a sign-in name: 1 to 200 characters without spaces, slashes or quotes")
    return plain


def _normal(name: str) -> str:
    return clean(unicodedata.normalize("NFKC", name)).strip().casefold()


def _words(roles: tuple[ScopedRole, ...]) -> str:
    return "; ".join(f"{r.role} over {','.join(r.clusters)} / {','.join(r.namespaces)}" for r in roles) or "none"
