"""User groups of Slack that give roles to their members, as long as they are in them.

What follows from a group is written as role rows of its own source, so that whatever looks at an account, also right before an
action runs, sees the same. Each row counts for ten minutes from when Slack last said so: what nobody renews, because Slack does
not answer, the app was removed, or nothing of ours runs that asks, ends by itself. A group never makes an admin.
"""

import builtins
import json
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select

from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, Invalid, NotFound
from control_plane.principals import Principal, ScopedRole
from control_plane.roles import SourcedRole, add_roles, forget_roles, roles_of
from control_plane.tables.accounts import AccountRow, RoleRow
from control_plane.tables.slack import SlackGroupRow
from control_plane.typed import typed
from control_plane.wakeups import RIGHTS
from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.ids import is_id, new_id
from protocol.text import one_line

HOLDS = timedelta(minutes=10)
"""So long a membership counts without being looked at again."""
RENEW = timedelta(minutes=4)
"""How often all memberships are looked at; also how old one may be before a look at it is written down again."""
STRONGEST = Role.APPROVER
MOST = 200


class GroupRole(Value):
    """Members of the group hold the role."""

    id: str
    team: str
    usergroup: str
    handle: str
    role: ScopedRole
    created_by: str
    created_at: datetime


class Groups:
    """Only admins over everything may say which group gives which role."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def map(
        self, principal: Principal, *, team: str, usergroup: str, handle: str = "", role: ScopedRole, door: str = ""
    ) -> GroupRole:
        """The same once more gives the one that is there. Raises Forbidden, Invalid (stronger than approver; too many)."""
        _require_admin(principal)
        if not role_at_least(STRONGEST, role.role):
            raise Invalid(f"a user group can give at most the role {STRONGEST}: whoever edits it in Slack decides who holds it")
        if not team or not usergroup or max(len(team), len(usergroup)) > 32:
            raise Invalid("a user group is named by Slack's ids of its workspace and itself, such as T0123456 and S0123456")
        now = self._clock()
        async with self._db.transaction() as session:
            rows = (await session.scalars(select(SlackGroupRow).where(SlackGroupRow.tenant_id == principal.tenant))).all()
            same = [row for row in rows if row.team == team and row.usergroup == usergroup and _role(row) == role]
            if same:
                return _group(same[0])
            if len(rows) >= MOST:
                raise Invalid(f"there are {MOST} of these already; remove some first")
            row = SlackGroupRow(
                id=new_id(),
                tenant_id=principal.tenant,
                team=team,
                usergroup=usergroup,
                handle=typed(handle, 100),
                role=role.role.value,
                clusters=json.dumps(role.clusters),
                namespaces=json.dumps(role.namespaces),
                created_by=principal.account,
                created_at=now,
            )
            session.add(row)
            _audit_mapping(session, "slack.group_mapped", row, principal, now, door)
            return _group(row)

    async def remove(self, principal: Principal, group: str, *, door: str = "") -> None:
        """Its members lose the role at once. Raises NotFound, Forbidden."""
        _require_admin(principal)
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(SlackGroupRow, group, with_for_update=True) if is_id(group) else None
            if row is None or row.tenant_id != principal.tenant:
                raise NotFound(f"there is no user group's role {one_line(group, 40)!r}")
            await session.delete(row)
            await session.flush()
            source = source_of(row.team, row.usergroup)
            left = [_role(one) for one in await _mapped(session, row.team, hold=False) if one.usergroup == row.usergroup]
            holders = await session.scalars(select(RoleRow.account).where(RoleRow.source == source).distinct())
            for account in holders.all():
                held = [one for one in (await roles_of(session, [account]))[account] if one.source == source]
                until = min((one.until for one in held if one.until is not None), default=now)
                await forget_roles(session, account, source=source)
                add_roles(session, account, left, source=source, until=until)
                _audit_account(session, account, source, left, now)
            _audit_mapping(session, "slack.group_unmapped", row, principal, now, door)

    async def list(self, principal: Principal) -> tuple[GroupRole, ...]:
        """Raises Forbidden."""
        _require_admin(principal)
        query = select(SlackGroupRow).where(SlackGroupRow.tenant_id == principal.tenant)
        order = (SlackGroupRow.team, SlackGroupRow.handle, SlackGroupRow.usergroup, SlackGroupRow.role, SlackGroupRow.id)
        async with self._db.read() as session:
            return tuple(map(_group, await session.scalars(query.order_by(*order))))

    async def to_ask(self, team: str) -> tuple[str, ...]:
        """The user groups of a workspace that give a role."""
        query = select(SlackGroupRow.usergroup).where(SlackGroupRow.team == team)
        async with self._db.read() as session:
            return tuple(await session.scalars(query.distinct().order_by(SlackGroupRow.usergroup)))

    async def teams(self) -> tuple[str, ...]:
        """Those with such groups."""
        async with self._db.read() as session:
            return tuple(await session.scalars(select(SlackGroupRow.team).distinct().order_by(SlackGroupRow.team)))

    async def holders(self, team: str) -> frozenset[str]:
        """Accounts that hold something from user groups of a workspace."""
        async with self._db.read() as session:
            held = select(RoleRow.account).where(RoleRow.source.startswith(source_of(team, ""), autoescape=True))
            return frozenset(await session.scalars(held.distinct()))

    async def sync(self, account: str, team: str, member_of: Collection[str], *, asked: Collection[str], certain: bool) -> bool:
        """Slack said of which of the groups `asked` somebody is a member who acts as this account. What they hold from each of
        them follows, for `HOLDS` from now, in one transaction; groups that were not asked stay as they are.

        `certain`: it said so just now. Else it takes away and renews, but gives nobody what they don't hold, which may have
        been taken from them meanwhile: then False, and nothing is written."""
        now = self._clock()
        async with self._db.read() as session:
            wanted, held = await _wanted(session, team, member_of, asked), await _held(session, account, team)
        if not certain and _gives(wanted, held):
            return False
        if not _differs(wanted, held) and not _stale(wanted, held, now):
            return True
        async with self._db.transaction() as session:
            # Locked, so that two looks at the same account don't both add, and a mapping that goes takes what it gave along.
            if await session.get(AccountRow, account, with_for_update=True) is None:
                return True
            wanted = await _wanted(session, team, member_of, asked, hold=True)
            held = await _held(session, account, team)
            if not certain and _gives(wanted, held):
                return False
            for source, roles in wanted.items():
                before = [role.plain() for role in held.get(source, ())]
                await forget_roles(session, account, source=source)
                add_roles(session, account, roles, source=source, until=now + HOLDS)
                if _as_set(before) != _as_set(roles):
                    _audit_account(session, account, source, roles, now)
            return True


def source_of(team: str, usergroup: str) -> str:
    return f"slack-group:{team}:{usergroup}"


async def forget_roles_from(session: Session, team: str, account: str | None = None) -> None:
    """All that followed from user groups of a workspace: it is gone, or the person is not this account any more."""
    held: builtins.list[ColumnElement[bool]] = [RoleRow.source.startswith(f"slack-group:{team}:", autoescape=True)]
    if account is not None:
        held.append(RoleRow.account == account)
    gone = await session.scalars(delete(RoleRow).where(*held).returning(RoleRow.account))
    for one in dict.fromkeys(gone.all()):
        session.wake(RIGHTS, one.encode())


Sources = dict[str, builtins.list[ScopedRole]]


async def _mapped(session: Session, team: str, *, hold: bool) -> builtins.list[SlackGroupRow]:
    query = select(SlackGroupRow).where(SlackGroupRow.team == team)
    return builtins.list(await session.scalars(query.with_for_update(read=True) if hold else query))


async def _wanted(
    session: Session, team: str, member_of: Collection[str], asked: Collection[str], *, hold: bool = False
) -> Sources:
    """By source, for all that was asked: nothing where the person is no member, or the group gives nothing any more."""
    wanted: Sources = {source_of(team, usergroup): [] for usergroup in asked}
    for row in await _mapped(session, team, hold=hold):
        if row.usergroup in asked and row.usergroup in member_of:
            wanted[source_of(team, row.usergroup)].append(_role(row))
    return wanted


async def _held(session: Session, account: str, team: str) -> dict[str, builtins.list[SourcedRole]]:
    found: dict[str, builtins.list[SourcedRole]] = {}
    for role in (await roles_of(session, [account]))[account]:
        if role.source.startswith(f"slack-group:{team}:"):
            found.setdefault(role.source, []).append(role)
    return found


def _gives(wanted: Sources, held: dict[str, builtins.list[SourcedRole]]) -> bool:
    return any(_as_set(roles) - _as_set(one.plain() for one in held.get(source, ())) for source, roles in wanted.items())


def _differs(wanted: Sources, held: dict[str, builtins.list[SourcedRole]]) -> bool:
    return any(_as_set(roles) != _as_set(one.plain() for one in held.get(source, ())) for source, roles in wanted.items())


def _stale(wanted: Sources, held: dict[str, builtins.list[SourcedRole]], now: datetime) -> bool:
    """Was it written so long ago that it is worth writing again? Most looks at a membership write nothing."""
    renewed = now + HOLDS - RENEW / 2
    return any(role.until is None or role.until < renewed for source in wanted for role in held.get(source, ()))


def _as_set(roles: Iterable[ScopedRole]) -> set[tuple[Role, tuple[str, ...], tuple[str, ...]]]:
    return {(role.role, role.clusters, role.namespaces) for role in roles}


def _role(row: SlackGroupRow) -> ScopedRole:
    return ScopedRole(role=Role(row.role), clusters=json.loads(row.clusters), namespaces=json.loads(row.namespaces))


def _group(row: SlackGroupRow) -> GroupRole:
    return GroupRole(
        id=row.id,
        team=row.team,
        usergroup=row.usergroup,
        handle=row.handle,
        role=_role(row),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _require_admin(principal: Principal) -> None:
    if not principal.admin:
        raise Forbidden("only an admin over everything says which user group gives which role; ask one")


def _words(roles: Iterable[ScopedRole]) -> str:
    return "; ".join(f"{r.role} over {','.join(r.clusters)} / {','.join(r.namespaces)}" for r in roles) or "none"


def _audit_mapping(session: Session, action: str, row: SlackGroupRow, principal: Principal, now: datetime, door: str) -> None:
    detail = {"handle": row.handle, "role": _words([_role(row)])}
    subject = f"slack:{row.team}/{row.usergroup}"
    record(session, Entry(principal.account, action, subject, now, door=door, detail=detail, tenant=principal.tenant))


def _audit_account(session: Session, account: str, source: str, roles: Iterable[ScopedRole], now: datetime) -> None:
    detail = {"source": source, "roles": _words(roles)}
    record(session, Entry(SYSTEM, "account.roles_followed", f"account:{account}", now, door="slack", detail=detail))
    session.wake(RIGHTS, account.encode())
