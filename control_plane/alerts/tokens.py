"""Tokens that let senders of alerts in. The table keeps their SHA-256; a token is shown once, when it is made."""

import builtins
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select, update

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, Invalid, NotFound, NotSignedIn
from control_plane.principals import Principal
from control_plane.tables.alerts import AlertTokenRow
from control_plane.tables.fleet import ClusterRow
from control_plane.typed import typed
from protocol.approval import Role
from protocol.base import Value
from protocol.canonical import sha256_hex
from protocol.ids import is_id, new_id
from protocol.text import one_line

PREFIX = "alerts-"
_USED_EVERY = timedelta(minutes=1)
"""`used_at` is no finer than this: a busy sender shall not cost a write each time."""


class AlertToken(Value):
    id: str
    name: str
    cluster: str | None
    """None: the alerts' label `cluster` names it."""
    cluster_name: str = ""
    created_by: str
    created_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


class AlertTokens:
    """For admins: of everything where the token is for any cluster, else of that whole cluster."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def create(
        self, principal: Principal, name: str, *, cluster: str | None = None, door: str = ""
    ) -> tuple[AlertToken, str]:
        """With the token itself, which nobody can show again. `cluster` by name or id. Raises Invalid, NotFound, Forbidden."""
        said = typed(name, 100)
        if not said:
            raise Invalid("give the token a name, so that people know whose it is, such as the Alertmanager that has it")
        token, now = PREFIX + secrets.token_urlsafe(32), self._clock()
        async with self._db.transaction() as session:
            found = await _cluster(session, cluster, principal) if cluster else None
            _require_admin(principal, found.id if found else None)
            row = AlertTokenRow(
                id=new_id(),
                tenant_id=principal.tenant,
                name=said,
                token_sha256=sha256_hex(token.encode()),
                cluster=found.id if found else None,
                created_by=principal.account,
                created_at=now,
                used_at=None,
                revoked_at=None,
            )
            session.add(row)
            _audit(session, row, "alerts.token_made", principal, now, door)
        return _token(row, found.name if found else ""), token

    async def list(self, principal: Principal) -> tuple[AlertToken, ...]:
        """Those that the principal could revoke; newest first, revoked ones too."""
        query = select(AlertTokenRow, ClusterRow.name).outerjoin(ClusterRow, ClusterRow.id == AlertTokenRow.cluster)
        query = query.where(AlertTokenRow.tenant_id == principal.tenant).order_by(AlertTokenRow.created_at.desc())
        async with self._db.read() as session:
            found: builtins.list[AlertToken] = []
            for row, name in await session.execute(query):
                if administers(principal, row.cluster):
                    found.append(_token(row, name or ""))
            return tuple(found)

    async def revoke(self, token: str, principal: Principal, *, door: str = "") -> None:
        """By id. From now on it lets nobody in; doing it twice changes nothing. Raises NotFound."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(AlertTokenRow, token, with_for_update=True) if is_id(token) else None
            if row is None or row.tenant_id != principal.tenant or not administers(principal, row.cluster):
                raise NotFound(f"there is no alert token {one_line(token, 40)!r}")
            if row.revoked_at is None:
                row.revoked_at = now
                _audit(session, row, "alerts.token_revoked", principal, now, door)

    async def sender(self, token: str) -> AlertToken:
        """Whose token this is. Raises NotSignedIn when it is not known, Forbidden when it was revoked."""
        hashed = sha256_hex(token.encode())
        now = self._clock()
        async with self._db.read() as session:
            row = await session.scalar(select(AlertTokenRow).where(AlertTokenRow.token_sha256 == hashed))
        if row is None or not hmac.compare_digest(row.token_sha256, hashed):
            raise NotSignedIn("alerts need a token of `opsthread alerts token create`, as Authorization: Bearer …")
        if row.revoked_at is not None:
            raise Forbidden(
                f"the alert token {row.name!r} was revoked at {row.revoked_at:%Y-%m-%d %H:%M} UTC; make another", code="revoked"
            )
        if row.used_at is None or now - row.used_at > _USED_EVERY:
            async with self._db.transaction() as session:
                await session.execute(update(AlertTokenRow).where(AlertTokenRow.id == row.id).values(used_at=now))
        return _token(row, "")


def administers(principal: Principal, cluster: str | None) -> bool:
    return principal.admin or (cluster is not None and principal.role_in(cluster, None) is Role.ADMIN)


def _require_admin(principal: Principal, cluster: str | None) -> None:
    if administers(principal, cluster):
        return
    if cluster is not None:
        raise Forbidden("making an alert token for a cluster needs an admin of all of it; ask one")
    raise Forbidden("making an alert token for any cluster needs an admin over everything; ask one, or name your cluster")


async def _cluster(session: Session, cluster: str, principal: Principal) -> ClusterRow:
    named = select(ClusterRow).where(ClusterRow.tenant_id == principal.tenant)
    row = await session.scalar(named.where((ClusterRow.id == cluster) | (ClusterRow.name == cluster)))
    if row is None or not principal.sees_some_of(row.id):
        raise NotFound(f"there is no cluster {one_line(cluster, 40)!r}")
    return row


def _token(row: AlertTokenRow, cluster_name: str) -> AlertToken:
    return AlertToken(
        id=row.id,
        name=row.name,
        cluster=row.cluster,
        cluster_name=cluster_name,
        created_by=row.created_by,
        created_at=row.created_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )


def _audit(session: Session, row: AlertTokenRow, action: str, principal: Principal, now: datetime, door: str) -> None:
    entry = Entry(
        principal.account, action, f"alert-token:{row.id}", now, door=door, cluster=row.cluster, detail={"name": row.name},
        tenant=principal.tenant,
    )  # fmt: skip
    record(session, entry)
