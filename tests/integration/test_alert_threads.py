"""A group of alerts becomes a thread: opened once, where its route says, by an account that stands for no person."""

import asyncio

import pytest

from agent_runtime.alert_words import further
from control_plane.alerts.routes import NewRoute, Target
from control_plane.alerts.threads import Growth
from control_plane.alerts.values import Group
from control_plane.errors import Forbidden, Invalid, NotFound, NotSignedIn
from control_plane.principals import Principal
from control_plane.roles import principals_in
from control_plane.slack.channels import Reach
from control_plane.tables import AccountRow, AlertGroupRow, AuditEntryRow, ConversationRow
from control_plane.tables.conversations import TurnRow
from protocol.approval import Role
from protocol.events import UserMessage
from tests.integration.alert_rows import AlertRows, alerts, resolved
from tests.integration.desk import crew, refused
from tests.integration.slack_rows import CHANNEL, TEAM

__all__ = ["alerts"]


async def root(alerts: AlertRows) -> Principal:
    return await alerts.desk.person("root", Role.ADMIN)


async def bound(alerts: AlertRows, by: Principal, *namespaces: str) -> None:
    reach = (Reach(cluster="shop", namespaces=namespaces or None),)
    await alerts.rows.channels.bind(by, team=TEAM, channel=CHANNEL, name="#payments", reach=reach)


def to_slack(**more: object) -> NewRoute:
    return NewRoute.model_validate({"team": TEAM, "channel": CHANNEL, "clusters": ("shop",), **more})


async def asked(alerts: AlertRows, conversation: str) -> list[UserMessage]:
    entries = await alerts.desk.conversations.log(conversation)
    return [entry.event for entry in entries if isinstance(entry.event, UserMessage)]


async def target(alerts: AlertRows, group: str) -> Target:
    found = await alerts.alerts.get(group)
    return await alerts.routes.target(found.cluster, found.namespace, found.labels, found.severity)


async def test_a_group_is_opened_once_by_however_many_replicas(alerts: AlertRows) -> None:
    group = (await alerts.post(alerts.firing())).groups[0]
    opened = await asyncio.gather(*(alerts.open(group) for _ in range(6)))
    assert len([one for one in opened if one]) == 1
    assert len(await alerts.rows.all(ConversationRow)) == 1
    assert len([row for row in await alerts.rows.all(AccountRow) if row.name == "opsthread.alerts"]) == 1
    found = await alerts.alerts.get(group)
    assert (found.conversation, found.route, found.revision) == (next(one for one in opened if one), "", 2)
    conversation = await alerts.desk.conversations.get(found.conversation or "")
    assert (conversation.scope.namespaces, conversation.created_by_name) == (None, "Alerts")
    [question] = await asked(alerts, conversation.id)
    assert question.door == "alert"
    assert question.text.startswith("Why is an alert firing for Pod/shop/payments-1 in namespace shop?\n")
    assert [row.may_propose for row in await alerts.rows.all(TurnRow)] == [True]
    assert await alerts.threads.waiting() == ()


async def test_the_account_of_alerts_proposes_and_never_decides(alerts: AlertRows) -> None:
    speaker = await alerts.threads.speaker(alerts.cluster)
    _, bob, _ = await crew(alerts.desk)
    approval = await alerts.desk.propose(speaker)
    assert approval.requester == speaker.account
    async with alerts.desk.database.read() as session:
        electors = [one.name for one in await principals_in(session, now=alerts.desk.clock())]
    assert electors == ["Ann", "Bob", "Carol"], "nobody waits for its vote"
    for principal in (speaker, speaker.model_copy(update={"admin": True})):
        for door in ("web", "slack", "rest", "cli"):
            assert await refused(alerts.desk.decide(approval, principal, door=door)) == "not_a_person"
    assert (await alerts.desk.decide(approval, bob)).state == "approved"
    accounts = alerts.desk.accounts
    for attempt in (
        accounts.make_link(speaker.account, by="system"),
        accounts.set_password(speaker.account, "correct horse battery staple", by="system"),
        accounts.set_email(speaker.account, "alerts@example.com", by="system"),
        accounts.set_roles(speaker.account, (), by="system"),
    ):
        with pytest.raises(Forbidden, match="nobody signs in as this account"):
            await attempt
    with pytest.raises(Invalid, match=r"can't begin with 'opsthread\.alerts'"):
        await accounts.create("opsthread.alerts", "", (), by="system")
    assert not (await accounts.get(speaker.account)).person
    await accounts.disable(speaker.account, by="system")
    with pytest.raises(NotSignedIn):
        await alerts.threads.speaker(alerts.cluster)


async def test_the_account_operates_only_clusters_whose_alerts_came(alerts: AlertRows) -> None:
    other = (await alerts.desk.fleet.create("warehouse", by="system")).id
    speaker = await alerts.threads.speaker(alerts.cluster)
    again = await alerts.threads.speaker(alerts.cluster)
    assert speaker.roles == again.roles
    assert (speaker.role_in(alerts.cluster, None), speaker.role_in(other, None)) == (Role.OPERATOR, None)
    assert (await alerts.threads.speaker(other)).role_in(other, None) is Role.OPERATOR


async def test_the_first_route_that_fits_says_where_the_thread_goes(alerts: AlertRows) -> None:
    admin = await root(alerts)
    await bound(alerts, admin, "shop")
    await alerts.routes.add(admin, NewRoute(matchers=('team="birds"',)))
    to_channel = await alerts.routes.add(admin, to_slack(namespaces=("shop",), least_severity="warning", language="ja"))
    group = (await alerts.post(alerts.firing())).groups[0]
    found = await target(alerts, group)
    assert (found.route, found.channel, found.namespaces, found.language) == (to_channel.id, CHANNEL, ("shop",), "ja")
    conversation = await alerts.desk.conversations.get(await alerts.open(group, found) or "")
    assert conversation.scope.namespaces == ("shop",), "no more than the channel reaches"
    assert (await asked(alerts, conversation.id))[0].text.startswith("なぜ 名前空間 shop の Pod/shop/payments-1")
    info = (await alerts.post(alerts.firing(severity="info"), key="info")).groups[0]
    assert (await target(alerts, info)).route == "", "below the least severity: the web alone"
    birds = (await alerts.post(alerts.firing(team="birds"), key="birds")).groups[0]
    assert (await target(alerts, birds)).channel == ""
    await alerts.routes.move(to_channel.id, 1, admin)
    assert [route.position for route in await alerts.routes.list(admin)] == [1, 2]
    assert (await target(alerts, birds)).route == to_channel.id
    await alerts.routes.remove(to_channel.id, admin)
    assert [(route.position, route.matchers) for route in await alerts.routes.list(admin)] == [(1, ('team="birds"',))]


async def test_a_route_to_a_channel_that_does_not_reach_it_is_refused(alerts: AlertRows) -> None:
    admin = await root(alerts)
    await alerts.desk.fleet.create("warehouse", by="system")
    for new, words in ((to_slack(), "is not bound to a cluster"),):
        with pytest.raises(Invalid, match=words):
            await alerts.routes.add(admin, new)
    await bound(alerts, admin, "shop")
    for new, words in (
        (to_slack(clusters=("warehouse",)), "is not bound to cluster warehouse"),
        (to_slack(namespaces=("billing",)), "does not reach namespace billing of cluster shop"),
        (to_slack(matchers=('team=~"("',)), "a \\( is not closed"),
        (to_slack(threads_per_hour=0), "between 1 and 200"),
        (to_slack(team=""), "ids of its workspace and itself"),
    ):
        with pytest.raises(Invalid, match=words):
            await alerts.routes.add(admin, new)
    with pytest.raises(NotFound, match="no cluster 'nowhere'"):
        await alerts.routes.add(admin, NewRoute(clusters=("nowhere",)))
    of_shop = await alerts.desk.person("sam", Role.ADMIN, clusters=("shop",))
    with pytest.raises(Forbidden):
        await alerts.routes.add(of_shop, NewRoute())
    mine = await alerts.routes.add(of_shop, NewRoute(clusters=("shop",)))
    theirs = await alerts.routes.add(admin, NewRoute())
    assert [route.id for route in await alerts.routes.list(of_shop)] == [mine.id]
    with pytest.raises(NotFound):
        await alerts.routes.remove(theirs.id, of_shop)


async def test_a_channel_whose_reach_shrank_gets_no_thread_and_the_thread_says_so(alerts: AlertRows) -> None:
    admin = await root(alerts)
    await bound(alerts, admin)
    route = await alerts.routes.add(admin, to_slack())
    group = (await alerts.post(alerts.firing())).groups[0]
    await bound(alerts, admin, "billing")
    found = await target(alerts, group)
    assert (found.channel, found.fell) == ("", "the route's channel does not reach namespace shop of this cluster")
    opened = await alerts.open(group, found)
    assert (await alerts.alerts.get(group)).route == ""
    assert "This thread is on the web alone: the route's channel does not reach" in (await asked(alerts, opened or ""))[0].text
    [told] = [row for row in await alerts.rows.all(AuditEntryRow) if row.action == "alert.thread_opened"]
    assert "does not reach namespace shop" in told.detail
    await alerts.rows.channels.unbind(admin, TEAM, CHANNEL)
    [listed] = await alerts.routes.list(admin)
    assert (listed.id, listed.problem.startswith(f"channel {CHANNEL} is not bound to anything any more")) == (route.id, True)


async def test_above_the_threads_of_an_hour_groups_go_into_the_digest(alerts: AlertRows) -> None:
    admin = await root(alerts)
    route = await alerts.routes.add(admin, NewRoute(threads_per_hour=2))
    groups = [(await alerts.post(alerts.firing(f"payments-{n}"), key=f"group-{n}")).groups[0] for n in range(5)]
    opened = await asyncio.gather(*[alerts.open(group, await target(alerts, group)) for group in groups])
    assert len([one for one in opened if one]) == 2
    rows = await alerts.rows.all(AlertGroupRow)
    digest = [row for row in rows if row.in_digest]
    assert {(row.route, row.conversation) for row in digest} == {(route.id, None)}
    assert len(digest) == 3
    assert await alerts.threads.waiting() == ()
    vera = await alerts.desk.person("vera", Role.VIEWER)
    await alerts.alerts.open_thread(digest[0].id, vera)
    assert [one.id for one in await alerts.threads.waiting()] == [digest[0].id]
    assert await alerts.open(digest[0].id, await target(alerts, digest[0].id)), "asked for: whatever the limit"
    alerts.desk.clock.move(minutes=61)
    late = (await alerts.post(alerts.firing("late"), key="late")).groups[0]
    assert await alerts.open(late, await target(alerts, late))


async def test_without_a_route_each_cluster_has_its_limit(alerts: AlertRows) -> None:
    groups = [(await alerts.post(alerts.firing(f"payments-{n}"), key=f"group-{n}")).groups[0] for n in range(12)]
    opened = [await alerts.open(group) for group in groups]
    assert len([one for one in opened if one]) == 10


async def test_what_has_grown_worse_is_asked_about_once_in_ten_minutes(alerts: AlertRows) -> None:
    clock, one = alerts.desk.clock, alerts.firing()
    group = (await alerts.post(one)).groups[0]
    conversation = await alerts.open(group) or ""
    two = alerts.firing("payments-2")
    clock.move(seconds=1)
    await alerts.post(one, two)
    assert await grown(alerts) == [], "not within ten minutes"
    clock.move(minutes=10)
    assert await grown(alerts) == [(group, "object")]
    turns = await asyncio.gather(*(ask_again(alerts, group) for _ in range(4)))
    assert len({turn for turn in turns if turn}) == 1
    assert await grown(alerts) == []
    clock.move(seconds=1)
    worse = alerts.firing("payments-2", starts=alerts.at(), severity="critical") | {"fingerprint": two["fingerprint"]}
    await alerts.post(one, worse)
    clock.move(minutes=10, seconds=1)
    assert await grown(alerts) == [(group, "severity")]
    assert await ask_again(alerts, group)
    texts = [message.text.partition("\n")[0] for message in await asked(alerts, conversation)]
    assert texts[1].endswith("It fires for more objects now.")
    assert texts[2].endswith("It has become worse.")


async def test_what_only_fires_again_is_asked_about_once_an_hour_and_not_while_silenced(alerts: AlertRows) -> None:
    clock, one = alerts.desk.clock, alerts.firing()
    group = (await alerts.post(one)).groups[0]
    await alerts.open(group)
    await alerts.post(resolved(one, alerts.at()))
    assert len(await alerts.rows.all(TurnRow)) == 1, "a resolution asks nothing"
    clock.move(minutes=20)
    await alerts.post(alerts.firing(starts=alerts.at()))
    assert await grown(alerts) == []
    clock.move(minutes=41)
    assert await grown(alerts) == [(group, "again")]
    ann = await alerts.desk.person("ann", Role.OPERATOR)
    await alerts.alerts.silence(group, ann, "4h")
    assert await grown(alerts) == []
    assert await ask_again(alerts, group) is None
    await alerts.alerts.silence(group, ann, "off")
    assert await ask_again(alerts, group, covered=False) is None, "its channel reaches less now"
    assert await ask_again(alerts, group)


async def grown(alerts: AlertRows) -> list[tuple[str, Growth]]:
    return [(group.id, why) for group, why in await alerts.threads.grown()]


async def ask_again(alerts: AlertRows, group: str, *, covered: bool = True) -> str | None:
    def ask(told: Group, why: Growth) -> str:
        return further(told, why, "en")

    return await alerts.threads.ask_again(group, await alerts.threads.speaker(alerts.cluster), ask, covered=covered)


async def test_people_of_a_namespace_read_the_threads_of_a_route_about_it(alerts: AlertRows) -> None:
    admin = await root(alerts)
    of_shop = await alerts.desk.person("sam", Role.OPERATOR, namespaces=("shop",))
    wide = (await alerts.post(alerts.firing(), key="wide")).groups[0]
    assert await alerts.open(wide, await target(alerts, wide))
    assert (await alerts.alerts.get(wide, of_shop)).conversation is None, "it shows more than they may see"
    assert (await alerts.alerts.get(wide, admin)).conversation is not None
    await alerts.routes.add(admin, NewRoute(clusters=("shop",), namespaces=("shop",)))
    narrow = (await alerts.post(alerts.firing(), key="narrow")).groups[0]
    opened = await alerts.open(narrow, await target(alerts, narrow)) or ""
    assert (await alerts.alerts.get(narrow, of_shop)).conversation == opened
    assert (await alerts.desk.conversations.get(opened, of_shop)).scope.namespaces == ("shop",)


async def test_nothing_is_asked_in_a_thread_about_what_its_readers_may_not_see(alerts: AlertRows) -> None:
    admin, one = await root(alerts), alerts.firing()
    await alerts.routes.add(admin, NewRoute(clusters=("shop",), namespaces=("shop",)))
    group = (await alerts.post(one)).groups[0]
    chosen = await target(alerts, group)
    opened = await alerts.open(group, chosen) or ""
    alerts.desk.clock.move(minutes=11)
    await alerts.post(one, alerts.firing("keys-1", namespace="vault"))
    assert await grown(alerts) == [(group, "object")]
    assert await ask_again(alerts, group) is None
    assert len(await asked(alerts, opened)) == 1
    # The same when it becomes so between the choice of a route and the claim.
    other = (await alerts.post(one, alerts.firing("keys-2", namespace="vault"), key="other")).groups[0]
    assert await alerts.open(other, chosen) is None
    assert (await alerts.alerts.get(other)).conversation is None
    assert await alerts.open(other, await target(alerts, other))
