"""Alerts as they come: once whatever comes twice, in whatever order, by however many replicas; what people do to them."""

import asyncio
from datetime import timedelta

import pytest

from control_plane.alerts.forgetting import forget_alerts, let_go_of
from control_plane.errors import Conflict, Forbidden, Invalid, NotFound
from control_plane.tables import AlertGroupRow, AlertRow, AuditEntryRow
from protocol.approval import Role
from tests.integration.alert_rows import AlertRows, alerts, resolved, webhook

__all__ = ["alerts"]


async def test_the_same_post_twice_changes_nothing(alerts: AlertRows) -> None:
    first = alerts.firing()
    taken = await alerts.post(first)
    assert (taken.changed, taken.left_out) == (1, 0)
    before = await alerts.group(taken)
    assert (before.state, before.severity, before.namespace, before.title) == (
        "firing",
        "warning",
        "shop",
        "KubePodCrashLooping",
    )
    assert before.objects == ("Pod/shop/payments-1",)
    assert [(one.name, one.state, one.fired) for one in before.alerts] == [("KubePodCrashLooping", "firing", 1)]
    alerts.desk.clock.move(minutes=1)
    again = await alerts.post(first)
    assert (again.changed, again.groups) == (0, taken.groups)
    assert await alerts.group(again) == before


async def test_alerts_join_and_resolve_in_the_same_group(alerts: AlertRows) -> None:
    first, second = alerts.firing(), alerts.firing("payments-2", severity="critical", namespace="billing")
    taken = await alerts.post(first)
    assert (await alerts.post(first, second)).groups == taken.groups
    group = await alerts.group(taken)
    assert (group.revision, group.severity, group.namespace, group.firing) == (2, "critical", "", 2)
    ended = resolved(second, alerts.at())
    await alerts.post(first, ended)
    group = await alerts.group(taken)
    assert (group.state, group.severity, group.firing, group.resolved) == ("firing", "warning", 1, 1)
    await alerts.post(resolved(first, alerts.at()))
    group = await alerts.group(taken)
    assert (group.state, group.firing, group.resolved, group.resolved_at) == ("resolved", 0, 2, alerts.desk.clock())


async def test_what_comes_out_of_order_is_understood(alerts: AlertRows) -> None:
    first = alerts.firing()
    ended = resolved(first, alerts.at())
    taken = await alerts.post(ended)
    assert (await alerts.group(taken)).state == "resolved", "resolved before it fired"
    assert (await alerts.post(first)).changed == 0, "the same start, delivered late"
    older = alerts.firing(starts=alerts.at(hours=-2))
    assert (await alerts.post(older)).changed == 0, "a start from before"
    assert (await alerts.group(taken)).state == "resolved"
    newer = alerts.firing(starts=alerts.at(minutes=1))
    assert (await alerts.post(newer)).changed == 1
    group = await alerts.group(taken)
    assert (group.state, group.resolved_at, group.alerts[0].fired) == ("firing", None, 2)
    assert (await alerts.post(ended)).changed == 0, "the end of the start before"
    assert (await alerts.group(taken)).state == "firing"


async def test_an_alert_that_a_restarted_prometheus_sends_anew_fires_again(alerts: AlertRows) -> None:
    first = alerts.firing()
    taken = await alerts.post(first)
    await alerts.post(resolved(first, alerts.at()))
    alerts.desk.clock.move(minutes=14)
    assert (await alerts.post(first)).changed == 0
    alerts.desk.clock.move(minutes=2)
    assert (await alerts.post(first)).changed == 1
    assert (await alerts.group(taken)).state == "firing"


async def test_a_group_reopens_within_a_day_and_is_a_new_one_after(alerts: AlertRows) -> None:
    first = alerts.firing()
    taken = await alerts.post(first)
    opened = await alerts.open(taken.groups[0])
    ann = await alerts.desk.person("ann", Role.OPERATOR)
    await alerts.alerts.acknowledge(taken.groups[0], ann)
    await alerts.post(resolved(first, alerts.at()))
    alerts.desk.clock.move(hours=23)
    again = await alerts.post(alerts.firing())
    assert again.groups == taken.groups
    group = await alerts.group(again)
    assert (group.conversation, group.generation, group.acknowledged_by) == (opened, 1, "")
    await alerts.post(resolved(alerts.firing(), alerts.at()))
    alerts.desk.clock.move(hours=25)
    later = await alerts.post(alerts.firing())
    assert later.groups != taken.groups
    group = await alerts.group(later)
    assert (group.generation, group.state, group.conversation, group.alerts[0].fired) == (2, "firing", None, 1)
    assert (await alerts.alerts.get(taken.groups[0])).state == "resolved"


async def test_replicas_that_take_the_same_at_once_make_one_group(alerts: AlertRows) -> None:
    """And what they took apart is all there."""
    members = [alerts.firing(f"payments-{n}") for n in range(6)]
    bodies = [webhook(*members[: n + 1]) for n in range(6)] * 2
    taken = await asyncio.gather(*(alerts.alerts.take(alerts.read(body).reports) for body in bodies))
    assert len({one.groups for one in taken}) == 1
    groups, rows = await alerts.rows.all(AlertGroupRow), await alerts.rows.all(AlertRow)
    assert (len(groups), len(rows)) == (1, 6)
    assert {row.fired for row in rows} == {1}
    assert groups[0].revision == sum(one.changed for one in taken)


async def test_a_new_generation_is_made_once(alerts: AlertRows) -> None:
    first = alerts.firing()
    await alerts.post(first)
    await alerts.post(resolved(first, alerts.at()))
    alerts.desk.clock.move(hours=25)
    reports = alerts.read(webhook(alerts.firing())).reports
    taken = await asyncio.gather(*(alerts.alerts.take(reports) for _ in range(5)))
    assert len({one.groups for one in taken}) == 1
    assert sum(one.changed for one in taken) == 1
    assert {row.generation for row in await alerts.rows.all(AlertGroupRow)} == {1, 2}


async def test_groups_are_seen_by_those_who_see_all_of_what_they_are_about(alerts: AlertRows) -> None:
    taken = await alerts.post(alerts.firing())
    of_shop = await alerts.desk.person("sam", Role.OPERATOR, namespaces=("shop",))
    of_web = await alerts.desk.person("wes", Role.APPROVER, namespaces=("web",))
    assert [one.id for one in await alerts.alerts.list(of_shop)] == list(taken.groups)
    assert await alerts.alerts.list(of_web) == ()
    for attempt in (alerts.alerts.get(taken.groups[0], of_web), alerts.alerts.wrong(taken.groups[0], of_web, "no")):
        with pytest.raises(NotFound):
            await attempt
    # An alert of another namespace joins: who sees only one of them would read about the other.
    await alerts.post(alerts.firing(), alerts.firing("till-1", namespace="billing"))
    assert await alerts.alerts.list(of_shop) == ()
    with pytest.raises(NotFound):
        await alerts.alerts.get(taken.groups[0], of_shop)


async def test_who_may_acknowledge_silence_and_say_wrong(alerts: AlertRows) -> None:
    group = (await alerts.post(alerts.firing())).groups[0]
    viewer, ann = await alerts.desk.person("vera", Role.VIEWER), await alerts.desk.person("ann", Role.OPERATOR)
    for attempt in (alerts.alerts.acknowledge(group, viewer), alerts.alerts.silence(group, viewer, "1h")):
        with pytest.raises(Forbidden, match="needs the role operator over namespace shop; you have viewer"):
            await attempt
    with pytest.raises(Invalid, match="what is wrong"):
        await alerts.alerts.wrong(group, viewer, "  \u200b ")
    said = await alerts.alerts.wrong(group, viewer, "it is the deploy, token=ghp_abcdefghijklmnopqrstuvwxyz0123456789")
    assert said.wrong_by_name == "Vera"
    assert "ghp_" not in said.wrong_reason
    seen = await alerts.alerts.acknowledge(group, ann, door="slack")
    assert (seen.acknowledged_by_name, seen.acknowledged_at, seen.revision) == ("Ann", alerts.desk.clock(), 3)
    bob = await alerts.desk.person("bob", Role.OPERATOR)
    assert (await alerts.alerts.acknowledge(group, bob)).acknowledged_by_name == "Ann", "who was first stays"
    assert (await alerts.alerts.acknowledge(group, bob, on=False)).acknowledged_by_name == ""
    audit = [row for row in await alerts.rows.all(AuditEntryRow) if row.action.startswith("alert.")]
    assert [(row.action, row.actor_name, row.door) for row in sorted(audit, key=lambda row: row.seq)] == [
        ("alert.said_wrong", "Vera", ""),
        ("alert.acknowledged", "Ann", "slack"),
        ("alert.unacknowledged", "Bob", ""),
    ]
    await alerts.post(resolved(alerts.firing(), alerts.at()))
    with pytest.raises(Conflict, match="were resolved at 12:00:00 UTC"):
        await alerts.alerts.silence(group, ann, "4h")


async def test_a_silence_ends_by_time_or_when_the_group_is_resolved(alerts: AlertRows) -> None:
    first = alerts.firing()
    group = (await alerts.post(first)).groups[0]
    ann = await alerts.desk.person("ann", Role.OPERATOR)
    silenced = await alerts.alerts.silence(group, ann, "1h")
    assert silenced.silenced_until == alerts.desk.clock() + timedelta(hours=1)
    assert await alerts.threads.waiting() == ()
    assert await alerts.open(group) is None, "no thread while it is silenced"
    alerts.desk.clock.move(minutes=59)
    assert await alerts.alerts.end_silences() == 0
    alerts.desk.clock.move(minutes=1)
    assert await alerts.alerts.end_silences() == 1
    assert not (await alerts.alerts.get(group)).silenced
    assert [one.id for one in await alerts.threads.waiting()] == [group]
    await alerts.alerts.silence(group, ann, "resolved")
    alerts.desk.clock.move(days=3)
    assert await alerts.alerts.end_silences() == 0
    await alerts.post(resolved(first, alerts.at()))
    assert not (await alerts.alerts.get(group)).silenced
    await alerts.post(alerts.firing(starts=alerts.at(minutes=1)))
    assert (await alerts.alerts.silence(group, ann, "4h")).silenced
    assert not (await alerts.alerts.silence(group, ann, "off")).silenced


async def test_what_surfaces_have_been_told_is_noted_once(alerts: AlertRows) -> None:
    group = (await alerts.post(alerts.firing())).groups[0]
    assert [(one.id, one.revision, one.told) for one in await alerts.alerts.changed()] == [(group, 1, 0)]
    async with alerts.desk.database.transaction() as session:
        await alerts.alerts.told(session, group, 1)
    assert await alerts.alerts.changed() == ()
    await alerts.post(alerts.firing(), alerts.firing("payments-2"))
    assert [(one.revision, one.told) for one in await alerts.alerts.changed()] == [(2, 1)]


async def test_what_was_resolved_long_ago_is_forgotten(alerts: AlertRows) -> None:
    over, fires = alerts.firing(), alerts.firing("payments-2")
    old = (await alerts.post(over, key="old")).groups[0]
    conversation = await alerts.open(old)
    kept = (await alerts.post(fires, key="kept")).groups[0]
    await alerts.post(resolved(over, alerts.at()), key="old")
    now = alerts.desk.clock.move(days=91)
    async with alerts.desk.database.transaction() as session:
        await let_go_of(session, conversation or "")
        assert await forget_alerts(session, now, 100) == 1
        assert await forget_alerts(session, now, 100) == 0
    assert [row.id for row in await alerts.rows.all(AlertGroupRow)] == [kept]
    assert {row.alert_group for row in await alerts.rows.all(AlertRow)} == {kept}


async def test_what_is_heard_of_no_more_is_over_after_a_week(alerts: AlertRows) -> None:
    lost = (await alerts.post(alerts.firing(), key="lost")).groups[0]
    told = alerts.firing("payments-2")
    kept = (await alerts.post(told, key="kept")).groups[0]
    for _ in range(8):
        alerts.desk.clock.move(days=1)
        await alerts.post(told, key="kept")
    assert await alerts.alerts.end_unheard() == 1
    assert await alerts.alerts.end_unheard() == 0
    now = await alerts.alerts.get(lost)
    assert (now.state, now.firing, now.resolved, now.resolved_at) == ("resolved", 0, 1, alerts.desk.clock())
    assert (await alerts.alerts.get(kept)).state == "firing"
