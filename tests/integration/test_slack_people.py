"""Who acts as whom: by a verified address, or by a link that both sides had to make, and what stealing an offer brings."""

import asyncio

import pytest
from sqlalchemy import select

from control_plane.errors import Conflict, Forbidden, Invalid, NotFound
from control_plane.principals import Principal, ScopedRole
from control_plane.slack.channels import Reach
from control_plane.slack.people import MOST_TRIES, OFFER_HOLDS, People, forget_offers
from control_plane.tables import AccountRow, SlackLinkRow, SlackPersonRow, Table
from protocol.approval import Role
from tests.integration.slack_rows import GRANT_KEY, TEAM, Rows

ANN, EVE = "U00ANN", "U00EVE"
ADDRESS = "ann@example.com"


@pytest.fixture
def people(slack: Rows) -> People:
    return People(slack.desk.database, GRANT_KEY, clock=slack.desk.clock)


async def person(slack: Rows, name: str, email: str | None = None, role: Role = Role.APPROVER) -> Principal:
    made = await slack.desk.person(name, role)
    if email is not None:
        await slack.desk.accounts.set_email(made.account, email, by="system")
    return made


async def linked(people: People, user: str, account: Principal, team: str = TEAM) -> None:
    code = await people.take(await people.offer(team, user, user), account.account)
    await people.confirm(team, user, code)


async def trail(slack: Rows, user: str = ANN) -> list[tuple[str, str]]:
    admin = Principal(account="admin", name="Admin", roles=(ScopedRole(role=Role.ADMIN),), admin=True)
    rows = await slack.desk.audit.list(admin, subject=f"slack:{TEAM}/{user}")
    return [(row.action.removeprefix("slack."), row.detail.get("account", "")) for row in reversed(rows)]


async def test_an_address_finds_its_account_and_the_first_time_is_in_the_audit(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann", " Ann@Example.com ")
    await person(slack, "bob")
    assert await people.account_of(TEAM, ANN, None) is None
    assert await people.account_of(TEAM, ANN, "other@example.com") is None
    for _ in range(3):
        assert await people.account_of(TEAM, ANN, ADDRESS) == ann.account
    assert await trail(slack) == [("person_matched", ann.account)]
    [found] = await people.list(ann)
    assert (found.user, found.how, found.account_name) == (ANN, "email", "Ann")


async def test_of_ten_first_looks_at_once_one_is_written(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann", ADDRESS)
    assert set(await asyncio.gather(*(people.account_of(TEAM, ANN, ADDRESS) for _ in range(10)))) == {ann.account}
    assert await trail(slack) == [("person_matched", ann.account)]


async def test_an_address_is_one_accounts_alone(slack: Rows) -> None:
    ann, bob = await person(slack, "ann", ADDRESS), await person(slack, "bob")
    with pytest.raises(Conflict, match="another account has the e-mail address"):
        await slack.desk.accounts.set_email(bob.account, "ANN@example.com", by="system")
    with pytest.raises(Conflict, match="another account has the e-mail address"):
        await slack.desk.accounts.create("carol", "Carol", (), email=ADDRESS, by="system")
    for bad in ("аnn@example.com", "ann", "\u212aann@example.com"):
        with pytest.raises(Invalid, match="no e-mail address in ASCII"):
            await slack.desk.accounts.set_email(bob.account, bad, by="system")
    await slack.desk.accounts.set_email(ann.account, None, by="system")
    assert (await slack.desk.accounts.set_email(bob.account, ADDRESS, by="system")).email == ADDRESS


async def test_of_two_accounts_that_race_for_an_address_one_gets_it(slack: Rows) -> None:
    two = [await person(slack, name) for name in ("ann", "bob")]
    set_ = await asyncio.gather(
        *(slack.desk.accounts.set_email(one.account, ADDRESS, by="system") for one in two), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in set_) == ["Account", "Conflict"]


async def test_an_address_that_moves_on_moves_the_match_and_says_so(slack: Rows, people: People) -> None:
    ann, bob = await person(slack, "ann", ADDRESS), await person(slack, "bob", "bob@example.com")
    await people.account_of(TEAM, ANN, ADDRESS)
    assert await people.account_of(TEAM, ANN, "bob@example.com") == bob.account
    assert await people.account_of(TEAM, ANN, None) is None
    assert await people.account_of(TEAM, EVE, ADDRESS) == ann.account
    assert await trail(slack) == [
        ("person_matched", ann.account),
        ("person_matched", bob.account),
        ("person_unmatched", bob.account),
    ]
    assert [(one.user, one.account) for one in await people.list(ann)] == [(EVE, ann.account)]


async def test_a_link_wins_over_any_address(slack: Rows, people: People) -> None:
    ann, root = await person(slack, "ann", ADDRESS), await person(slack, "root", "root@example.com", Role.ADMIN)
    await linked(people, ANN, ann)
    # In Slack ann's address becomes the administrator's; and somebody else gets ann's.
    assert await people.account_of(TEAM, ANN, "root@example.com") == ann.account
    assert await people.account_of(TEAM, EVE, ADDRESS) is None
    # In another workspace nobody is linked, so there the address counts.
    assert await people.account_of("T0002", EVE, ADDRESS) == ann.account
    assert {one.account for one in await people.list(root)} == {ann.account}


async def test_by_address_can_be_switched_off(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann", ADDRESS)
    await people.account_of(TEAM, ANN, ADDRESS)
    links_only = People(slack.desk.database, GRANT_KEY, by_email=False, clock=slack.desk.clock)
    assert await links_only.account_of(TEAM, ANN, ADDRESS) is None
    assert await trail(slack) == [("person_matched", ann.account), ("person_unmatched", ann.account)]
    await linked(links_only, ANN, ann)
    assert await links_only.account_of(TEAM, ANN, None) == ann.account


async def test_a_link_is_made_in_four_steps(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    token = await people.offer(TEAM, ANN, "Ann in Slack")
    seen = await people.peek(token, ann.account)
    assert (seen.user, seen.name, seen.account) == (ANN, "Ann in Slack", None)
    assert await people.account_of(TEAM, ANN, None) is None
    code = await people.take(token, ann.account)
    assert await people.take(token, ann.account) == code  # a page that is loaded again
    assert len(code) == 6
    assert code.isdigit()
    assert await people.is_taken(TEAM, ANN)
    assert await people.account_of(TEAM, ANN, None) is None
    made = await people.confirm(TEAM, ANN, f" {code} ")
    assert (made.account, made.how) == (ann.account, "link")
    assert await people.account_of(TEAM, ANN, None) == ann.account
    assert await trail(slack) == [("link_taken", ann.account), ("linked", ann.account)]
    with pytest.raises(NotFound):
        await people.confirm(TEAM, ANN, code)
    with pytest.raises(NotFound, match="taken already or has expired"):
        await people.peek(token, ann.account)


async def test_who_sends_their_offer_to_a_victim_gets_nothing_without_the_code(slack: Rows, people: People) -> None:
    """The victim opens the attacker's offer and even agrees: the attacker must still say what only the victim's page shows."""
    victim = await person(slack, "root", role=Role.ADMIN)
    code = await people.take(await people.offer(TEAM, EVE, "Root (really)"), victim.account)
    guesses = [f"{(int(code) + step) % 1_000_000:06d}" for step in range(1, MOST_TRIES + 1)]
    for guess in guesses:
        with pytest.raises(Forbidden, match="not the code") as refused:
            await people.confirm(TEAM, EVE, guess)
        assert refused.value.code == "wrong_code"
    with pytest.raises(NotFound):  # the right one comes too late
        await people.confirm(TEAM, EVE, code)
    assert await people.account_of(TEAM, EVE, None) is None
    assert [action for action, _ in await trail(slack, EVE)] == ["link_taken", "link_refused"]


async def test_guesses_at_once_are_all_counted(slack: Rows, people: People) -> None:
    victim = await person(slack, "root")
    code = await people.take(await people.offer(TEAM, EVE, "eve"), victim.account)
    guesses = [f"{(int(code) + step) % 1_000_000:06d}" for step in range(1, 13)]
    told = await asyncio.gather(*(people.confirm(TEAM, EVE, guess) for guess in guesses), return_exceptions=True)
    assert sum(isinstance(one, Forbidden) for one in told) == MOST_TRIES
    assert sum(isinstance(one, NotFound) for one in told) == len(guesses) - MOST_TRIES


async def test_who_steals_an_offer_gets_nothing_either(slack: Rows, people: People) -> None:
    """The thief's account takes ann's offer. What the thief is shown counts only when ann says it; nobody else can."""
    ann, thief = await person(slack, "ann"), await person(slack, "thief")
    token = await people.offer(TEAM, ANN, "ann")
    code = await people.take(token, thief.account)
    with pytest.raises(NotFound):
        await people.confirm(TEAM, EVE, code)
    with pytest.raises(NotFound, match="taken already"):
        await people.take(token, ann.account)
    # ann asks for another one, and the thief's is worth nothing any more.
    mine = await people.take(await people.offer(TEAM, ANN, "ann"), ann.account)
    if mine != code:
        with pytest.raises(Forbidden):
            await people.confirm(TEAM, ANN, code)
    assert (await people.confirm(TEAM, ANN, mine)).account == ann.account


async def test_of_two_accounts_that_race_for_an_offer_one_gets_it(slack: Rows, people: People) -> None:
    accounts = [await person(slack, name) for name in ("ann", "bob", "carol")]
    token = await people.offer(TEAM, ANN, "ann")
    got = await asyncio.gather(*(people.take(token, one.account) for one in accounts), return_exceptions=True)
    assert sum(isinstance(one, str) for one in got) == 1
    assert sum(isinstance(one, NotFound) for one in got) == 2


async def test_a_code_that_is_said_twice_at_once_links_once(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    code = await people.take(await people.offer(TEAM, ANN, "ann"), ann.account)
    said = await asyncio.gather(*(people.confirm(TEAM, ANN, code) for _ in range(5)), return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in said) == 1
    assert [action for action, _ in await trail(slack)].count("linked") == 1


async def test_offers_end_with_their_ten_minutes_and_go_at_night(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    token = await people.offer(TEAM, ANN, "ann")
    slack.desk.clock.move(seconds=OFFER_HOLDS.total_seconds() - 1)
    code = await people.take(token, ann.account)
    slack.desk.clock.move(seconds=OFFER_HOLDS.total_seconds())
    with pytest.raises(NotFound, match="in the last 10 minutes"):
        await people.confirm(TEAM, ANN, code)
    late = await people.offer(TEAM, EVE, "eve")
    slack.desk.clock.move(seconds=OFFER_HOLDS.total_seconds())
    for look in (people.peek, people.take):
        with pytest.raises(NotFound, match="expired"):
            await look(late, ann.account)
    async with slack.desk.database.transaction() as session:
        assert await forget_offers(session, slack.desk.clock.move(seconds=1)) == 2


@pytest.mark.parametrize("token", ["", "x", "../..", "\x00", "é" * 5000, "\ud800"])
async def test_a_made_up_offer_is_refused(slack: Rows, people: People, token: str) -> None:
    with pytest.raises(NotFound):
        await people.peek(token, "nobody")


async def test_one_offer_a_person_and_no_secret_in_any_table(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    first, token = await people.offer(TEAM, ANN, "ann"), await people.offer(TEAM, ANN, "ann")
    with pytest.raises(NotFound):
        await people.peek(first, ann.account)
    code = await people.take(token, ann.account)
    assert len(await slack.all(SlackLinkRow)) == 1
    async with slack.desk.database.read() as session:
        everything = repr([(await session.execute(select(table))).all() for table in Table.metadata.sorted_tables])
    assert token not in everything
    assert f"'{code}'" not in everything


async def test_a_person_has_one_account_and_an_account_one_person_a_workspace(slack: Rows, people: People) -> None:
    ann, bob = await person(slack, "ann"), await person(slack, "bob")
    await linked(people, ANN, ann)
    await linked(people, "U00ANN2", ann, team="T0002")
    token = await people.offer(TEAM, EVE, "eve")
    with pytest.raises(Conflict, match=f"linked with {ANN}"):
        await people.take(token, ann.account)
    await linked(people, ANN, bob)  # the same person, as another account from now on
    assert await people.account_of(TEAM, ANN, None) == bob.account
    assert {(one.team, one.user) for one in await people.list(ann)} == {("T0002", "U00ANN2")}
    assert len(await slack.all(SlackPersonRow)) == 2


async def test_of_two_persons_who_become_one_account_at_once_one_does(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    codes = {user: await people.take(await people.offer(TEAM, user, user), ann.account) for user in (ANN, EVE)}
    said = await asyncio.gather(*(people.confirm(TEAM, user, code) for user, code in codes.items()), return_exceptions=True)
    assert sorted(type(one).__name__ for one in said) == ["Conflict", "Linked"]
    assert len(await slack.all(SlackPersonRow)) == 1


async def test_unlinking_is_for_the_account_an_admin_and_the_person_of_slack(slack: Rows, people: People) -> None:
    ann, bob = await person(slack, "ann"), await person(slack, "bob")
    root = await person(slack, "root", role=Role.ADMIN)
    await linked(people, ANN, ann)
    assert await people.list(bob) == ()
    with pytest.raises(NotFound, match="not yours"):
        await people.unlink(bob, TEAM, ANN)
    for by in (ann, root):
        assert (await people.unlink(by, TEAM, ANN, door="web")).account == ann.account
        assert await people.account_of(TEAM, ANN, None) is None
        await linked(people, ANN, ann)
    assert (await people.unlink_from_slack(TEAM, ANN)).account == ann.account
    with pytest.raises(NotFound):
        await people.unlink_from_slack(TEAM, ANN)


async def test_a_disabled_account_is_linked_by_no_code(slack: Rows, people: People) -> None:
    ann = await person(slack, "ann")
    code = await people.take(await people.offer(TEAM, ANN, "ann"), ann.account)
    await slack.desk.accounts.disable(ann.account, by="system")
    with pytest.raises(Forbidden):
        await people.confirm(TEAM, ANN, code)


async def test_nobody_becomes_the_account_that_strangers_read_with(slack: Rows, people: People) -> None:
    root = await person(slack, "root", role=Role.ADMIN)
    bound = await slack.channels.bind(root, team=TEAM, channel="C1", reach=(Reach(cluster="shop"),), strangers="read")
    nobody = bound.stranger_account
    assert nobody is not None
    accounts = slack.desk.accounts
    token = await people.offer(TEAM, EVE, "eve")
    for way in (
        people.take(token, nobody),
        accounts.set_email(nobody, "eve@example.com", by=root.account),
        accounts.set_roles(nobody, (ScopedRole(role=Role.ADMIN),), by=root.account),
        accounts.set_password(nobody, "correct horse battery staple", by=root.account),
        accounts.make_link(nobody, by=root.account),
    ):
        with pytest.raises(Forbidden, match="nobody signs in as this account"):
            await way
    assert [one.person for one in await accounts.list()].count(False) == 1
    # Unbound, it holds no role that would tell; it is nobody's all the same.
    await slack.channels.unbind(root, TEAM, "C1")
    await accounts.enable(nobody, by=root.account)
    with pytest.raises(Forbidden):
        await accounts.make_link(nobody, by=root.account)
    with pytest.raises(Invalid, match="accounts that nobody signs in as"):
        await accounts.create("Slack-Channel.mine", "Me", (), by=root.account)
    assert len(await slack.all(AccountRow)) == 2
