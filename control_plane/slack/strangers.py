"""The account that people without one read with in a channel that lets them: viewer over what the channel reaches.

Nobody signs in as it (see `sign_ins.require_person`). It decides nothing: it is a viewer.
"""

import json
from datetime import datetime

from sqlalchemy import delete

from control_plane import sign_ins
from control_plane.audit import Entry, record
from control_plane.database import Session
from control_plane.tables.accounts import AccountRow, RoleRow
from control_plane.tables.slack import SlackChannelRow
from control_plane.wakeups import RIGHTS
from protocol.approval import Role
from protocol.ids import new_id


async def admit_strangers(
    session: Session, row: SlackChannelRow, scopes: dict[str, tuple[str, ...] | None], *, by: str, now: datetime
) -> None:
    """`scopes`: by cluster id, the namespaces, None for all."""
    account = await session.get(AccountRow, row.stranger_account) if row.stranger_account is not None else None
    shown = f"People in {row.name or row.channel}"[:200]
    if account is None:
        account = AccountRow(
            id=new_id(),
            tenant_id=row.tenant_id,
            name=f"slack-channel.{row.id}",
            display_name=shown,
            disabled=False,
            password_hash=None,
            created_at=now,
        )
        session.add(account)
        await session.flush()
        row.stranger_account = account.id
        _audit(
            session, "account.created", account.id, by, now, {"name": account.name, "for": f"slack:{row.team}/{row.channel}"}
        )
    if account.disabled:
        _audit(session, "account.enabled", account.id, by, now, {"for": f"slack:{row.team}/{row.channel}"})
    account.disabled, account.display_name, account.password_hash = False, shown, None
    await sign_ins.end_sessions(session, account.id)
    await _forget_roles(session, account.id)
    for cluster, namespaces in scopes.items():
        session.add(
            RoleRow(
                id=new_id(),
                tenant_id=row.tenant_id,
                account=account.id,
                role=Role.VIEWER.value,
                clusters=json.dumps([cluster]),
                namespaces=json.dumps(["*"] if namespaces is None else list(namespaces)),
                source=source_of(row),
            )
        )
    session.wake(RIGHTS, account.id.encode())


async def refuse_strangers(session: Session, row: SlackChannelRow, *, by: str, now: datetime) -> None:
    """The account stays, because conversations name it, without a role and disabled."""
    account = await session.get(AccountRow, row.stranger_account) if row.stranger_account is not None else None
    if account is None or account.disabled:
        return
    account.disabled = True
    await _forget_roles(session, account.id)
    _audit(session, "account.disabled", account.id, by, now, {"for": f"slack:{row.team}/{row.channel}"})
    session.wake(RIGHTS, account.id.encode())


def source_of(row: SlackChannelRow) -> str:
    return f"slack-channel:{row.team}:{row.id}"


async def _forget_roles(session: Session, account: str) -> None:
    """All of them: whatever somebody has given it besides, it reads for strangers."""
    await session.execute(delete(RoleRow).where(RoleRow.account == account))


def _audit(session: Session, action: str, account: str, by: str, now: datetime, detail: dict[str, str]) -> None:
    record(session, Entry(by, action, f"account:{account}", now, detail=detail))
