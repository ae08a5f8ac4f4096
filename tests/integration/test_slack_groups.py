"""Roles that follow from user groups: as long as Slack says so, at most an approver, and beside what admins give."""

import asyncio

import pytest
from sqlalchemy import update

from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, ServiceError
from control_plane.principals import Principal, ScopedRole
from control_plane.slack.groups import HOLDS, RENEW, Groups
from control_plane.slack.installations import Facts
from control_plane.slack.people import People
from control_plane.tables import RoleRow, SlackGroupRow
from protocol.approval import Role
from tests.integration.slack_rows import GRANT_KEY, TEAM, Rows

SRE, DEV = "S00SRE", "S00DEV"
APPROVER = ScopedRole(role=Role.APPROVER, clusters=("shop",), namespaces=("shop",))
OPERATOR = ScopedRole(role=Role.OPERATOR)
ALL = (SRE, DEV)


@pytest.fixture
def groups(slack: Rows) -> Groups:
    return Groups(slack.desk.database, clock=slack.desk.clock)


async def root(slack: Rows) -> Principal:
    return await slack.desk.person("root", Role.ADMIN)


async def roles(slack: Rows, account: str) -> set[tuple[Role, tuple[str, ...]]]:
    principal = await slack.desk.accounts.principal(account)
    return {(role.role, role.namespaces) for role in principal.roles}


async def trail(slack: Rows, admin: Principal, account: str) -> list[str]:
    rows = await slack.desk.audit.list(admin, subject=f"account:{account}")
    return [row.detail["roles"] for row in reversed(rows) if row.action == "account.roles_followed"]


GIVEN = (Role.VIEWER, ("web",))
FROM_SRE = (Role.APPROVER, ("shop",))
FROM_DEV = (Role.OPERATOR, ("*",))


async def test_roles_come_and_go_with_membership(slack: Rows, groups: Groups) -> None:
    admin = await root(slack)
    ann = (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    await groups.map(admin, team=TEAM, usergroup=SRE, handle="sre", role=APPROVER)
    await groups.map(admin, team=TEAM, usergroup=DEV, handle="dev", role=OPERATOR)
    assert await groups.to_ask(TEAM) == tuple(sorted(ALL))
    assert await groups.to_ask("T0002") == ()
    assert await roles(slack, ann) == {GIVEN}
    steps: list[tuple[tuple[str, ...], tuple[str, ...], set[tuple[Role, tuple[str, ...]]]]] = [
        ((SRE,), ALL, {GIVEN, FROM_SRE}),
        (ALL, ALL, {GIVEN, FROM_SRE, FROM_DEV}),
        ((DEV,), (SRE,), {GIVEN, FROM_DEV}),  # only one was asked: the other stays
        ((), (), {GIVEN, FROM_DEV}),
        (("S0OTHER",), ALL, {GIVEN}),
    ]
    for member_of, asked, expected in steps:
        assert await groups.sync(ann, TEAM, member_of, asked=asked, certain=True)
        assert await roles(slack, ann) == expected, (member_of, asked)
    # What a group gives in another workspace is none of this one's business.
    assert await groups.sync(ann, "T0002", ALL, asked=ALL, certain=True)
    assert await roles(slack, ann) == {GIVEN}
    assert len(await trail(slack, admin, ann)) == 4


async def test_what_nobody_renews_ends_after_ten_minutes(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    slack.desk.clock.move(seconds=HOLDS.total_seconds() - 1)
    assert await roles(slack, ann) == {GIVEN, FROM_SRE}
    slack.desk.clock.move(seconds=1)
    assert await roles(slack, ann) == {GIVEN}
    assert [one.name for one in await _approvers(slack)] == ["Root"]
    await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    for _ in range(5):
        slack.desk.clock.move(seconds=RENEW.total_seconds())
        await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=False)
        assert await roles(slack, ann) == {GIVEN, FROM_SRE}
    assert await trail(slack, admin, ann) == ["approver over shop / shop"]  # renewing says nothing new


async def _approvers(slack: Rows) -> tuple[Principal, ...]:
    everybody = [await slack.desk.accounts.principal(one.id) for one in await slack.desk.accounts.list()]
    return tuple(one for one in everybody if one.role_in("shop", "shop") in (Role.APPROVER, Role.ADMIN))


async def test_a_look_that_is_not_of_now_gives_nobody_a_role(slack: Rows, groups: Groups) -> None:
    """Slack was asked, ann was removed from the group and everything written; then a reader comes with the older answer."""
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER)).account
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    assert not await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=False)
    assert FROM_SRE not in await roles(slack, ann)
    await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    assert await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=False)
    assert await groups.sync(ann, TEAM, (), asked=(SRE,), certain=False)  # to take away is always safe
    assert FROM_SRE not in await roles(slack, ann)


async def test_a_decision_counts_only_while_its_giver_is_in_the_group(slack: Rows, groups: Groups) -> None:
    admin = await root(slack)
    asker = await slack.desk.person("olga", Role.OPERATOR)
    ann = await slack.desk.person("ann", Role.VIEWER)
    await groups.map(admin, team=TEAM, usergroup=SRE, role=ScopedRole(role=Role.APPROVER))
    approval = await slack.desk.propose(asker)
    with pytest.raises(Forbidden):
        await slack.desk.decide(approval, ann, door="slack")
    await groups.sync(ann.account, TEAM, (SRE,), asked=(SRE,), certain=True)
    assert (await slack.desk.decide(approval, ann, door="slack")).state == "approved"
    # The look right before it runs is at the same rows.
    assert (await slack.desk.accounts.principal(ann.account)).role_in(approval.cluster, "shop") is Role.APPROVER
    await groups.sync(ann.account, TEAM, (), asked=(SRE,), certain=True)
    assert (await slack.desk.accounts.principal(ann.account)).role_in(approval.cluster, "shop") is Role.VIEWER


async def test_an_admins_change_and_a_groups_leave_each_other_alone(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER)).account
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    changed = await slack.desk.accounts.set_roles(ann, (OPERATOR,), by=admin.account)
    assert changed.roles == (OPERATOR,)
    assert [(one.role, one.source) for one in changed.other_roles] == [(Role.APPROVER, f"slack-group:{TEAM}:{SRE}")]
    assert await roles(slack, ann) == {FROM_DEV, FROM_SRE}
    # What an admin reads and writes back does not become given.
    again = await slack.desk.accounts.get(ann)
    await slack.desk.accounts.set_roles(ann, again.roles, by=admin.account)
    await groups.sync(ann, TEAM, (), asked=(SRE,), certain=True)
    assert await roles(slack, ann) == {FROM_DEV}
    with pytest.raises(Conflict, match="last account that may administer"):
        await slack.desk.accounts.set_roles(admin.account, (), by=admin.account)


async def test_a_group_gives_an_approver_at_most_and_only_admins_say_so(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), await slack.desk.person("ann", Role.APPROVER)
    of_shop = await slack.desk.person("sam", Role.ADMIN, clusters=("shop",))
    refused: list[tuple[Principal, str, ScopedRole, type[ServiceError]]] = [
        (admin, SRE, ScopedRole(role=Role.ADMIN), Invalid),
        (admin, SRE, ScopedRole(role=Role.ADMIN, clusters=("shop",)), Invalid),
        (admin, "", OPERATOR, Invalid),
        (admin, "S" * 33, OPERATOR, Invalid),
        (ann, SRE, OPERATOR, Forbidden),
        (of_shop, SRE, ScopedRole(role=Role.VIEWER, clusters=("shop",)), Forbidden),
    ]
    for who, usergroup, role, error in refused:
        with pytest.raises(error):
            await groups.map(who, team=TEAM, usergroup=usergroup, role=role)
    for look in (groups.list(of_shop), groups.remove(ann, "0" * 32)):
        with pytest.raises(Forbidden):
            await look
    first = await groups.map(admin, team=TEAM, usergroup=SRE, role=OPERATOR)
    assert await groups.map(admin, team=TEAM, usergroup=SRE, role=OPERATOR) == first
    assert await groups.list(admin) == (first,)


async def test_not_even_a_row_that_says_admin_makes_one(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    await groups.map(admin, team=TEAM, usergroup=SRE, role=OPERATOR)
    async with slack.desk.database.transaction() as session:
        await session.execute(update(SlackGroupRow).values(role="admin"))
    with pytest.raises(ValueError, match="can't make an admin"):
        await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    assert await roles(slack, ann) == {GIVEN}


async def test_a_mapping_that_goes_takes_what_it_gave_along_and_no_more(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    first = await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    await groups.map(admin, team=TEAM, usergroup=SRE, role=OPERATOR)
    await groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True)
    assert await roles(slack, ann) == {GIVEN, FROM_SRE, FROM_DEV}
    await groups.remove(admin, first.id, door="web")
    assert await roles(slack, ann) == {GIVEN, FROM_DEV}
    with pytest.raises(NotFound):
        await groups.remove(admin, first.id)
    slack.desk.clock.move(seconds=HOLDS.total_seconds())  # what stayed ends when it would have ended
    assert await roles(slack, ann) == {GIVEN}


async def test_a_sync_and_a_removal_at_once_leave_nothing_behind(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    for _ in range(5):
        mapping = await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
        await asyncio.gather(
            *(groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True) for _ in range(3)),
            groups.remove(admin, mapping.id),
        )
        assert await roles(slack, ann) == {GIVEN}


async def test_ten_looks_at_once_write_each_role_once(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER)).account
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    await asyncio.gather(*(groups.sync(ann, TEAM, (SRE,), asked=(SRE,), certain=True) for _ in range(10)))
    held = [row for row in await slack.all(RoleRow) if row.account == ann and row.source]
    assert len(held) == 1
    assert len(await trail(slack, admin, ann)) == 1


async def test_a_workspace_that_is_gone_gives_nothing_any_more(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), (await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))).account
    for team in (TEAM, "T0002"):
        await slack.workspaces.keep(Facts(team=team), "xoxb-1", by="system")
        await groups.map(admin, team=team, usergroup=SRE, role=APPROVER if team == TEAM else OPERATOR)
        await groups.sync(ann, team, (SRE,), asked=(SRE,), certain=True)
    assert await groups.holders(TEAM) == {ann}
    await slack.workspaces.revoke(TEAM)
    assert await roles(slack, ann) == {GIVEN, FROM_DEV}
    assert await groups.holders(TEAM) == frozenset()


async def test_an_address_that_is_taken_away_takes_what_followed_from_it_along(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))
    people = People(slack.desk.database, GRANT_KEY, clock=slack.desk.clock)
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    for address in (None, "other@example.com"):
        await slack.desk.accounts.set_email(ann.account, "ann@example.com", by=admin.account)
        assert await people.account_of(TEAM, "U1", "ann@example.com") == ann.account
        await groups.sync(ann.account, TEAM, (SRE,), asked=(SRE,), certain=True)
        assert await roles(slack, ann.account) == {GIVEN, FROM_SRE}
        await slack.desk.accounts.set_email(ann.account, address, by=admin.account)
        assert await roles(slack, ann.account) == {GIVEN}
        assert await people.list(ann) == ()


async def test_who_is_not_that_person_any_more_loses_what_their_groups_gave(slack: Rows, groups: Groups) -> None:
    admin, ann = await root(slack), await slack.desk.person("ann", Role.VIEWER, namespaces=("web",))
    people = People(slack.desk.database, GRANT_KEY, clock=slack.desk.clock)
    await groups.map(admin, team=TEAM, usergroup=SRE, role=APPROVER)
    code = await people.take(await people.offer(TEAM, "U1", "ann"), ann.account)
    await people.confirm(TEAM, "U1", code)
    await groups.sync(ann.account, TEAM, (SRE,), asked=(SRE,), certain=True)
    await people.unlink(ann, TEAM, "U1")
    assert await roles(slack, ann.account) == {GIVEN}
