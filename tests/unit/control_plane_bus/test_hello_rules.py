"""Which runner becomes its cluster's active one: the rule as a table."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.fleet import health_of, visible_scope
from control_plane.presence import Known, why_refused
from control_plane.principals import Principal, ScopedRole
from control_plane.tables.fleet import ClusterRow, RunnerRow
from protocol.approval import Role
from protocol.bus import ClusterSummary, Hello

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
FRESH, STALE = NOW - timedelta(seconds=10), NOW - timedelta(seconds=46)
CLUSTER, ONE, OTHER = "c" * 16, "a" * 16, "b" * 16


def runner(which: str, **more: object) -> RunnerRow:
    fields: dict[str, object] = {"boot": "", "started_at": None, "last_heartbeat": None, "revoked_at": None}
    return RunnerRow(id=which, cluster=CLUSTER, public_key=which, **{**fields, **more})


def hello(**more: object) -> Hello:
    fields: dict[str, object] = {"boot": "new", "version": "1", "started_at": NOW, "clock": NOW}
    return Hello.model_validate({"cluster": CLUSTER, "runner": ONE, **fields, **more})


SHOP = ClusterRow(id=CLUSTER, name="shop")
EARLIER, LATER = NOW - timedelta(hours=1), NOW + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("case", "said", "known", "reason"),
    [
        ("first hello", hello(), Known(runner(ONE), SHOP, None), ""),
        ("not enrolled", hello(), None, "is not enrolled"),
        ("revoked", hello(), Known(runner(ONE, revoked_at=NOW), SHOP, None), "was revoked"),
        ("speaks more", hello(speaks=(1, 2)), Known(runner(ONE), SHOP, None), ""),
        ("speaks other", hello(speaks=(2,)), Known(runner(ONE), SHOP, None), "speaks protocol 1, the runner 2"),
        ("speaks nothing", hello(speaks=()), Known(runner(ONE), SHOP, None), "speaks protocol"),
        ("other online", hello(), Known(runner(ONE), SHOP, runner(OTHER, last_heartbeat=FRESH)), "has an active runner"),
        ("other silent", hello(), Known(runner(ONE), SHOP, runner(OTHER, last_heartbeat=STALE)), ""),
        ("other revoked", hello(), Known(runner(ONE), SHOP, runner(OTHER, last_heartbeat=FRESH, revoked_at=NOW)), ""),
        ("restart", hello(), Known(runner(ONE, boot="old", started_at=EARLIER, last_heartbeat=FRESH), SHOP, None), ""),
        ("again", hello(), Known(runner(ONE, boot="new", started_at=NOW, last_heartbeat=FRESH), SHOP, None), ""),
        (
            "earlier start comes back",
            hello(),
            Known(runner(ONE, boot="later", started_at=LATER, last_heartbeat=FRESH), SHOP, None),
            "two processes",
        ),
        (
            "earlier start, later one silent",
            hello(),
            Known(runner(ONE, boot="later", started_at=LATER, last_heartbeat=STALE), SHOP, None),
            "",
        ),
    ],
)
def test_the_rule(case: str, said: Hello, known: Known | None, reason: str) -> None:
    answer = why_refused(said, known, NOW)
    assert bool(answer) == bool(reason), case
    assert reason in answer


@pytest.mark.parametrize(
    ("summary", "online", "health"),
    [
        (ClusterSummary(cache="warm"), True, "healthy"),
        (ClusterSummary(cache="warm"), False, "unknown"),
        (ClusterSummary(), True, "unknown"),
        (ClusterSummary(cache="warm", findings={"low": 3}), True, "healthy"),
        (ClusterSummary(cache="warm", findings={"medium": 1}), True, "degraded"),
        (ClusterSummary(cache="stale", findings={"high": 1}), True, "degraded"),
        (ClusterSummary(cache="warm", findings={"critical": 1, "low": 1}), True, "unhealthy"),
        (ClusterSummary(cache="warm", nodes=3, nodes_ready=2), True, "degraded"),
    ],
)
def test_health(summary: ClusterSummary, online: bool, health: str) -> None:
    assert health_of(summary, online=online) == health


def test_a_scope_is_the_union_of_roles_by_id_and_by_name() -> None:
    def sees(*roles: tuple[str, str]) -> tuple[str, ...] | None:
        granted = tuple(ScopedRole(role=Role.VIEWER, clusters=(c,), namespaces=(n,)) for c, n in roles)
        return visible_scope(Principal(account="a", name="A", roles=granted), CLUSTER, "shop").namespaces

    assert sees((CLUSTER, "x"), ("shop", "y")) == ("x", "y")
    assert sees((CLUSTER, "x"), ("shop", "*")) is None
    assert sees(("bank", "x")) == ()
