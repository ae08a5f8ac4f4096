"""The roles that an account holds, and the principal that they make, as a transaction sees them.

A role row has a source: "" where an admin gave it, else what it follows from (a user group of Slack, a channel, alerts). Each
source writes and takes away its own rows only. A row that was given until a time counts for nothing after it, so that what
nobody renews ends by itself.
"""

import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import delete, or_, select

from control_plane.database import Session
from control_plane.errors import Conflict, NotSignedIn
from control_plane.principals import Principal, ScopedRole
from control_plane.sign_ins import NOBODY
from control_plane.tables.accounts import AccountRow, RoleRow
from control_plane.tables.base import DEFAULT_TENANT
from control_plane.tables.fleet import ClusterRow
from protocol.approval import Role
from protocol.ids import is_id, new_id

GIVEN = ""
"""The source of what an admin gave."""


class SourcedRole(ScopedRole):
    """A role with where it comes from."""

    source: str = GIVEN
    until: datetime | None = None
    """It ends then, unless its source says once more that it holds."""

    def plain(self) -> ScopedRole:
        return ScopedRole(role=self.role, clusters=self.clusters, namespaces=self.namespaces)


async def principal_in(session: Session, account: str, *, now: datetime, fresh: bool = False) -> Principal:
    """The account as this transaction sees it. Raises NotSignedIn when disabled or unknown."""
    row = await session.get(AccountRow, account) if is_id(account) else None
    if row is None or row.disabled:
        raise NotSignedIn("this account is disabled or unknown; ask an admin")
    roles = await _by_cluster_id(session, _plain((await roles_of(session, [account]))[account], now))
    return Principal(
        account=row.id,
        name=row.display_name,
        tenant=row.tenant_id,
        roles=roles,
        admin=any(_administers(role) for role in roles),
        fresh_sign_in=fresh,
    )


async def principals_in(session: Session, *, now: datetime) -> tuple[Principal, ...]:
    """Every person who is enabled and has a role, by name, as this transaction sees them."""
    nobody = or_(*(AccountRow.name.startswith(name, autoescape=True) for name in NOBODY))
    enabled = select(AccountRow).where(AccountRow.disabled.is_(False), ~nobody).order_by(AccountRow.display_name)
    rows = (await session.scalars(enabled)).all()
    held = await roles_of(session, [row.id for row in rows])
    roles = {row.id: _plain(held[row.id], now) for row in rows}
    flat = tuple(role for row in rows for role in roles[row.id])
    known = iter(await _by_cluster_id(session, flat))
    return tuple(
        Principal(account=row.id, name=row.display_name, tenant=row.tenant_id, roles=tuple(next(known) for _ in roles[row.id]))
        for row in rows
        if roles[row.id]
    )


async def roles_of(session: Session, accounts: Iterable[str]) -> dict[str, tuple[SourcedRole, ...]]:
    """From every source, also those whose time is over."""
    wanted = list(accounts)
    query = select(RoleRow).where(RoleRow.account.in_(wanted)).order_by(RoleRow.role, RoleRow.id)
    found: dict[str, list[SourcedRole]] = {account: [] for account in wanted}
    for row in await session.scalars(query) if wanted else ():
        found[row.account].append(
            SourcedRole(
                role=Role(row.role),
                clusters=json.loads(row.clusters),
                namespaces=json.loads(row.namespaces),
                source=row.source,
                until=row.until,
            )
        )
    return {account: tuple(roles) for account, roles in found.items()}


def add_roles(
    session: Session, account: str, roles: Iterable[ScopedRole], *, source: str = GIVEN, until: datetime | None = None
) -> None:
    """Raises ValueError for an admin who is none by an admin's word: nothing else makes one."""
    for role in roles:
        if source != GIVEN and role.role is Role.ADMIN:
            raise ValueError(f"{source} can't make an admin")
        session.add(
            RoleRow(
                id=new_id(),
                account=account,
                role=role.role.value,
                clusters=json.dumps(role.clusters),
                namespaces=json.dumps(role.namespaces),
                source=source,
                until=until,
            )
        )


async def forget_roles(session: Session, account: str, *, source: str = GIVEN) -> None:
    """Those of one source."""
    await session.execute(delete(RoleRow).where(RoleRow.account == account, RoleRow.source == source))


@asynccontextmanager
async def an_admin_stays(session: Session) -> AsyncGenerator[None]:
    """Raises Conflict when the block takes away the last account that may administer everything."""
    had_one = await _has_admin(session)
    yield
    await session.flush()
    if had_one and not await _has_admin(session):
        raise Conflict("this is the last account that may administer everything; make another one admin first")


async def _has_admin(session: Session) -> bool:
    """By what admins gave: what follows from elsewhere may end at any time, and never makes an admin."""
    # Locked, or two admins who take the role from each other would both still see the other one.
    rows = select(AccountRow.id).where(AccountRow.disabled.is_(False)).order_by(AccountRow.id).with_for_update()
    enabled = (await session.scalars(rows)).all()
    roles = await roles_of(session, enabled)
    return any(role.source == GIVEN and _administers(role) for held in roles.values() for role in held)


def _plain(held: Iterable[SourcedRole], now: datetime) -> tuple[ScopedRole, ...]:
    """Those that count now."""
    return tuple(role.plain() for role in held if role.until is None or now < role.until)


async def _by_cluster_id(session: Session, roles: tuple[ScopedRole, ...]) -> tuple[ScopedRole, ...]:
    """People write roles with cluster names; everything that checks them knows ids. A name stays beside its id."""
    named = {cluster for role in roles for cluster in role.clusters if cluster != "*"}
    if not named:
        return roles
    query = select(ClusterRow.name, ClusterRow.id).where(ClusterRow.name.in_(named), ClusterRow.tenant_id == DEFAULT_TENANT)
    ids = {row.name: row.id for row in await session.execute(query)}
    return tuple(
        role.model_copy(update={"clusters": (*role.clusters, *(ids[name] for name in role.clusters if name in ids))})
        for role in roles
    )


def _administers(role: ScopedRole) -> bool:
    return role.role is Role.ADMIN and "*" in role.clusters and "*" in role.namespaces
