"""The Slack workspaces that we are installed in. Of an internal app the token stays in the configuration."""

import builtins
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from control_plane.audit import SYSTEM, Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.slack.groups import forget_roles_from
from control_plane.slack.outbox import drop_of
from control_plane.slack.secrets import TokenBox
from control_plane.tables.slack import SlackWorkspaceRow
from protocol.base import Value
from protocol.text import one_line


class Facts(Value):
    """What Slack says of an installation: auth.test, or the answer of OAuth without its tokens."""

    team: str
    enterprise: str = ""
    name: str = ""
    url: str = ""
    """https://<workspace>.slack.com/"""
    app: str = ""
    bot: str = ""
    bot_user: str = ""
    scopes: tuple[str, ...] = ()


class Workspace(Facts):
    installed_by: str
    installed_at: datetime
    revoked_at: datetime | None
    own_token: bool
    """It was installed by OAuth, and its token is stored here."""


class Workspaces:
    def __init__(self, database: Database, box: TokenBox, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._box = box
        self._clock = clock

    async def keep(self, facts: Facts, token: str | None = None, *, by: str = "") -> Workspace:
        """Installed, or installed once more: the newest token and facts count. `token` "" is for an internal app; None leaves
        the one that is there."""
        try:
            return await self._keep(facts, token, by)
        except IntegrityError:  # another replica has installed it at the same time
            return await self._keep(facts, token, by)

    async def _keep(self, facts: Facts, token: str | None, by: str) -> Workspace:
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(SlackWorkspaceRow, facts.team, with_for_update=True)
            stands = row is not None and row.revoked_at is None and not token
            if row is None:
                row = SlackWorkspaceRow(team=facts.team, token="", installed_at=now, installed_by=by[:64], revoked_at=None)
                session.add(row)
            row.enterprise, row.app = facts.enterprise[:32], facts.app[:32]
            row.name, row.url = one_line(facts.name, 200), one_line(facts.url, 300)
            row.bot, row.bot_user, row.scopes = facts.bot[:32], facts.bot_user[:32], ",".join(sorted(facts.scopes))
            if token is not None:
                row.token = self._box.closed(facts.team, token)
            if not stands:  # an internal app says the same at each start
                row.installed_at, row.installed_by, row.revoked_at = now, by[:64], None
                detail = {"name": row.name, "app": row.app, "scopes": row.scopes}
                record(session, Entry(by or SYSTEM, "slack.installed", f"slack:{row.team}", now, door="slack", detail=detail))
            return _workspace(row)

    async def get(self, team: str) -> Workspace | None:
        async with self._db.read() as session:
            row = await session.get(SlackWorkspaceRow, team)
            return _workspace(row) if row is not None else None

    async def token(self, team: str, enterprise: str = "") -> str | None:
        """Its own, or the one of its organisation, where the app is installed for all of it (kept under the organisation's id).
        None: not installed, revoked, or an internal app, whose token is configured. Raises Conflict when it was stored under
        another grant key."""
        wanted = [name for name in (team, enterprise) if name]
        standing = (SlackWorkspaceRow.team.in_(wanted), SlackWorkspaceRow.revoked_at.is_(None), SlackWorkspaceRow.token != "")
        async with self._db.read() as session:
            rows = {row.team: row.token for row in await session.scalars(select(SlackWorkspaceRow).where(*standing))}
        found = next((name for name in wanted if name in rows), None)
        return self._box.opened(found, rows[found]) if found is not None else None

    async def revoke(self, team: str, *, by: str = "") -> bool:
        """The app was removed there, or its tokens were: the token is erased, roles that followed from user groups there end,
        and what was still to be shown there is dropped. Channels and threads stay, for the day it is installed again. False
        when there was nothing to revoke."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await session.get(SlackWorkspaceRow, team, with_for_update=True)
            if row is None or row.revoked_at is not None:
                return False
            row.token, row.revoked_at = "", now
            await forget_roles_from(session, team)
            await drop_of(session, team, "the app was removed from the workspace", now)
            record(session, Entry(by or SYSTEM, "slack.revoked", f"slack:{team}", now, door="slack", detail={"name": row.name}))
            return True

    async def list(self) -> builtins.list[Workspace]:
        """Revoked ones too, by name."""
        async with self._db.read() as session:
            rows = await session.scalars(select(SlackWorkspaceRow).order_by(SlackWorkspaceRow.name, SlackWorkspaceRow.team))
            return [_workspace(row) for row in rows]


def _workspace(row: SlackWorkspaceRow) -> Workspace:
    return Workspace(
        team=row.team,
        enterprise=row.enterprise,
        name=row.name,
        url=row.url,
        app=row.app,
        bot=row.bot,
        bot_user=row.bot_user,
        scopes=tuple(scope for scope in row.scopes.split(",") if scope),
        installed_by=row.installed_by,
        installed_at=row.installed_at,
        revoked_at=row.revoked_at,
        own_token=bool(row.token),
    )
