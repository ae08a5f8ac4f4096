"""Alerts as Alertmanager posts them, and the services that take them, over both databases.

async def test_something(alerts: AlertRows) -> None:
    await alerts.post(firing("payments-1"))
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from agent_runtime.alert_words import opening
from control_plane.alerts.arriving import Taken
from control_plane.alerts.groups import Alerts
from control_plane.alerts.intake import Read, alertmanager
from control_plane.alerts.routes import AlertRoutes, Target
from control_plane.alerts.threads import AlertThreads
from control_plane.alerts.tokens import AlertTokens
from control_plane.alerts.values import Group
from protocol.canonical import sha256_hex
from tests.integration.desk import Desk
from tests.integration.slack_rows import Rows

NEVER = "0001-01-01T00:00:00Z"


def alert(pod: str = "payments-1", *, status: str = "firing", starts: str, ends: str = NEVER, **labels: str) -> dict[str, Any]:
    """One of `alerts`, with the fields that Alertmanager 0.25 sends."""
    said = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "severity": "warning"} | labels
    return {
        "status": status,
        "labels": said,
        "annotations": {"summary": f"Pod {said['namespace']}/{pod} is restarting.", "runbook_url": "https://runbooks/crash"},
        "startsAt": starts,
        "endsAt": ends,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": sha256_hex(repr(sorted(said.items())).encode())[:16],
    }


def webhook(*alerts: dict[str, Any], key: str = '{}:{alertname="KubePodCrashLooping"}', **more: Any) -> dict[str, Any]:
    labels: list[dict[str, str]] = [one["labels"] for one in alerts]
    common = {name: value for name, value in (labels or [{}])[0].items() if all(one.get(name) == value for one in labels)}
    return {
        "receiver": "opsthread",
        "status": "firing" if any(one["status"] == "firing" for one in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {"alertname": common.get("alertname", "")},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        **more,
    }


@dataclass
class AlertRows:
    rows: Rows
    alerts: Alerts
    routes: AlertRoutes
    tokens: AlertTokens
    threads: AlertThreads

    @property
    def desk(self) -> Desk:
        return self.rows.desk

    @property
    def cluster(self) -> str:
        return self.desk.cluster.id

    def at(self, **later: float) -> str:
        """A time as Alertmanager writes it, from the desk's clock on."""
        moved: datetime = self.desk.clock() + timedelta(**later)
        return moved.isoformat().replace("+00:00", "Z")

    def firing(self, pod: str = "payments-1", starts: str = "", **labels: str) -> dict[str, Any]:
        return alert(pod, starts=starts or self.at(minutes=-5), **labels)

    def read(self, body: object, cluster: str | None = "") -> Read:
        names = {"shop": self.cluster, self.cluster: self.cluster}
        return alertmanager(body, cluster=self.cluster if cluster == "" else cluster, clusters=names)

    async def post(self, *members: dict[str, Any], **more: Any) -> Taken:
        return await self.alerts.take(self.read(webhook(*members, **more)).reports)

    async def group(self, taken: Taken) -> Group:
        return await self.alerts.get(taken.groups[0])

    async def open(self, group: str, target: Target | None = None) -> str | None:
        speaker = await self.threads.speaker(self.cluster)
        return await self.threads.open(group, target or Target(), speaker, opening)


def resolved(member: dict[str, Any], ends: str) -> dict[str, Any]:
    return {**member, "status": "resolved", "endsAt": ends}


@pytest.fixture
def alerts(slack: Rows) -> AlertRows:
    return alerts_over(slack)


def alerts_over(rows: Rows) -> AlertRows:
    desk = rows.desk
    return AlertRows(
        rows,
        Alerts(desk.database, desk.wakeups, clock=desk.clock),
        AlertRoutes(desk.database, rows.channels, clock=desk.clock),
        AlertTokens(desk.database, clock=desk.clock),
        AlertThreads(desk.database, desk.conversations, clock=desk.clock),
    )
