"""Sessions and one-time links in the tables, and the limit on failed sign-ins. Tokens are stored as SHA-256 only."""

import secrets
from datetime import datetime, timedelta
from typing import Literal, cast

from sqlalchemy import delete, func, or_, select, update

from control_plane.clock import CLOCKS_APART
from control_plane.database import Session as Db
from control_plane.errors import Forbidden, NotSignedIn, TooMany
from control_plane.tables.accounts import AccountRow, LinkRow, RoleRow, SessionRow, SignInFailureRow
from control_plane.typed import typed
from protocol.base import Value
from protocol.canonical import sha256_hex
from protocol.ids import new_id
from protocol.text import one_line

SESSION = timedelta(hours=12)
"""A browser's session ends after this long without a request."""
SESSION_AT_MOST = timedelta(days=7)
FRESH = timedelta(minutes=5)

FAILURES_IN = timedelta(minutes=15)
FAILURES_BY_NAME_AND_ADDRESS = 5
FAILURES_BY_NAME = 20
FAILURES_BY_ADDRESS = 50

_RENEW_AFTER = timedelta(minutes=5)


Kind = Literal["browser", "token", "local"]
"""A signed-in browser; a bearer token that somebody carries around; that of the command line beside the server's own data."""


class Session(Value):
    """A signed-in browser or token. `token` is shown once, at creation; the table keeps its SHA-256."""

    id: str
    token: str
    csrf: str
    """Double-submit token bound to the session."""
    account: str
    kind: Kind = "browser"
    expires_at: datetime


def new_token() -> str:
    """256 random bits, safe in a URL."""
    return secrets.token_urlsafe(32)


ALERTS_ACCOUNT = "opsthread.alerts"
"""The account that asks for alerts."""
NOBODY = ("slack-channel.", ALERTS_ACCOUNT)
"""How the name of an account begins that stands for no person; nobody else's does."""
OF_NOBODY = ("alerts", "slack-channel:")
"""How the sources of roles begin that no person holds."""


async def require_person(db: Db, account: str) -> None:
    """Raises Forbidden for an account that stands for no person (strangers of a channel, alerts): nobody signs in as it."""
    if not await is_person(db, account):
        raise Forbidden("nobody signs in as this account: it reads for people without one, or speaks for alerts")


async def is_person(db: Db, account: str) -> bool:
    names = or_(*(AccountRow.name.startswith(name, autoescape=True) for name in NOBODY))
    named = select(AccountRow.id).where(AccountRow.id == account, names)
    sources = or_(*(RoleRow.source.startswith(source, autoescape=True) for source in OF_NOBODY))
    held = select(RoleRow.id).where(RoleRow.account == account, sources).limit(1)
    return await db.scalar(named) is None and await db.scalar(held) is None


async def make_link(db: Db, account: str, *, by: str, now: datetime, valid: timedelta) -> str:
    token = new_token()
    db.add(
        LinkRow(
            id=new_id(),
            account=account,
            token_sha256=_sha256(token),
            created_by=by,
            created_at=now,
            expires_at=now + valid,
        )
    )
    return token


async def use_up_link(db: Db, token: str, *, now: datetime) -> str:
    """The link's account. Exactly one of two racing calls gets it; the other raises NotSignedIn."""
    account = await db.scalar(
        update(LinkRow)
        .where(LinkRow.token_sha256 == _sha256(token), LinkRow.used_at.is_(None), LinkRow.expires_at > now)
        .values(used_at=now)
        .returning(LinkRow.account)
    )
    if account is None:
        raise NotSignedIn("this sign-in link is unknown, was used already or has expired; ask an admin for a new one")
    return account


def open_session(db: Db, account: str, *, now: datetime, user_agent: str) -> Session:
    """A browser's session: signed in right now."""
    return _add(db, account, kind="browser", now=now, expires_at=now + SESSION, user_agent=user_agent)


def open_token(db: Db, account: str, *, now: datetime, valid: timedelta, label: str, local: bool = False) -> Session:
    """A bearer token: it ends at its time, and is never a fresh sign-in."""
    return _add(db, account, kind="local" if local else "token", now=now, expires_at=now + valid, label=label)


async def find_session(db: Db, token: str, *, now: datetime) -> SessionRow:
    """Raises NotSignedIn."""
    row = await db.scalar(select(SessionRow).where(SessionRow.token_sha256 == _sha256(token), SessionRow.expires_at > now))
    if row is None:
        raise NotSignedIn("you are not signed in, or your session has ended; sign in again")
    return row


def renewed_until(row: SessionRow, *, now: datetime) -> datetime | None:
    """The new end of a browser's session, when it is time to write it down (not at every request)."""
    if row.kind != "browser":
        return None
    until = min(now + SESSION, row.created_at + SESSION_AT_MOST)
    return until if until - row.expires_at > _RENEW_AFTER else None


def is_fresh(row: SessionRow, *, now: datetime) -> bool:
    return row.authenticated_at is not None and -CLOCKS_APART <= now - row.authenticated_at <= FRESH


def as_session(row: SessionRow, token: str) -> Session:
    return Session(
        id=row.id,
        token=token,
        csrf=csrf_of(token),
        account=row.account,
        kind=cast(Kind, row.kind),
        expires_at=row.expires_at,
    )


def csrf_of(token: str) -> str:
    """Follows from the token, so it needs no column; the token does not follow from it."""
    return _sha256(f"csrf:{token}")


async def end_sessions(db: Db, account: str, *, but: str | None = None) -> None:
    await db.execute(delete(SessionRow).where(SessionRow.account == account, SessionRow.id != (but or "")))


async def end_tokens(db: Db, account: str, label: str) -> None:
    same = SessionRow.account == account, SessionRow.kind != "browser", SessionRow.label == typed(label, 200)
    await db.execute(delete(SessionRow).where(*same))


async def note_attempt(db: Db, name: str, address: str, *, now: datetime) -> str:
    """Count this attempt as failed until it has succeeded, so that many at once can't slip through. Returns its id.

    Raises TooMany. By name and address together the limit is low; by name alone it is higher, so that a stranger can't
    easily lock somebody out."""
    name, address = one_line(name, 200).casefold(), one_line(address, 64)
    since, until = now - FAILURES_IN, now + FAILURES_IN
    by_name, by_address = SignInFailureRow.name == name, SignInFailureRow.address == address
    limits = [(by_name & by_address, FAILURES_BY_NAME_AND_ADDRESS), (by_name, FAILURES_BY_NAME)]
    if address:
        limits.append((by_address, FAILURES_BY_ADDRESS))
    for condition, limit in limits:
        lately = select(func.count()).where(condition, SignInFailureRow.at > since, SignInFailureRow.at < until)
        count = await db.scalar(lately) or 0
        if count >= limit:
            minutes = int(FAILURES_IN.total_seconds() // 60)
            raise TooMany(f"too many failed sign-ins; wait {minutes} minutes, or ask an admin for a one-time link")
    await db.execute(delete(SignInFailureRow).where(or_(SignInFailureRow.at <= since, SignInFailureRow.at >= until)))
    row = SignInFailureRow(id=new_id(), name=name, address=address, at=now)
    db.add(row)
    return row.id


async def forget_attempts(db: Db, attempt: str) -> None:
    """After a success: this attempt, and the failures of the same name from the same address."""
    row = await db.get(SignInFailureRow, attempt)
    if row is not None:
        await db.execute(
            delete(SignInFailureRow).where(SignInFailureRow.name == row.name, SignInFailureRow.address == row.address)
        )


def _sha256(token: str) -> str:
    """Whatever somebody sends as a token has one."""
    return sha256_hex(token.encode("utf-8", "surrogatepass"))


def _add(
    db: Db, account: str, *, kind: Kind, now: datetime, expires_at: datetime, label: str = "", user_agent: str = ""
) -> Session:
    token = new_token()
    row = SessionRow(
        id=new_id(),
        account=account,
        token_sha256=_sha256(token),
        kind=kind,
        label=typed(label, 200),
        user_agent=one_line(user_agent, 300),
        created_at=now,
        authenticated_at=now if kind == "browser" else None,
        expires_at=expires_at,
    )
    db.add(row)
    return as_session(row, token)
