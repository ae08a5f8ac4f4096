"""Which account a person of Slack acts as. Who they are in Slack, and whether that holds, is asked of Slack at each click.

There are two ways. By e-mail: an account has the address that Slack has verified of a full member. By a link, which wins over
the address and is made in four steps, so that nobody can be talked into giving their account away by opening an address:

1. Slack → web. The bot gives an offer to one person of Slack, for their eyes alone. It opens nothing by itself.
2. Web. Whoever opens it, freshly signed in, is shown the name of that person and takes the offer for their account. Nothing is
   linked yet; it shows them a code.
3. Web → Slack. The person of Slack says the code to the bot. Five wrong ones end the offer.
4. Only then the person acts as the account; both sides are told, and either can end it.

Who sends their offer to somebody else gets nothing without that person's code. Who steals an offer gets nothing either: the
code that they are shown counts only when the person of Slack says it.
"""

import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal, cast

from nacl.encoding import RawEncoder
from nacl.hash import blake2b
from nacl.signing import SigningKey
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.exc import IntegrityError

from control_plane import sign_ins
from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.slack.groups import forget_roles_from
from control_plane.tables.accounts import AccountRow
from control_plane.tables.slack import SlackLinkRow, SlackPersonRow, SlackWorkspaceRow
from control_plane.wakeups import RIGHTS
from protocol.base import Value
from protocol.canonical import sha256_hex
from protocol.ids import new_id
from protocol.text import one_line

OFFER_HOLDS = timedelta(minutes=10)
MOST_TRIES = 5
_LABEL = b"opsthread slack link code"
_GONE = "this offer is unknown, was taken already or has expired; say `link` to the bot in Slack for a new one"

How = Literal["link", "email"]


class Linked(Value):
    team: str
    team_name: str = ""
    user: str
    account: str
    account_name: str
    how: How
    linked_at: datetime


class Offer(Value):
    team: str
    team_name: str
    user: str
    name: str
    """What people call that person in Slack."""
    expires_at: datetime
    account: str | None
    """Who has taken it."""


class People:
    def __init__(self, database: Database, grant_key: SigningKey, *, by_email: bool = True, clock: Clock = utc_now) -> None:
        """`by_email` False: only links count."""
        self._db = database
        self._key = blake2b(_LABEL, key=grant_key.encode(), encoder=RawEncoder)
        self._by_email = by_email
        self._clock = clock

    async def account_of(self, team: str, user: str, address: str | None) -> str | None:
        """The account that this person acts as, disabled or not. `address` is normalised, and verified by Slack now; None where
        it is not. What it says differently from before is written down."""
        async with self._db.read() as session:
            row = await session.get(SlackPersonRow, (team, user))
            if row is not None and row.how == "link":
                return row.account
            found = await self._with(session, team, user, address)
        if (row.account if row is not None else None) == found:
            return found
        try:
            return await self._note(team, user, address)
        except IntegrityError:  # another replica has written the same at the same time
            return await self._note(team, user, address)

    async def offer(self, team: str, user: str, name: str) -> str:
        """A token for this person of Slack alone, instead of earlier ones."""
        now, token = self._clock(), sign_ins.new_token()
        async with self._db.transaction() as session:
            await _forget_offers(session, SlackLinkRow.team == team, SlackLinkRow.user == user)
            session.add(
                SlackLinkRow(
                    id=new_id(),
                    token_sha256=_sha256(token),
                    team=team,
                    user=user,
                    name=one_line(name, 200),
                    created_at=now,
                    expires_at=now + OFFER_HOLDS,
                    used_at=None,
                    account=None,
                )
            )
        return token

    async def is_taken(self, team: str, user: str) -> bool:
        """Has somebody opened this person's offer, so that the code is waited for?"""
        mine = select(SlackLinkRow.id).where(SlackLinkRow.team == team, SlackLinkRow.user == user)
        taken = mine.where(SlackLinkRow.account.is_not(None), SlackLinkRow.expires_at > self._clock())
        async with self._db.read() as session:
            return await session.scalar(taken.limit(1)) is not None

    async def peek(self, token: str, account: str) -> Offer:
        """Uses nothing up. Raises NotFound, also when another account has taken it."""
        async with self._db.read() as session:
            row = await session.scalar(select(SlackLinkRow).where(SlackLinkRow.token_sha256 == _sha256(token)))
            if row is None or row.expires_at <= self._clock() or row.account not in (None, account):
                raise NotFound(_GONE)
            workspace = await session.get(SlackWorkspaceRow, row.team)
            return Offer(
                team=row.team,
                team_name=workspace.name if workspace is not None else "",
                user=row.user,
                name=row.name,
                expires_at=row.expires_at,
                account=row.account,
            )

    async def take(self, token: str, account: str) -> str:
        """The code that this account is shown. Exactly one of two accounts that race gets the offer; the same account gets the
        same code again. Raises NotFound, Conflict (the account is linked with somebody else there), Forbidden."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.scalar(
                select(SlackLinkRow).where(SlackLinkRow.token_sha256 == _sha256(token)).with_for_update()
            )
            if row is None or row.expires_at <= now or row.account not in (None, account):
                raise NotFound(_GONE)
            await sign_ins.require_person(session, account)
            await _require_single(session, row.team, row.user, account)
            if row.account is None:
                row.account, row.used_at, row.expires_at = account, now, now + OFFER_HOLDS
                detail = {"account": account, "name": row.name}
                _audit(session, "slack.link_taken", row.team, row.user, account, now, "web", detail)
            return self._code(row)

    async def confirm(self, team: str, user: str, code: str) -> Linked:
        """The person of Slack says the code. Raises NotFound (no offer of theirs is taken), Forbidden (wrong code; code
        `wrong_code`), Conflict (the account is linked with somebody else there by now)."""
        now = self._clock()
        async with self._db.transaction() as session:
            offers = select(SlackLinkRow).where(SlackLinkRow.team == team, SlackLinkRow.user == user)
            row = await session.scalar(offers.where(SlackLinkRow.account.is_not(None)).with_for_update())
            if row is None or row.account is None or row.expires_at <= now:
                raise NotFound("nobody has opened a link of yours on the web in the last 10 minutes; say `link` for a new one")
            right = hmac.compare_digest(self._code(row).encode(), code.strip().encode("utf-8", "replace"))
            # Locked, or two persons who say theirs at once would both become the account.
            account = await session.get(AccountRow, row.account, with_for_update=True)
            if not right or account is None or account.disabled:
                row.tries += 1
                if row.tries >= MOST_TRIES:
                    row.expires_at = now
                    _audit(session, "slack.link_refused", team, user, SYSTEM, now, "slack", {"account": row.account})
            else:
                await _require_single(session, team, user, account.id)
                await self._link(session, team, user, account.id, now)
                row.expires_at = now
                return await _linked(session, team, user)
        raise Forbidden("this is not the code that the page shows; look again", code="wrong_code")

    async def unlink(self, principal: Principal, team: str, user: str, *, door: str = "") -> Linked:
        """By the account itself, or by an admin over everything. Gives what it was. Raises NotFound (also for what is somebody
        else's)."""
        async with self._db.transaction() as session:
            row = await session.get(SlackPersonRow, (team, user), with_for_update=True)
            if row is None or (row.account != principal.account and not principal.admin):
                raise NotFound(f"there is no link of {one_line(user, 40)} in Slack, or it is not yours")
            return await self._unlink(session, row, principal.account, door)

    async def unlink_from_slack(self, team: str, user: str) -> Linked:
        """By the person of Slack. Raises NotFound."""
        async with self._db.transaction() as session:
            row = await session.get(SlackPersonRow, (team, user), with_for_update=True)
            if row is None:
                raise NotFound("you are not linked with an account")
            return await self._unlink(session, row, row.account, "slack")

    async def get(self, team: str, user: str) -> Linked | None:
        """What was last known: by e-mail, Slack has the last word at each click."""
        async with self._db.read() as session:
            found = await session.get(SlackPersonRow, (team, user))
            return await _linked(session, team, user) if found is not None else None

    async def list(self, principal: Principal) -> tuple[Linked, ...]:
        """An admin's: everybody. Others': their own."""
        query = (
            select(SlackPersonRow, AccountRow.display_name, SlackWorkspaceRow.name)
            .join(AccountRow, AccountRow.id == SlackPersonRow.account)
            .outerjoin(SlackWorkspaceRow, SlackWorkspaceRow.team == SlackPersonRow.team)
            .order_by(SlackPersonRow.team, AccountRow.display_name, SlackPersonRow.user)
        )
        if not principal.admin:
            query = query.where(SlackPersonRow.account == principal.account)
        async with self._db.read() as session:
            rows = (await session.execute(query)).all()
        return tuple(_as_linked(row, name, team_name or "") for row, name, team_name in rows)

    async def users_in(self, team: str) -> dict[str, str]:
        """Accounts by Slack's ids of their people, as last known."""
        query = select(SlackPersonRow.user, SlackPersonRow.account).where(SlackPersonRow.team == team)
        async with self._db.read() as session:
            return {row.user: row.account for row in await session.execute(query)}

    async def _with(self, session: Session, team: str, user: str, address: str | None) -> str | None:
        """The account of an address; none when its owner is linked with somebody else there."""
        if address is None or not self._by_email:
            return None
        account = await session.scalar(select(AccountRow.id).where(AccountRow.email == address))
        other = select(SlackPersonRow.user).where(
            SlackPersonRow.team == team,
            SlackPersonRow.account == account,
            SlackPersonRow.how == "link",
            SlackPersonRow.user != user,
        )
        return account if account is None or await session.scalar(other.limit(1)) is None else None

    async def _note(self, team: str, user: str, address: str | None) -> str | None:
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(SlackPersonRow, (team, user), with_for_update=True)
            if row is not None and row.how == "link":
                return row.account
            found = await self._with(session, team, user, address)
            before = row.account if row is not None else ""
            if found == (before or None):
                return found
            if row is not None:
                await forget_person(session, row)
            if found is None:
                _audit(session, "slack.person_unmatched", team, user, SYSTEM, now, "slack", {"account": before})
                return None
            await forget_matched(session, found, team)
            session.add(SlackPersonRow(team=team, user=user, account=found, how="email", linked_at=now))
            detail = {"account": found, "email": address or ""} | ({"before": before} if before else {})
            _audit(session, "slack.person_matched", team, user, found, now, "slack", detail)
            session.wake(RIGHTS, found.encode())
            return found

    async def _link(self, session: Session, team: str, user: str, account: str, now: datetime) -> None:
        row = await session.get(SlackPersonRow, (team, user), with_for_update=True)
        before = row.account if row is not None else ""
        if row is not None:
            await forget_person(session, row)
        await forget_matched(session, account, team)
        session.add(SlackPersonRow(team=team, user=user, account=account, how="link", linked_at=now))
        detail = {"account": account} | ({"before": before} if before else {})
        _audit(session, "slack.linked", team, user, account, now, "slack", detail)
        session.wake(RIGHTS, account.encode())
        await session.flush()

    async def _unlink(self, session: Session, row: SlackPersonRow, by: str, door: str) -> Linked:
        was = await _linked(session, row.team, row.user)
        await forget_person(session, row)
        _audit(session, "slack.unlinked", row.team, row.user, by, self._clock(), door, {"account": was.account, "how": was.how})
        return was

    def _code(self, row: SlackLinkRow) -> str:
        """Six digits that follow from the offer and who took it, so that no table holds them."""
        signed = hmac.new(self._key, f"{row.id}|{row.account}".encode(), sha256).digest()
        return f"{int.from_bytes(signed[:8]) % 1_000_000:06d}"


async def forget_person(session: Session, row: SlackPersonRow) -> None:
    """With the roles that they hold as a member of user groups there."""
    await session.delete(row)
    await session.flush()
    await forget_roles_from(session, row.team, row.account)
    session.wake(RIGHTS, row.account.encode())


async def forget_offers(session: Session, before: datetime) -> int:
    """For retention."""
    return await _forget_offers(session, SlackLinkRow.expires_at < before)


async def _forget_offers(session: Session, *which: ColumnElement[bool]) -> int:
    gone = await session.scalars(delete(SlackLinkRow).where(*which).returning(SlackLinkRow.id))
    return len(gone.all())


async def forget_matched(session: Session, account: str, team: str | None = None) -> None:
    """Whoever was recognised as it by e-mail is not any more, in a workspace or everywhere: the address is another's now, or a
    link takes its place."""
    same = select(SlackPersonRow).where(SlackPersonRow.account == account, SlackPersonRow.how == "email")
    for row in await session.scalars(same if team is None else same.where(SlackPersonRow.team == team)):
        await forget_person(session, row)


async def _require_single(session: Session, team: str, user: str, account: str) -> None:
    """Raises Conflict when the account is linked with another person there."""
    other = select(SlackPersonRow.user).where(
        SlackPersonRow.team == team,
        SlackPersonRow.account == account,
        SlackPersonRow.how == "link",
        SlackPersonRow.user != user,
    )
    found = await session.scalar(other.limit(1))
    if found is not None:
        raise Conflict(f"your account is linked with {found} in this workspace already; unlink that first")


async def _linked(session: Session, team: str, user: str) -> Linked:
    row = await session.get_one(SlackPersonRow, (team, user))
    account = await session.get_one(AccountRow, row.account)
    workspace = await session.get(SlackWorkspaceRow, team)
    return _as_linked(row, account.display_name, workspace.name if workspace is not None else "")


def _as_linked(row: SlackPersonRow, name: str, team_name: str) -> Linked:
    return Linked(
        team=row.team,
        team_name=team_name,
        user=row.user,
        account=row.account,
        account_name=name,
        how=cast(How, row.how),
        linked_at=row.linked_at,
    )


def _sha256(token: str) -> str:
    return sha256_hex(token[:200].encode("utf-8", "surrogatepass"))


def _audit(
    session: Session, action: str, team: str, user: str, by: str, now: datetime, door: str, detail: dict[str, str]
) -> None:
    record(session, Entry(by, action, f"slack:{team}/{user}", now, door=door, detail=detail))
