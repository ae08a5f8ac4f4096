"""Channels: who binds them to what, and that an answer in one never exceeds what the channel and the asker both may see."""

import asyncio

import pytest
from sqlalchemy import delete

from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, NotSignedIn
from control_plane.principals import Principal, ScopedRole
from control_plane.slack.channels import Channel, Reach, Strangers
from control_plane.tables import AccountRow, AuditEntryRow, ClusterRow, SlackChannelRow
from protocol.approval import Role
from protocol.commands import ScopeLimit
from tests.integration.slack_rows import CHANNEL, TEAM, Rows


def only(*namespaces: str) -> Reach:
    return Reach(cluster="shop", namespaces=namespaces)


WHOLE = Reach(cluster="shop")


async def bind(slack: Rows, by: Principal, *reach: Reach, strangers: Strangers = "refuse") -> Channel:
    return await slack.channels.bind(
        by, team=TEAM, channel=CHANNEL, name="#payments", reach=reach, strangers=strangers, door="cli"
    )


async def root(slack: Rows) -> Principal:
    return await slack.desk.person("root", Role.ADMIN)


def asker(slack: Rows, *roles: tuple[str, ...], cluster: str = "") -> Principal:
    """Somebody who sees these namespaces; one tuple is one role."""
    over = (cluster or slack.desk.cluster.id,)
    return Principal(
        account="ann",
        name="Ann",
        roles=tuple(ScopedRole(role=Role.VIEWER, clusters=over, namespaces=names) for names in roles),
    )


async def test_a_channel_that_nobody_has_bound_sees_nothing(slack: Rows) -> None:
    assert await slack.channels.get(TEAM, CHANNEL) is None
    bound = await bind(slack, await root(slack), only("shop"))
    assert await slack.channels.get(TEAM, CHANNEL) == bound
    assert await slack.channels.get("T0002", CHANNEL) is None
    assert (bound.name, bound.follow, bound.language, bound.strangers) == ("#payments", False, "en", "refuse")
    assert bound.reach == (Reach(cluster=slack.desk.cluster.id, cluster_name="shop", namespaces=("shop",)),)


async def test_what_an_answer_may_show_is_what_both_the_channel_and_the_asker_may_see(slack: Rows) -> None:
    admin, cluster = await root(slack), slack.desk.cluster.id
    other = (await slack.desk.fleet.create("warehouse", by="system")).id
    cases: list[tuple[Reach, Principal, ScopeLimit | None]] = [
        (WHOLE, asker(slack, ("*",)), ScopeLimit(namespaces=None)),
        (WHOLE, asker(slack, ("shop",)), ScopeLimit(namespaces=("shop",))),
        (only("shop", "billing"), asker(slack, ("*",)), ScopeLimit(namespaces=("billing", "shop"))),
        (only("shop", "billing"), asker(slack, ("shop",), ("web",)), ScopeLimit(namespaces=("shop",))),
        (only("shop"), asker(slack, ("web",)), None),
        (only("shop"), asker(slack), None),
        (only("shop"), asker(slack, ("*",), cluster=other), None),
    ]
    for reach, principal, expected in cases:
        channel = await bind(slack, admin, reach)
        assert slack.channels.scope(channel, principal, cluster) == expected, (reach, principal.roles)
        assert slack.channels.scope(channel, admin, other) is None


async def test_who_binds_is_admin_over_all_that_it_reaches_and_reached_before(slack: Rows) -> None:
    await slack.desk.fleet.create("warehouse", by="system")
    everywhere = await root(slack)
    of_shop = await slack.desk.person("sam", Role.ADMIN, clusters=("shop",), namespaces=("shop", "web"))
    approver = await slack.desk.person("app", Role.APPROVER)
    refused = [
        (of_shop, (WHOLE,)),
        (of_shop, (only("shop", "billing"),)),
        (of_shop, (only("shop"), Reach(cluster="warehouse"))),
        (approver, (only("shop"),)),
    ]
    for who, reach in refused:
        with pytest.raises((Forbidden, NotFound)):
            await bind(slack, who, *reach)
    assert await slack.all(SlackChannelRow) == []
    # Slack can't grant what the web doesn't: an admin of two namespaces binds these two.
    bound = await bind(slack, of_shop, only("shop", "web"))
    wider = await bind(slack, everywhere, WHOLE)
    assert wider.id == bound.id
    with pytest.raises(Forbidden, match="reaches the whole cluster shop, so this needs the role admin over it"):
        await bind(slack, of_shop, only("shop"))
    with pytest.raises(Forbidden):
        await slack.channels.unbind(of_shop, TEAM, CHANNEL)
    await bind(slack, everywhere, only("web"))
    await slack.channels.unbind(of_shop, TEAM, CHANNEL)
    with pytest.raises(NotFound, match="not bound"):
        await slack.channels.unbind(everywhere, TEAM, CHANNEL)


async def test_a_reach_that_makes_no_sense_is_refused_in_words(slack: Rows) -> None:
    admin = await root(slack)
    for reach, words in (
        ((), "1 to 50 clusters"),
        ((only(),), "no namespace of cluster shop is named"),
        ((only("shop"), only("web")), "named twice"),
        ((only("Shop!"),), "not names of namespaces"),
    ):
        with pytest.raises(Invalid, match=words):
            await bind(slack, admin, *reach)
    with pytest.raises(NotFound, match="no cluster 'nowhere'"):
        await bind(slack, admin, Reach(cluster="nowhere"))
    with pytest.raises(Invalid, match="Slack's ids"):
        await slack.channels.bind(admin, team="", channel="x" * 40, reach=(WHOLE,))


async def test_binding_and_unbinding_are_in_the_audit(slack: Rows) -> None:
    admin = await root(slack)
    await bind(slack, admin, only("web", "shop"))
    await bind(slack, admin, WHOLE)
    await slack.channels.unbind(admin, TEAM, CHANNEL, door="cli")
    trail = await slack.desk.audit.list(admin, subject=f"slack:{TEAM}/{CHANNEL}")
    assert [(row.action, row.door, row.detail["reach"], row.detail.get("before")) for row in reversed(trail)] == [
        ("slack.channel_bound", "cli", "shop/shop,web", "nothing"),
        ("slack.channel_bound", "cli", "shop/*", "shop/shop,web"),
        ("slack.channel_unbound", "cli", "shop/*", None),
    ]


async def test_of_two_that_bind_a_channel_at_once_one_row_stands(slack: Rows) -> None:
    admin = await root(slack)
    results = await asyncio.gather(*(bind(slack, admin, only(name)) for name in ("a", "b", "c")), return_exceptions=True)
    assert {type(result) for result in results} <= {Channel, Conflict}
    assert any(isinstance(result, Channel) for result in results)
    assert len(await slack.all(SlackChannelRow)) == 1


async def test_a_cluster_that_is_gone_drops_out_and_only_an_admin_can_clear_what_is_left(slack: Rows) -> None:
    admin = await root(slack)
    old = await slack.desk.fleet.create("old", by="system")
    of_old = await slack.desk.person("sam", Role.ADMIN, clusters=("old",))
    await bind(slack, admin, Reach(cluster="old"), WHOLE)
    async with slack.desk.database.transaction() as session:
        await session.execute(delete(ClusterRow).where(ClusterRow.id == old.id))
    channel = await slack.channels.get(TEAM, CHANNEL)
    assert channel is not None
    assert [reach.cluster_name for reach in channel.reach] == ["shop"]
    assert slack.channels.scope(channel, admin, old.id) is None
    async with slack.desk.database.transaction() as session:
        await session.execute(delete(ClusterRow))
    with pytest.raises(Forbidden, match="only an admin over everything"):
        await slack.channels.unbind(of_old, TEAM, CHANNEL)
    await slack.channels.unbind(admin, TEAM, CHANNEL)


async def test_a_list_shows_people_what_they_may_know_of(slack: Rows) -> None:
    admin = await root(slack)
    await slack.desk.fleet.create("warehouse", by="system")
    await bind(slack, admin, only("shop", "billing"), Reach(cluster="warehouse"))
    assert [len(channel.reach) for channel in await slack.channels.list(admin)] == [2]
    (seen,) = await slack.channels.list(asker(slack, ("shop",)))
    assert [(reach.cluster_name, reach.namespaces) for reach in seen.reach] == [("shop", ("shop",))]
    assert await slack.channels.list(asker(slack, ("web",))) == ()


async def test_strangers_read_what_the_channel_reaches_and_nobody_signs_in_as_them(slack: Rows) -> None:
    admin, accounts = await root(slack), slack.desk.accounts
    assert (await bind(slack, admin, only("shop"))).stranger_account is None
    bound = await bind(slack, admin, only("shop"), strangers="read")
    assert bound.stranger_account is not None
    stranger = await accounts.principal(bound.stranger_account)
    cluster = slack.desk.cluster.id
    assert stranger.role_in(cluster, "shop") is Role.VIEWER
    assert (stranger.role_in(cluster, "web"), stranger.role_in(cluster, None), stranger.admin) == (None, None, False)
    assert slack.channels.scope(bound, stranger, cluster) == ScopeLimit(namespaces=("shop",))
    for attempt in (
        accounts.make_link(stranger.account, by=admin.account),
        accounts.set_password(stranger.account, "correct horse battery staple", by=admin.account),
    ):
        with pytest.raises(Forbidden, match="nobody signs in"):
            await attempt
    # It follows the channel, and ends with it.
    wider = await bind(slack, admin, WHOLE, strangers="read")
    assert wider.stranger_account == stranger.account
    assert (await accounts.principal(stranger.account)).role_in(cluster, None) is Role.VIEWER
    closed = await bind(slack, admin, WHOLE)
    assert closed.stranger_account is None
    with pytest.raises(NotSignedIn):
        await accounts.principal(stranger.account)
    await bind(slack, admin, only("web"), strangers="read")
    assert (await accounts.principal(stranger.account)).scope_limit(cluster) == ScopeLimit(namespaces=("web",))
    await slack.channels.unbind(admin, TEAM, CHANNEL)
    rows = {row.id: row for row in await slack.all(AccountRow)}
    assert rows[stranger.account].disabled
    about = [entry.action for entry in await slack.all(AuditEntryRow) if entry.subject == f"account:{stranger.account}"]
    assert about == ["account.created", "account.disabled", "account.enabled", "account.disabled"]
