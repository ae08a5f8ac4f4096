"""Where the thread of a group goes: the first route that fits says it; without one, to the web alone."""

import builtins
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import select

from control_plane.alerts.matchers import matchers
from control_plane.alerts.tokens import administers
from control_plane.alerts.values import SEVERITIES, Severity, rank
from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, Invalid, NotFound
from control_plane.principals import Principal
from control_plane.slack.channels import Channel, Channels
from control_plane.tables.alerts import AlertRouteRow
from control_plane.tables.fleet import ClusterRow
from protocol.approval import Role
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.events import Language
from protocol.ids import is_id, new_id
from protocol.text import one_line

MOST = 100
THREADS_PER_HOUR = 10
"""Also of the web alone, for each cluster: a storm must not ask the model a hundred times."""
ALL = ("*",)


class Route(Value):
    id: str
    position: int
    clusters: tuple[str, ...] = ALL
    """Ids, or "*"."""
    cluster_names: tuple[str, ...] = ALL
    namespaces: tuple[str, ...] = ALL
    matchers: tuple[str, ...] = ()
    least_severity: Severity = "info"
    team: str = ""
    channel: str = ""
    """"" for the web alone."""
    threads_per_hour: int = THREADS_PER_HOUR
    language: Language = "en"
    created_by: str = ""
    created_at: datetime | None = None
    problem: str = ""
    """Why its threads go to the web alone at present."""

    def fits(self, cluster: str, namespace: str, labels: Mapping[str, str], severity: Severity) -> bool:
        """Pure."""
        if "*" not in self.clusters and cluster not in self.clusters:
            return False
        if "*" not in self.namespaces and namespace not in self.namespaces:
            return False
        if rank(severity) < rank(self.least_severity):
            return False
        return all(one.fits(labels) for one in matchers(self.matchers))


class NewRoute(Value):
    clusters: tuple[str, ...] = ALL
    """Names or ids."""
    namespaces: tuple[str, ...] = ALL
    matchers: tuple[str, ...] = ()
    least_severity: Severity = "info"
    team: str = ""
    channel: str = ""
    threads_per_hour: int = THREADS_PER_HOUR
    language: Language = "en"
    position: int | None = None
    """1 is asked first; None: behind all others."""


class Target(Value):
    """What a route means for one group now."""

    route: str = ""
    """"" for none."""
    team: str = ""
    channel: str = ""
    namespaces: tuple[str, ...] | None = None
    """What the thread may show; None for the whole cluster. On the web alone it is what the route is about, so that people of
    these namespaces can read it."""
    threads_per_hour: int = THREADS_PER_HOUR
    language: Language = "en"
    fell: str = ""
    """Why it goes to the web alone although its route names a channel."""


class AlertRoutes:
    """Who adds, moves or takes away a route is an admin of all the clusters that it is about."""

    def __init__(self, database: Database, channels: Channels, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._channels = channels
        self._clock = clock

    async def list(self, principal: Principal) -> tuple[Route, ...]:
        """In order; those of clusters of which the principal sees something."""
        async with self._db.read() as session:
            routes = await _routes(session, principal.tenant)
        seen = [route for route in routes if principal.admin or any(_sees(principal, one) for one in route.clusters)]
        return tuple([route.model_copy(update={"problem": await self._problem(route)}) for route in seen])

    async def add(self, principal: Principal, new: NewRoute, *, door: str = "") -> Route:
        """Raises Invalid (matchers, names, a channel that is not bound to what it is about), NotFound (cluster), Forbidden."""
        matchers(new.matchers)
        _require_sound(new)
        channel = await self._channels.get(new.team, new.channel) if new.channel else None
        now = self._clock()
        async with self._db.transaction() as session:
            names = await _clusters(session, principal.tenant)
            clusters = _chosen(new.clusters, names, principal)
            _require_admin(principal, clusters)
            if new.channel:
                _require_bound(channel, new, clusters, names)
            rows = await _locked(session, principal.tenant)
            if len(rows) >= MOST:
                raise Invalid(f"there are {len(rows)} routes, which is the most; take one away first")
            row = AlertRouteRow(
                id=new_id(),
                tenant_id=principal.tenant,
                position=0,
                clusters=json.dumps(clusters),
                namespaces=json.dumps(new.namespaces),
                matchers=json.dumps(new.matchers),
                least_severity=new.least_severity,
                team=new.team if new.channel else "",
                channel=new.channel,
                threads_per_hour=new.threads_per_hour,
                language=new.language,
                created_by=principal.account,
                created_at=now,
            )
            session.add(row)
            _place(rows, row, new.position)
            _audit(session, "alerts.route_added", row, principal, now, door)
            return _route(row, names)

    async def move(self, route: str, position: int, principal: Principal, *, door: str = "") -> Route:
        """To this place, counted from 1. Raises NotFound, Forbidden."""
        now = self._clock()
        async with self._db.transaction() as session:
            rows = await _locked(session, principal.tenant)
            row = _mine(rows, route, principal)
            _place([other for other in rows if other is not row], row, position)
            _audit(session, "alerts.route_moved", row, principal, now, door)
            return _route(row, await _clusters(session, principal.tenant))

    async def remove(self, route: str, principal: Principal, *, door: str = "") -> None:
        """What it has sent somewhere stays there. Raises NotFound, Forbidden."""
        now = self._clock()
        async with self._db.transaction() as session:
            rows = await _locked(session, principal.tenant)
            row = _mine(rows, route, principal)
            await session.delete(row)
            for position, other in enumerate((one for one in rows if one is not row), start=1):
                other.position = position
            _audit(session, "alerts.route_removed", row, principal, now, door)

    async def choose(
        self, cluster: str, namespace: str, labels: Mapping[str, str], severity: Severity, *, tenant: str = "default"
    ) -> Route | None:
        """The first that fits; None: the web alone."""
        async with self._db.read() as session:
            routes = await _routes(session, tenant)
        return next((route for route in routes if route.fits(cluster, namespace, labels, severity)), None)

    async def target(self, cluster: str, namespace: str, labels: Mapping[str, str], severity: Severity) -> Target:
        """Where a group goes now. A channel that no longer reaches what the group is about gets nothing of it."""
        route = await self.choose(cluster, namespace, labels, severity)
        if route is None:
            return Target()
        over = None if "*" in route.namespaces else tuple(sorted(route.namespaces))
        at = Target(route=route.id, namespaces=over, threads_per_hour=route.threads_per_hour, language=route.language)
        if not route.channel:
            return at
        channel = await self._channels.get(route.team, route.channel)
        reach = covers(channel, cluster, namespace)
        if isinstance(reach, str):
            return at.model_copy(update={"fell": reach})
        return at.model_copy(update={"team": route.team, "channel": route.channel, "namespaces": reach.namespaces})

    async def get(self, route: str) -> Route | None:
        async with self._db.read() as session:
            row = await session.get(AlertRouteRow, route) if is_id(route) else None
            return _route(row, await _clusters(session, row.tenant_id)) if row is not None else None

    async def _problem(self, route: Route) -> str:
        """Of a route over all clusters: none of them is reached."""
        if not route.channel:
            return ""
        channel = await self._channels.get(route.team, route.channel)
        if channel is None:
            return f"channel {route.channel} is not bound to anything any more; its threads go to the web alone"
        clusters = tuple(reach.cluster for reach in channel.reach) if "*" in route.clusters else route.clusters
        names = ("",) if "*" in route.namespaces else route.namespaces
        # A channel of some namespaces, under a route of all of them, gets what it may see.
        some = "*" in route.namespaces
        missing = [
            cluster
            for cluster in clusters
            if channel.over(cluster) is None
            or (not some and any(isinstance(covers(channel, cluster, name), str) for name in names))
        ]
        if clusters and not missing:
            return ""
        return f"channel {route.channel} no longer reaches all that this route is about; the rest goes to the web alone"


def covers(channel: Channel | None, cluster: str, namespace: str) -> ScopeLimit | str:
    """What a thread in this channel may show of a cluster, when the alerts of this namespace ("" for several or none) may be
    shown there; else why not. Pure."""
    over = channel.over(cluster) if channel is not None else None
    if over is None:
        return "the route's channel is not bound to this cluster any more"
    if over.namespaces is not None and namespace not in over.namespaces:
        if namespace:
            return f"the route's channel does not reach namespace {namespace} of this cluster"
        return "these alerts are about more than the namespaces that the route's channel reaches"
    return over


def _require_sound(new: NewRoute) -> None:
    if new.least_severity not in SEVERITIES:
        raise Invalid(f"the least severity is one of {', '.join(SEVERITIES)}")
    if not 1 <= new.threads_per_hour <= 200:
        raise Invalid("threads_per_hour is between 1 and 200; what comes on top goes into a digest")
    if bool(new.team) != bool(new.channel) or max(len(new.team), len(new.channel)) > 32:
        raise Invalid("a Slack channel is named by the ids of its workspace and itself, such as T0123456 and C0123456")
    if not new.namespaces or not new.clusters or max(len(new.namespaces), len(new.clusters)) > 50:
        raise Invalid("a route is about 1 to 50 clusters and namespaces; * is all of them")
    try:
        ScopeLimit(namespaces=tuple(name for name in new.namespaces if name != "*"))
    except ValueError:
        raise Invalid(f"{one_line(', '.join(new.namespaces), 100)!r} are not names of namespaces") from None


def _require_bound(channel: Channel | None, new: NewRoute, clusters: Sequence[str], names: Mapping[str, str]) -> None:
    """Raises Invalid, with what to do."""
    if channel is None or not channel.reach:
        raise Invalid(
            f"channel {new.channel} is not bound to a cluster, so it sees nothing; bind it with `opsthread slack bind`"
        )
    for cluster in clusters:
        over = channel.over(cluster) if cluster != "*" else ScopeLimit()
        if over is None:
            raise Invalid(f"channel {new.channel} is not bound to cluster {names[cluster]}; bind it, or choose another channel")
        for namespace in new.namespaces:
            if namespace != "*" and not over.allows(namespace):
                raise Invalid(f"channel {new.channel} does not reach namespace {namespace} of cluster {names[cluster]}")


def _chosen(said: Iterable[str], names: Mapping[str, str], principal: Principal) -> builtins.list[str]:
    """Ids. Raises NotFound."""
    ids = {name: key for key, name in names.items()}
    chosen: dict[str, None] = {}
    for one in said:
        key = "*" if one == "*" else one if one in names else ids.get(one)
        if key is None or (key != "*" and not principal.sees_some_of(key)):
            raise NotFound(f"there is no cluster {one_line(one, 40)!r}")
        chosen[key] = None
    return ["*"] if "*" in chosen else [*chosen]


def _require_admin(principal: Principal, clusters: Sequence[str]) -> None:
    if not all(administers(principal, None if cluster == "*" else cluster) for cluster in clusters):
        raise Forbidden("a route needs an admin of every whole cluster that it is about; ask one")


def _mine(rows: Sequence[AlertRouteRow], route: str, principal: Principal) -> AlertRouteRow:
    row = next((one for one in rows if one.id == route), None)
    clusters = cast(list[str], json.loads(row.clusters)) if row is not None else []
    if row is None or not (principal.admin or any(_sees(principal, one) for one in clusters)):
        raise NotFound(f"there is no alert route {one_line(route, 40)!r}")
    _require_admin(principal, clusters)
    return row


def _sees(principal: Principal, cluster: str) -> bool:
    """Who runs all that is in one cluster may know what goes where of it."""
    return principal.role_in("*" if cluster == "*" else cluster, None) is Role.ADMIN


def _place(others: Sequence[AlertRouteRow], row: AlertRouteRow, position: int | None) -> None:
    order = [*others]
    order.insert(len(order) if position is None else max(0, min(position - 1, len(order))), row)
    for place, one in enumerate(order, start=1):
        one.position = place


async def _locked(session: Session, tenant: str) -> Sequence[AlertRouteRow]:
    query = select(AlertRouteRow).where(AlertRouteRow.tenant_id == tenant)
    return (await session.scalars(query.order_by(AlertRouteRow.position, AlertRouteRow.id).with_for_update())).all()


async def _routes(session: Session, tenant: str) -> builtins.list[Route]:
    query = select(AlertRouteRow).where(AlertRouteRow.tenant_id == tenant)
    rows = (await session.scalars(query.order_by(AlertRouteRow.position, AlertRouteRow.created_at, AlertRouteRow.id))).all()
    names = await _clusters(session, tenant) if rows else {}
    return [_route(row, names) for row in rows]


async def _clusters(session: Session, tenant: str) -> dict[str, str]:
    rows = await session.execute(select(ClusterRow.id, ClusterRow.name).where(ClusterRow.tenant_id == tenant))
    return {row.id: row.name for row in rows}


def _route(row: AlertRouteRow, names: Mapping[str, str]) -> Route:
    clusters = cast(list[str], json.loads(row.clusters))
    return Route(
        id=row.id,
        position=row.position,
        clusters=tuple(clusters),
        cluster_names=tuple(names.get(one, one) for one in clusters),
        namespaces=tuple(json.loads(row.namespaces)),
        matchers=tuple(json.loads(row.matchers)),
        least_severity=cast(Severity, row.least_severity),
        team=row.team,
        channel=row.channel,
        threads_per_hour=row.threads_per_hour,
        language=cast(Language, row.language),
        created_by=row.created_by,
        created_at=row.created_at,
    )


def _audit(session: Session, action: str, row: AlertRouteRow, principal: Principal, now: datetime, door: str) -> None:
    detail = {
        "position": str(row.position),
        "clusters": row.clusters,
        "namespaces": row.namespaces,
        "matchers": row.matchers,
        "channel": f"{row.team}/{row.channel}" if row.channel else "web",
    }
    subject = f"alert-route:{row.id}"
    record(session, Entry(principal.account, action, subject, now, door=door, detail=detail, tenant=principal.tenant))
