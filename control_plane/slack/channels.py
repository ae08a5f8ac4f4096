"""What a channel may see, and how the bot behaves in it. A channel that nobody has bound sees nothing."""

import builtins
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal, cast

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound
from control_plane.principals import Principal, narrower
from control_plane.slack.strangers import admit_strangers, refuse_strangers
from control_plane.tables.fleet import ClusterRow
from control_plane.tables.slack import SlackChannelRow
from control_plane.typed import typed
from protocol.approval import Role
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.events import Language
from protocol.ids import new_id
from protocol.text import one_line

Strangers = Literal["refuse", "read"]
"""What people without an account, guests and people of other organisations may do: nothing, or read what the channel may see.
They never decide anything."""

MOST_CLUSTERS = 50


class Reach(Value):
    """A cluster, by its id, and namespaces of it."""

    cluster: str
    cluster_name: str = ""
    namespaces: tuple[str, ...] | None = None
    """None: all of it."""


class Channel(Value):
    id: str
    team: str
    channel: str
    name: str
    reach: tuple[Reach, ...]
    """The first is the one that questions mean. Clusters that are gone are left out."""
    strangers: Strangers
    stranger_account: str | None
    """Whose roles strangers read with; None when they are refused."""
    follow: bool
    language: Language
    created_by: str
    created_at: datetime

    def over(self, cluster: str) -> ScopeLimit | None:
        """What the channel may see of a cluster, by id; None for nothing."""
        found = next((reach for reach in self.reach if reach.cluster == cluster), None)
        return ScopeLimit(namespaces=found.namespaces) if found is not None else None


class Channels:
    """Who binds, changes or unbinds a channel is an admin over everything, or over all that it reaches and reached before."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._clock = clock

    async def bind(
        self,
        principal: Principal,
        *,
        team: str,
        channel: str,
        name: str = "",
        reach: Iterable[Reach],
        strangers: Strangers = "refuse",
        follow: bool = False,
        language: Language = "en",
        door: str = "",
    ) -> Channel:
        """Takes the place of an earlier binding. `Reach.cluster` may be a name or an id. Raises Invalid, NotFound (cluster),
        Forbidden, Conflict when somebody else has just bound it."""
        if not team or not channel or max(len(team), len(channel)) > 32:
            raise Invalid("a channel is named by Slack's ids of its workspace and itself, such as T0123456 and C0123456")
        now, wanted = self._clock(), tuple(reach)
        async with _alone(channel), self._db.transaction() as session:
            clusters = await _clusters(session, principal.tenant)
            chosen = _chosen(wanted, clusters, principal)
            row = await _locked(session, team, channel)
            before = _reach(row, clusters) if row is not None else ()
            _require_admin(principal, (*chosen, *before))
            if row is not None and row.tenant_id != principal.tenant:
                raise Forbidden(f"channel {channel} belongs to another tenant")
            if row is None:
                row = SlackChannelRow(
                    id=new_id(),
                    tenant_id=principal.tenant,
                    team=team,
                    channel=channel,
                    stranger_account=None,
                    created_by=principal.account,
                    created_at=now,
                )
                session.add(row)
            row.name = typed(name, 100) or row.name or ""
            row.reach = json.dumps([{"cluster": one.cluster, "namespaces": one.namespaces} for one in chosen])
            row.strangers, row.follow, row.language = strangers, follow, language
            if strangers == "read":
                scopes = {one.cluster: one.namespaces for one in chosen}
                await admit_strangers(session, row, scopes, by=principal.account, now=now)
            else:
                await refuse_strangers(session, row, by=principal.account, now=now)
            detail = {"reach": _words(chosen), "before": _words(before), "strangers": strangers, "name": row.name}
            _audit(session, "slack.channel_bound", row, principal, now, door, detail)
            return _channel(row, clusters)

    async def unbind(self, principal: Principal, team: str, channel: str, *, door: str = "") -> None:
        """It sees nothing any more. Raises NotFound, Forbidden."""
        now = self._clock()
        async with self._db.transaction() as session:
            row = await _locked(session, team, channel)
            if row is None or row.tenant_id != principal.tenant:
                raise NotFound(f"channel {one_line(channel, 40)} is not bound to anything")
            clusters = await _clusters(session, principal.tenant)
            before = _reach(row, clusters)
            if before and _as_seen(_channel(row, clusters), principal) is None:
                raise NotFound(f"channel {one_line(channel, 40)} is not bound to anything")
            _require_admin(principal, before)
            await refuse_strangers(session, row, by=principal.account, now=now)
            await session.delete(row)
            _audit(session, "slack.channel_unbound", row, principal, now, door, {"reach": _words(before), "name": row.name})

    async def get(self, team: str, channel: str) -> Channel | None:
        """None: nobody has bound it."""
        wanted = select(SlackChannelRow).where(SlackChannelRow.team == team, SlackChannelRow.channel == channel)
        async with self._db.read() as session:
            row = await session.scalar(wanted)
            return _channel(row, await _clusters(session, row.tenant_id)) if row is not None else None

    async def list(self, principal: Principal) -> tuple[Channel, ...]:
        """Those of which the principal sees something, by workspace and name; what they reach besides is left out."""
        wanted = select(SlackChannelRow).where(SlackChannelRow.tenant_id == principal.tenant)
        async with self._db.read() as session:
            clusters = await _clusters(session, principal.tenant)
            rows = await session.scalars(wanted.order_by(SlackChannelRow.team, SlackChannelRow.name, SlackChannelRow.id))
            found = [_channel(row, clusters) for row in rows]
        return tuple(seen for channel in found if (seen := _as_seen(channel, principal)) is not None)

    def scope(self, channel: Channel, principal: Principal, cluster: str) -> ScopeLimit | None:
        """Of a cluster, by id: what both the channel and the person may see; None when nothing is left."""
        over = channel.over(cluster)
        return within(over, principal, cluster) if over is not None else None


def within(over: ScopeLimit, principal: Principal, cluster: str) -> ScopeLimit | None:
    """The part of `over` that the principal may see; None when that is nothing. Pure."""
    left = narrower(over, principal.scope_limit(cluster))
    return left if left.namespaces is None or left.namespaces else None


@asynccontextmanager
async def _alone(channel: str) -> AsyncGenerator[None]:
    try:
        yield
    except IntegrityError:
        raise Conflict(f"somebody else has just bound channel {channel}; look at it again") from None


async def _clusters(session: Session, tenant: str) -> dict[str, str]:
    """Names by id."""
    rows = await session.execute(select(ClusterRow.id, ClusterRow.name).where(ClusterRow.tenant_id == tenant))
    return {row.id: row.name for row in rows}


async def _locked(session: Session, team: str, channel: str) -> SlackChannelRow | None:
    wanted = select(SlackChannelRow).where(SlackChannelRow.team == team, SlackChannelRow.channel == channel)
    return await session.scalar(wanted.with_for_update())


def _chosen(wanted: tuple[Reach, ...], clusters: dict[str, str], principal: Principal) -> tuple[Reach, ...]:
    if not wanted or len(wanted) > MOST_CLUSTERS:
        raise Invalid(f"a channel is bound to 1 to {MOST_CLUSTERS} clusters; unbind it when it shall see nothing")
    ids = {name: key for key, name in clusters.items()}
    chosen: dict[str, Reach] = {}
    for one in wanted:
        key = one.cluster if one.cluster in clusters else ids.get(one.cluster)
        if key is None or not principal.sees_some_of(key):
            raise NotFound(f"there is no cluster {one_line(one.cluster, 40)!r}")
        if key in chosen:
            raise Invalid(f"cluster {clusters[key]} is named twice; name it once, with all its namespaces")
        if one.namespaces is not None and not one.namespaces:
            raise Invalid(f"no namespace of cluster {clusters[key]} is named; leave the namespaces out for all of them")
        names = None if one.namespaces is None else _namespaces(one.namespaces)
        chosen[key] = Reach(cluster=key, cluster_name=clusters[key], namespaces=names)
    return tuple(chosen.values())


def _namespaces(names: tuple[str, ...]) -> tuple[str, ...]:
    try:
        limit = ScopeLimit(namespaces=tuple(sorted(set(names))))
    except ValueError:
        raise Invalid(f"{one_line(', '.join(names), 100)!r} are not names of namespaces") from None
    return limit.namespaces or ()


def _require_admin(principal: Principal, reaches: tuple[Reach, ...]) -> None:
    if principal.admin:
        return
    if not reaches:
        raise Forbidden("all that this channel reached is gone; only an admin over everything can change it")
    for reach in reaches:
        if not principal.sees_some_of(reach.cluster):
            raise Forbidden("this channel reaches something that you don't see; ask an admin over everything")
        name = reach.cluster_name or reach.cluster
        if reach.namespaces is None and principal.role_in(reach.cluster, None) is not Role.ADMIN:
            raise Forbidden(
                f"this channel reaches the whole cluster {name}, so this needs the role admin over it; ask an admin"
            )
        for namespace in reach.namespaces or ():
            if principal.role_in(reach.cluster, namespace) is not Role.ADMIN:
                raise Forbidden(
                    f"this channel reaches {namespace} in cluster {name}, so this needs the role admin over it; ask an admin"
                )


def _reach(row: SlackChannelRow, clusters: dict[str, str]) -> tuple[Reach, ...]:
    """Without clusters that are gone."""
    stored = cast(builtins.list[dict[str, object]], json.loads(row.reach))
    parsed = [Reach.model_validate(one) for one in stored]
    return tuple(one.model_copy(update={"cluster_name": clusters[one.cluster]}) for one in parsed if one.cluster in clusters)


def _channel(row: SlackChannelRow, clusters: dict[str, str]) -> Channel:
    return Channel(
        id=row.id,
        team=row.team,
        channel=row.channel,
        name=row.name,
        reach=_reach(row, clusters),
        strangers=cast(Strangers, row.strangers),
        stranger_account=row.stranger_account if row.strangers == "read" else None,
        follow=row.follow,
        language=cast(Language, row.language),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _as_seen(channel: Channel, principal: Principal) -> Channel | None:
    if principal.admin:
        return channel
    seen: builtins.list[Reach] = []
    for reach in channel.reach:
        left = within(ScopeLimit(namespaces=reach.namespaces), principal, reach.cluster)
        if left is not None:
            seen.append(reach.model_copy(update={"namespaces": left.namespaces}))
    return channel.model_copy(update={"reach": tuple(seen)}) if seen else None


def _words(reaches: tuple[Reach, ...]) -> str:
    said = (f"{one.cluster_name}/{'*' if one.namespaces is None else ','.join(one.namespaces)}" for one in reaches)
    return "; ".join(said) or "nothing"


def _audit(
    session: Session,
    action: str,
    row: SlackChannelRow,
    principal: Principal,
    now: datetime,
    door: str,
    detail: dict[str, str],
) -> None:
    subject = f"slack:{row.team}/{row.channel}"
    record(session, Entry(principal.account, action, subject, now, door=door, detail=detail, tenant=principal.tenant))
