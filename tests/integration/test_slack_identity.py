"""Every kind of person of Slack at the door: who they are for reads and for approvals, asked of a Slack with state.

The control plane is the real one; the fake Slack answers the real client.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from bot.slack.clients import Clients
from bot.slack.front.trim import trimmed
from bot.slack.identity import Code, FromSlack, Person
from bot.slack.names import Names
from bot.slack.web_api import SlackTrouble
from control_plane.assembly import control_plane
from control_plane.clock import utc_now
from control_plane.errors import NotFound, Unavailable
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.inbox import Received
from control_plane.slack.installations import Facts, Workspace
from protocol.approval import Role
from tests.fake_slack import FakeSlack
from tests.fake_slack.records import User
from tests.integration.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

ADMIN = Principal(account="admin", name="Admin", roles=(ScopedRole(role=Role.ADMIN),), admin=True)
VIEWER = (ScopedRole(role=Role.VIEWER),)


@dataclass
class Door:
    slack: FakeSlack
    plane: ControlPlane
    clients: Clients
    seconds: float = 0.0
    identity: FromSlack = field(init=False)

    async def account(self, name: str, email: str | None = None) -> str:
        return (await self.plane.accounts.create(name, name.title(), VIEWER, email=email, by="system")).id

    async def both(self, user: User) -> tuple[Person, Person]:
        """For a read, and for an approval."""
        team = self.slack.team.id
        return await self.identity.who(team, user.id), await self.identity.who(team, user.id, fresh=True)

    def later(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def team(self) -> str:
        return self.slack.team.id

    def asked(self, method: str) -> int:
        return len(self.slack.calls_of(method))

    async def roles(self, account: str) -> list[Role]:
        return sorted(role.role for role in (await self.plane.accounts.principal(account)).roles)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Door]:
    async with FakeSlack() as slack:
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("identity") / "data",
            slack_bot_token=SecretStr(slack.bot_token),
            slack_api_url=f"{slack.url}/api/",
        )
        async with control_plane(settings) as plane:
            clients = Clients(settings, plane.slack_workspaces)
            await clients.start()
            try:
                here = Door(slack, plane, clients)
                here.identity = FromSlack(clients, plane, clock=lambda: here.seconds)
                yield here
            finally:
                await clients.close()


@pytest.fixture
def door(started: Door) -> Door:
    started.slack.faults.clear()
    started.later(3600)
    return started


async def test_a_member_with_a_verified_address_is_their_account(door: Door) -> None:
    account = await door.account("dana", "dana@payments.example")
    for person in await door.both(door.slack.add_user("dana")):
        assert person.principal is not None
        assert (person.code, person.principal.account, person.name) == ("", account, "dana")
        assert not person.principal.fresh_sign_in
        assert not person.stranger


KINDS: list[tuple[str, dict[str, Any], Code, bool]] = [
    ("gone", {"deleted": True}, "deleted", False),
    ("robot", {"is_bot": True}, "bot", True),
    ("guest", {"is_restricted": True}, "guest", True),
    ("onechannel", {"is_ultra_restricted": True}, "guest", True),
]


@pytest.mark.parametrize(("name", "how", "code", "stranger"), KINDS, ids=[kind[0] for kind in KINDS])
async def test_who_is_no_full_member_is_nobody_whatever_their_address(
    door: Door, name: str, how: dict[str, Any], code: Code, stranger: bool
) -> None:
    await door.account(name, f"{name}@payments.example")
    for person in await door.both(door.slack.add_user(name, **how)):
        assert (person.principal, person.code, person.stranger) == (None, code, stranger)
        assert not person.may_link


async def test_people_of_other_companies_are_nobody_whatever_their_address(door: Door) -> None:
    await door.account("mallory", "mallory@payments.example")
    other = door.slack.add_team("Other", "other")
    outside = door.slack.add_user("mallory", email="mallory@payments.example", team=other)
    for person in await door.both(outside):
        assert (person.principal, person.code, person.stranger) == (None, "foreign", True)
    # Named as one of their own workspace, where the app is not installed, they are asked of nobody else's token.
    with pytest.raises(SlackTrouble):
        await door.identity.who(other.id, outside.id, fresh=True)
    with pytest.raises(SlackTrouble):
        await door.identity.who("", outside.id)


async def test_whom_slack_does_not_know_is_nobody(door: Door) -> None:
    for user in ("U0NOBODY", "", "USLACKBOT"):
        person = await door.identity.who(door.team, user, fresh=True)
        assert (person.principal, person.code) == (None, "unknown")


@pytest.mark.parametrize("confirmed", [False, None])
async def test_an_address_that_is_not_confirmed_matches_nobody(door: Door, confirmed: bool | None) -> None:
    name = f"unsure{confirmed}".lower()
    await door.account(name, f"{name}@payments.example")
    user = door.slack.add_user(name)
    user.is_email_confirmed = confirmed
    for person in await door.both(user):
        assert (person.principal, person.code, person.may_link) == (None, "unconfirmed", True)


async def test_no_address_no_account_no_scope_all_mean_not_known(door: Door) -> None:
    await door.account("silent", "silent@payments.example")
    await door.account("noaddress")
    known, unknown, without = (door.slack.add_user(name) for name in ("silent", "stranger", "noaddress"))
    door.slack.bot.scopes.discard("users:read.email")
    try:
        people = [*await door.both(known), *await door.both(unknown), *await door.both(without)]
    finally:
        door.slack.bot.scopes.add("users:read.email")
    assert {(person.principal, person.code, person.may_link) for person in people} == {(None, "unlinked", True)}
    door.later(61)
    assert (await door.identity.who(door.team, known.id)).code == ""
    assert (await door.identity.who(door.team, without.id)).code == "unlinked"


async def test_a_disabled_account_is_not_even_a_stranger(door: Door) -> None:
    account = await door.account("ousted", "ousted@payments.example")
    user = door.slack.add_user("ousted")
    await door.plane.accounts.disable(account, by="system")
    for person in await door.both(user):
        assert (person.principal, person.code, person.stranger) == (None, "disabled", False)


async def test_a_read_may_be_a_minute_old_and_an_approval_never_is(door: Door) -> None:
    await door.account("pia", "pia@payments.example")
    user = door.slack.add_user("pia")
    assert (await door.identity.who(door.team, user.id)).code == ""
    before = door.asked("users.info")
    user.is_restricted = True
    door.later(59)
    assert (await door.identity.who(door.team, user.id)).code == ""
    assert door.asked("users.info") == before
    assert (await door.identity.who(door.team, user.id, fresh=True)).code == "guest"
    assert (await door.identity.who(door.team, user.id)).code == "guest"  # what was just said counts for reads too
    user.is_restricted = False
    door.later(61)
    assert (await door.identity.who(door.team, user.id)).code == ""


async def test_an_account_that_loses_its_role_loses_it_at_once(door: Door) -> None:
    account = await door.account("rolf", "rolf@payments.example")
    user = door.slack.add_user("rolf")
    assert (await door.identity.who(door.team, user.id)).principal is not None
    await door.plane.accounts.set_roles(account, (), by="system")
    found = await door.identity.who(door.team, user.id)
    assert found.principal is not None
    assert found.principal.roles == ()


async def test_what_slack_does_not_say_now_is_refused_for_approvals(door: Door) -> None:
    await door.account("quinn", "quinn@payments.example")
    user = door.slack.add_user("quinn")
    await door.identity.who(door.team, user.id)
    door.slack.faults.server_error("users.info", times=2)
    fresh = await door.identity.who(door.team, user.id, fresh=True)
    assert (fresh.principal, fresh.code, fresh.stranger) == (None, "unchecked", False)
    door.later(61)
    with pytest.raises(SlackTrouble):  # a read is tried again later
        await door.identity.who(door.team, user.id)
    assert (await door.identity.who(door.team, user.id)).code == ""


async def test_user_groups_give_roles_at_the_click_and_take_them(door: Door) -> None:
    account = await door.account("gina", "gina@payments.example")
    user = door.slack.add_user("gina")
    group = door.slack.add_group("sre", user)
    mapping = await door.plane.slack_groups.map(
        ADMIN, team=door.team, usergroup=group.id, handle="sre", role=ScopedRole(role=Role.APPROVER)
    )
    try:
        first = await door.identity.who(door.team, user.id)
        assert first.principal is not None
        assert await door.roles(account) == [Role.APPROVER, Role.VIEWER]
        group.users.remove(user.id)
        door.later(59)
        assert len(await _roles_of(door, user)) == 2  # a read, from what was known
        assert await _roles_of(door, user, fresh=True) == [Role.VIEWER]
        assert await _roles_of(door, user) == [Role.VIEWER]
        group.users.append(user.id)
        assert await _roles_of(door, user, fresh=True) == [Role.APPROVER, Role.VIEWER]
        group.disabled = True
        assert await _roles_of(door, user, fresh=True) == [Role.VIEWER]
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_a_group_that_slack_does_not_tell_is_refused_for_approvals_only(door: Door) -> None:
    account = await door.account("hugo", "hugo@payments.example")
    user = door.slack.add_user("hugo")
    group = door.slack.add_group("oncall", user)
    mapping = await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=group.id, role=ScopedRole(role=Role.OPERATOR))
    try:
        assert await _roles_of(door, user, fresh=True) == [Role.OPERATOR, Role.VIEWER]
        door.later(61)
        door.slack.faults.rate_limited("usergroups.list", 30, times=1)
        assert await _roles_of(door, user) == [Role.OPERATOR, Role.VIEWER]  # what it gave ends by itself
        door.slack.faults.refuse("usergroups.list", "missing_scope", times=1)
        assert (await door.identity.who(door.team, user.id, fresh=True)).code == "unchecked"
        # Deleted in Slack, it has no members: that is an answer.
        del door.slack.world.groups[group.id]
        assert await _roles_of(door, user, fresh=True) == [Role.VIEWER]
        assert await door.roles(account) == [Role.VIEWER]
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_many_groups_cost_one_call_a_click(door: Door) -> None:
    await door.account("nele", "nele@payments.example")
    user = door.slack.add_user("nele")
    role = ScopedRole(role=Role.OPERATOR)
    groups = [door.slack.add_group(f"team{n}", user) for n in range(8)]
    mapped = [await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=one.id, role=role) for one in groups]
    try:
        before = door.asked("usergroups.list")
        assert len(await _roles_of(door, user, fresh=True)) == 9
        assert len(await _roles_of(door, user)) == 9
        assert door.asked("usergroups.list") == before + 1
    finally:
        for mapping in mapped:
            await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_a_refresh_waits_where_slack_says_so_and_goes_on_after_a_fault(door: Door) -> None:
    people = [door.slack.add_user(name) for name in ("pavo", "quim", "rosa")]
    accounts = [await door.account(one.name, one.email) for one in people]
    group = door.slack.add_group("late", *people)
    mapping = await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=group.id, role=ScopedRole(role=Role.OPERATOR))
    try:
        for one in people:
            await door.identity.who(door.team, one.id)
        for one in people:
            one.is_restricted = True
        door.later(3600)
        door.slack.faults.rate_limited("users.info", 0, times=1)
        door.slack.faults.server_error("users.info", times=1, when=lambda call: call.text("user") == people[1].id)
        await door.identity.refresh_groups()
        held = await door.plane.slack_groups.holders(door.team)
        assert [account in held for account in accounts] == [False, True, False]
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_all_memberships_are_looked_at_again_and_again(door: Door) -> None:
    people = {name: door.slack.add_user(name) for name in ("ines", "jack", "kurt", "lola")}
    accounts = {name: await door.account(name, f"{name}@payments.example") for name in people}
    group = door.slack.add_group("db", *people.values())
    mapping = await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=group.id, role=ScopedRole(role=Role.OPERATOR))
    try:
        for user in people.values():
            await door.identity.who(door.team, user.id)
        group.users.remove(people["jack"].id)
        people["kurt"].is_restricted = True
        await door.plane.accounts.disable(accounts["lola"], by="system")
        door.later(241)
        await door.identity.refresh_groups()
        held = await door.plane.slack_groups.holders(door.team)
        assert {name for name, account in accounts.items() if account in held} == {"ines", "lola"}
        door.slack.faults.server_error("usergroups.list", times=1)
        await door.identity.refresh_groups()  # one that does not answer is no fault of the others
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_a_group_that_slack_says_has_changed_is_looked_at(door: Door) -> None:
    account = await door.account("otis", "otis@payments.example")
    user = door.slack.add_user("otis")
    group, other = door.slack.add_group("ops", user), door.slack.add_group("lunch", user)
    mapping = await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=group.id, role=ScopedRole(role=Role.OPERATOR))
    try:
        assert await _roles_of(door, user) == [Role.OPERATOR, Role.VIEWER]
        group.users.clear()
        for changed, note in ((other.id, "gives no role"), (group.id, "looked at")):
            body = {"type": "event_callback", "team_id": door.team, "event_id": f"Ev{changed}"}
            event = {"type": "subteam_members_changed", "subteam_id": changed, "event_ts": "1.000001"}
            kept = trimmed({**body, "event": event}, "")
            assert kept is not None
            item = Received(
                id="1", team=kept.team, kind=kept.kind, lane=kept.lane, position=kept.position, payload=kept.payload,
                attempts=1, received_at=utc_now(),
            )  # fmt: skip
            assert await door.identity.group_changed(item) == note
        assert await door.roles(account) == [Role.VIEWER]
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_the_workspace_of_the_configured_token_is_written_down(door: Door) -> None:
    async def written() -> Workspace | None:
        found = await door.plane.slack_workspaces.get(door.team)
        return found if found is not None and found.url else None

    keeping = asyncio.create_task(door.identity.keep_groups())
    try:
        found = await until(written, "the workspace is written down")
    finally:
        keeping.cancel()
    assert (found.name, found.revoked_at, found.own_token) == (door.slack.team.name, None, False)


async def test_channels_and_groups_are_named_as_people_name_them(door: Door) -> None:
    names = Names(door.clients)
    for n in range(205):  # more than a page
        door.slack.add_channel(f"room-{n}")
    inside, outside = door.slack.add_channel("payments"), door.slack.add_channel("elsewhere", with_bot=False)
    group = door.slack.add_group("dba")
    assert await names.channel(door.team, "#payments") == await names.channel(door.team, "Payments") == (inside.id, "payments")
    assert await names.usergroup(door.team, "@dba") == (group.id, "dba")
    with pytest.raises(NotFound, match="the bot is in no channel named 'elsewhere'"):
        await names.channel(door.team, outside.name)
    group.disabled = True
    with pytest.raises(NotFound, match="switched off"):
        await names.usergroup(door.team, "dba")
    door.slack.faults.refuse("usergroups.list", "missing_scope")
    with pytest.raises(Unavailable, match="missing_scope"):
        await names.usergroup(door.team, "dba")
    with pytest.raises(Unavailable, match="not_authed"):
        await names.channel("T0OTHER", "payments")


async def test_who_leaves_slack_leaves_their_groups(door: Door) -> None:
    account = await door.account("mona", "mona@payments.example")
    user = door.slack.add_user("mona")
    group = door.slack.add_group("net", user)
    mapping = await door.plane.slack_groups.map(ADMIN, team=door.team, usergroup=group.id, role=ScopedRole(role=Role.APPROVER))
    try:
        assert await _roles_of(door, user, fresh=True) == [Role.APPROVER, Role.VIEWER]
        user.deleted = True
        assert (await door.identity.who(door.team, user.id, fresh=True)).code == "deleted"
        assert await door.roles(account) == [Role.VIEWER]
    finally:
        await door.plane.slack_groups.remove(ADMIN, mapping.id)


async def test_in_an_enterprise_grid_a_person_belongs_to_all_workspaces_of_theirs(door: Door) -> None:
    await door.account("olaf", "olaf@payments.example")
    elsewhere = door.slack.add_team("Elsewhere", "elsewhere")
    user = door.slack.add_user("olaf", email="olaf@payments.example")
    user.enterprise = {"enterprise_id": "E1", "teams": [door.team, elsewhere.id]}
    await door.plane.slack_workspaces.keep(Facts(team=door.team, enterprise="E1"), "")
    try:
        assert (await door.identity.who(door.team, user.id, fresh=True)).code == ""
    finally:
        await door.plane.slack_workspaces.keep(Facts(team=door.team), "")


async def _roles_of(door: Door, user: User, *, fresh: bool = False) -> list[Role]:
    person = await door.identity.who(door.team, user.id, fresh=fresh)
    assert person.principal is not None, person.code
    return sorted(role.role for role in person.principal.roles)
