"""Alerts that came from outside, in their groups; where their threads go; the tokens that let them in."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class AlertGroupRow(Table):
    """One thread. The same group firing again long after it was resolved is a new generation with a thread of its own."""

    __tablename__ = "alert_groups"
    __table_args__ = (
        UniqueConstraint("tenant_id", "key", "generation"),
        Index("ix_alert_groups_state", "state", "updated_at"),
        Index("ix_alert_groups_reach", "tenant_id", "cluster", "namespace", "updated_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    """SHA-256 of source, cluster and the source's own group key."""
    generation: Mapped[int] = mapped_column(default=1)
    source: Mapped[str] = mapped_column(String(32))
    """alertmanager; later the watch."""
    cluster: Mapped[str] = mapped_column(String(32))
    namespace: Mapped[str] = mapped_column(String(63), default="")
    """"" when its alerts are of several namespaces, or of none."""
    severity: Mapped[str] = mapped_column(String(16))
    """critical, warning or info; see control_plane.alerts."""
    title: Mapped[str] = mapped_column(String(300))
    labels: Mapped[str] = mapped_column(Text)
    """What its alerts have in common, as JSON."""
    state: Mapped[str] = mapped_column(String(16))
    """firing, resolved."""
    revision: Mapped[int] = mapped_column(default=1)
    """One more with each change that its message shows."""
    told: Mapped[int] = mapped_column(default=0)
    """The revision that the surfaces have been given."""
    route: Mapped[str | None] = mapped_column(String(32))
    in_digest: Mapped[bool] = mapped_column(default=False)
    """There were too many: it is a line of the route's digest instead of a thread."""
    conversation: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(String(64), default="")
    acknowledged_by_name: Mapped[str] = mapped_column(String(200), default="")
    acknowledged_at: Mapped[datetime | None]
    silenced_by_name: Mapped[str] = mapped_column(String(200), default="")
    silenced_until: Mapped[datetime | None]
    silenced_until_resolved: Mapped[bool] = mapped_column(default=False)
    wrong_by_name: Mapped[str] = mapped_column(String(200), default="")
    wrong_reason: Mapped[str] = mapped_column(String(1000), default="")
    wrong_at: Mapped[datetime | None]


class AlertRow(Table):
    """An alert by its fingerprint; each start of it counts once."""

    __tablename__ = "alerts"
    __table_args__ = (UniqueConstraint("alert_group", "fingerprint"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    alert_group: Mapped[str] = mapped_column(ForeignKey("alert_groups.id"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(200))
    severity: Mapped[str] = mapped_column(String(16))
    namespace: Mapped[str] = mapped_column(String(63), default="")
    labels: Mapped[str] = mapped_column(Text)
    annotations: Mapped[str] = mapped_column(Text)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    fired: Mapped[int] = mapped_column(default=1)
    """How often it has started."""
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class AlertRouteRow(Table):
    """The first route, by position, that fits a group says where its thread goes."""

    __tablename__ = "alert_routes"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int]
    clusters: Mapped[str] = mapped_column(Text)
    namespaces: Mapped[str] = mapped_column(Text)
    """Both JSON lists, "*" for all."""
    matchers: Mapped[str] = mapped_column(Text)
    """JSON list of Alertmanager's matchers: team="payments", severity=~"critical|warning"."""
    least_severity: Mapped[str] = mapped_column(String(16), default="info")
    team: Mapped[str] = mapped_column(String(32), default="")
    channel: Mapped[str] = mapped_column(String(32), default="")
    """A Slack channel; "" for the web alone."""
    threads_per_hour: Mapped[int] = mapped_column(default=10)
    language: Mapped[str] = mapped_column(String(8), default="en")
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class AlertTokenRow(Table):
    """Lets one sender in, for one cluster."""

    __tablename__ = "alert_tokens"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    cluster: Mapped[str | None] = mapped_column(ForeignKey("clusters.id"))
    """None: the alerts' own label `cluster` names it."""
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
