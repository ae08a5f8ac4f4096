"""Accounts: links that work once, passwords that can't be guessed, sessions that end, roles that count from now on."""

import asyncio
import time
from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from control_plane.accounts import Accounts
from control_plane.errors import Conflict, Invalid, NotFound, NotSignedIn, TooMany
from control_plane.passwords import Passwords
from control_plane.principals import ScopedRole
from control_plane.sign_ins import FAILURES_BY_ADDRESS, FAILURES_BY_NAME, FAILURES_BY_NAME_AND_ADDRESS
from control_plane.tables import LinkRow, SessionRow, Table
from protocol.approval import Role
from tests.integration.desk import PASSWORD, Desk

VIEWER = (ScopedRole(role=Role.VIEWER),)
ADMIN = (ScopedRole(role=Role.ADMIN),)


async def test_a_link_signs_in_once(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    link = await desk.accounts.make_link(ann.id, by="system")
    session = await desk.accounts.use_link(link)
    principal, again = await desk.accounts.authenticate(session.token)
    assert principal.account == ann.id
    assert again.csrf == session.csrf
    with pytest.raises(NotSignedIn, match="used already"):
        await desk.accounts.use_link(link)


async def test_of_two_racing_uses_of_a_link_one_wins(any_desk: Desk) -> None:
    ann = await any_desk.accounts.create("ann", "Ann", VIEWER, by="system")
    link = await any_desk.accounts.make_link(ann.id, by="system")
    uses = await asyncio.gather(*(any_desk.accounts.use_link(link) for _ in range(10)), return_exceptions=True)
    assert sum(not isinstance(use, BaseException) for use in uses) == 1
    assert sum(isinstance(use, NotSignedIn) for use in uses) == 9
    async with any_desk.database.read() as db:
        assert len((await db.scalars(select(SessionRow))).all()) == 1


async def test_a_link_ends_with_its_hour(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    link = await desk.accounts.make_link(ann.id, by="system")
    desk.clock.move(hours=1)
    with pytest.raises(NotSignedIn):
        await desk.accounts.use_link(link)


@pytest.mark.parametrize("token", ["", "x", "../../etc/passwd", "\x00", "é" * 5000])
async def test_a_made_up_link_is_refused(desk: Desk, token: str) -> None:
    with pytest.raises(NotSignedIn):
        await desk.accounts.use_link(token)


async def test_a_link_of_a_disabled_account_signs_nobody_in(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    link = await desk.accounts.make_link(ann.id, by="system")
    await desk.accounts.disable(ann.id, by="system")
    with pytest.raises(NotSignedIn):
        await desk.accounts.use_link(link)


async def test_no_table_holds_a_token_or_a_password(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    link = await desk.accounts.make_link(ann.id, by="system")
    session = await desk.accounts.use_link(await desk.accounts.make_link(ann.id, by="system"))
    bearer = await desk.accounts.token_for(ann.id, by=ann.id, label="ci", valid=timedelta(days=1))
    async with desk.database.read() as db:
        everything = repr([(await db.execute(select(table))).all() for table in Table.metadata.sorted_tables])
    for secret in (link, session.token, session.csrf, bearer.token, PASSWORD):
        assert secret not in everything
    async with desk.database.read() as db:
        assert {len(sha) for sha in await db.scalars(select(LinkRow.token_sha256))} == {64}


async def test_a_password_signs_in_whatever_the_case_of_the_name(desk: Desk) -> None:
    await desk.accounts.create("Ann@Example.com", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in(" ANN@example.COM ", PASSWORD)
    principal, _ = await desk.accounts.authenticate(session.token)
    assert principal.name == "Ann"


async def test_unknown_wrong_disabled_and_without_password_get_the_same_words(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    bob = await desk.accounts.create("bob", "Bob", VIEWER, password=PASSWORD, by="system")
    await desk.accounts.create("carol", "Carol", VIEWER, by="system")
    await desk.accounts.disable(bob.id, by="system")
    words: set[str] = set()
    for name, password in (("ann", "wrong wrong wrong"), ("bob", PASSWORD), ("carol", PASSWORD), ("nobody", PASSWORD)):
        with pytest.raises(NotSignedIn) as refused:
            await desk.accounts.sign_in(name, password)
        words.add(refused.value.message)
    assert len(words) == 1


async def test_an_unknown_name_costs_the_time_of_a_known_one(desk: Desk) -> None:
    accounts = Accounts(desk.database, clock=desk.clock, passwords=Passwords())
    await accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")

    async def seconds(name: str) -> float:
        taken: list[float] = []
        for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
            began = time.perf_counter()
            with pytest.raises(NotSignedIn):
                await accounts.sign_in(name, "wrong wrong wrong", address=address)
            taken.append(time.perf_counter() - began)
        return min(taken)

    await seconds("warm-up")
    known, unknown = await seconds("ann"), await seconds("nobody")
    # Without the decoy an unknown name takes a tenth of it.
    assert unknown > known / 3


async def test_guesses_of_a_name_from_an_address_are_limited(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    for _ in range(FAILURES_BY_NAME_AND_ADDRESS):
        with pytest.raises(NotSignedIn):
            await desk.accounts.sign_in("ann", "wrong wrong wrong", address="10.0.0.1")
    with pytest.raises(TooMany, match="wait 15 minutes"):
        await desk.accounts.sign_in("ann", PASSWORD, address="10.0.0.1")
    await desk.accounts.sign_in("ann", PASSWORD, address="10.0.0.2")
    desk.clock.move(minutes=15)
    await desk.accounts.sign_in("ann", PASSWORD, address="10.0.0.1")


async def test_guesses_at_once_do_not_slip_through(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    guesses = [desk.accounts.sign_in("ann", f"guess number {n}", address="10.0.0.1") for n in range(40)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert sum(isinstance(result, NotSignedIn) for result in results) == FAILURES_BY_NAME_AND_ADDRESS


async def test_unknown_names_are_limited_like_known_ones(desk: Desk) -> None:
    for _ in range(FAILURES_BY_NAME_AND_ADDRESS):
        with pytest.raises(NotSignedIn):
            await desk.accounts.sign_in("nobody", PASSWORD, address="10.0.0.1")
    with pytest.raises(TooMany):
        await desk.accounts.sign_in("nobody", PASSWORD, address="10.0.0.1")


async def test_many_addresses_and_many_names_are_limited_too(desk: Desk) -> None:
    for n in range(FAILURES_BY_NAME):
        with pytest.raises(NotSignedIn):
            await desk.accounts.sign_in("ann", PASSWORD, address=f"10.0.0.{n}")
    with pytest.raises(TooMany):
        await desk.accounts.sign_in("ann", PASSWORD, address="10.0.1.1")
    for n in range(FAILURES_BY_ADDRESS):
        with pytest.raises(NotSignedIn):
            await desk.accounts.sign_in(f"user{n}", PASSWORD, address="10.9.9.9")
    with pytest.raises(TooMany):
        await desk.accounts.sign_in("another", PASSWORD, address="10.9.9.9")


async def test_a_success_forgives_the_slips_before_it(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    for _ in range(3):
        for _ in range(FAILURES_BY_NAME_AND_ADDRESS - 1):
            with pytest.raises(NotSignedIn):
                await desk.accounts.sign_in("ann", "wrong wrong wrong", address="10.0.0.1")
        await desk.accounts.sign_in("ann", PASSWORD, address="10.0.0.1")


async def test_a_browser_session_slides_but_not_for_ever(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    now = session
    for _ in range(15):
        desk.clock.move(hours=11)
        _, now = await desk.accounts.authenticate(session.token)
    assert now.expires_at == session.expires_at - timedelta(hours=12) + timedelta(days=7)
    desk.clock.move(hours=11)
    with pytest.raises(NotSignedIn):
        await desk.accounts.authenticate(session.token)


async def test_a_session_that_is_not_used_ends_after_12_hours(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    desk.clock.move(hours=12)
    with pytest.raises(NotSignedIn):
        await desk.accounts.authenticate(session.token)


async def test_a_sign_in_is_fresh_for_five_minutes_and_a_bearer_token_never(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    bearer = await desk.accounts.token_for(ann.id, by=ann.id, label="ci", valid=timedelta(days=30))
    assert (await desk.accounts.authenticate(session.token))[0].fresh_sign_in
    assert not (await desk.accounts.authenticate(bearer.token))[0].fresh_sign_in
    assert (await desk.accounts.principal(ann.id, session=session.id)).fresh_sign_in
    assert not (await desk.accounts.principal(ann.id)).fresh_sign_in
    desk.clock.move(minutes=5, seconds=1)
    assert not (await desk.accounts.authenticate(session.token))[0].fresh_sign_in


async def test_a_clock_that_is_set_back_makes_no_old_sign_in_fresh_again(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    desk.clock.move(seconds=-20)  # replicas whose clocks differ a little
    assert (await desk.accounts.authenticate(session.token))[0].fresh_sign_in
    desk.clock.move(hours=-1)
    assert not (await desk.accounts.authenticate(session.token))[0].fresh_sign_in
    desk.clock.move(minutes=30)
    assert not (await desk.accounts.authenticate(session.token))[0].fresh_sign_in


async def test_slips_while_the_clock_was_ahead_lock_nobody_out_once_it_is_right(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    desk.clock.move(days=365)
    for _ in range(FAILURES_BY_NAME_AND_ADDRESS):
        with pytest.raises(NotSignedIn):
            await desk.accounts.sign_in("ann", "wrong wrong wrong", address="10.0.0.1")
    desk.clock.move(days=-365)
    await desk.accounts.sign_in("ann", PASSWORD, address="10.0.0.1")


async def test_a_password_that_is_changed_meanwhile_confirms_nobody(desk: Desk) -> None:
    """The old one was right when it was looked at: the session that is kept must not become fresh by it."""
    ann = await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    desk.clock.move(minutes=10)

    class ChangedMeanwhile(Passwords):
        async def matches(self, stored: str | None, password: str) -> bool:
            right = await super().matches(stored, password)
            await desk.accounts.set_password(ann.id, "another long pass phrase", by="root", keep_session=session.id)
            return right

    accounts = Accounts(
        desk.database, clock=desk.clock, passwords=ChangedMeanwhile(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    )
    with pytest.raises(NotSignedIn):
        await accounts.confirm(session.id, PASSWORD)
    assert not (await desk.accounts.authenticate(session.token))[0].fresh_sign_in


async def test_somebody_elses_session_makes_nobody_fresh(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    bob = await desk.accounts.create("bob", "Bob", VIEWER, by="system")
    session = await desk.accounts.sign_in("ann", PASSWORD)
    assert not (await desk.accounts.principal(bob.id, session=session.id)).fresh_sign_in


async def test_a_bearer_token_does_not_slide(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    bearer = await desk.accounts.token_for(ann.id, by=ann.id, label="ci", valid=timedelta(days=1))
    desk.clock.move(hours=23)
    await desk.accounts.authenticate(bearer.token)
    desk.clock.move(hours=1)
    with pytest.raises(NotSignedIn):
        await desk.accounts.authenticate(bearer.token)


async def test_signing_out_ends_the_session(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    session = await desk.accounts.use_link(await desk.accounts.make_link(ann.id, by="system"))
    await desk.accounts.sign_out(session.id)
    await desk.accounts.sign_out(session.id)
    with pytest.raises(NotSignedIn):
        await desk.accounts.authenticate(session.token)


async def test_disabling_ends_sessions_and_tokens_and_enabling_does_not_bring_them_back(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    session = await desk.accounts.use_link(await desk.accounts.make_link(ann.id, by="system"))
    bearer = await desk.accounts.token_for(ann.id, by=ann.id, label="ci", valid=timedelta(days=1))
    await desk.accounts.disable(ann.id, by="system")
    with pytest.raises(NotSignedIn):
        await desk.accounts.principal(ann.id)
    await desk.accounts.enable(ann.id, by="system")
    for token in (session.token, bearer.token):
        with pytest.raises(NotSignedIn):
            await desk.accounts.authenticate(token)


async def test_a_new_password_ends_the_other_sessions(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by="system")
    here, elsewhere = await desk.accounts.sign_in("ann", PASSWORD), await desk.accounts.sign_in("ann", PASSWORD)
    await desk.accounts.set_password(ann.id, "a new one, much longer", by=ann.id, keep_session=here.id)
    await desk.accounts.authenticate(here.token)
    with pytest.raises(NotSignedIn):
        await desk.accounts.authenticate(elsewhere.token)
    with pytest.raises(NotSignedIn):
        await desk.accounts.sign_in("ann", PASSWORD)
    await desk.accounts.sign_in("ann", "a new one, much longer")


async def test_roles_count_from_the_next_request_on(desk: Desk) -> None:
    ann = await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    session = await desk.accounts.use_link(await desk.accounts.make_link(ann.id, by="system"))
    await desk.accounts.set_roles(ann.id, (ScopedRole(role=Role.APPROVER, namespaces=("shop",)),), by="system")
    principal, _ = await desk.accounts.authenticate(session.token)
    assert principal.role_in(desk.cluster.id, "shop") is Role.APPROVER
    assert principal.role_in(desk.cluster.id, "bank") is None
    assert principal.role_in(desk.cluster.id, None) is None


async def test_a_role_that_names_a_cluster_covers_its_id(desk: Desk) -> None:
    await desk.fleet.create("bank", by="system")
    ann = await desk.person("ann", Role.OPERATOR, clusters=("shop",))
    assert ann.role_in(desk.cluster.id, "shop") is Role.OPERATOR
    assert ann.role_in((await desk.fleet.get("bank")).id, "shop") is None


async def test_the_last_admin_stays(desk: Desk) -> None:
    root = await desk.accounts.create("root", "Root", ADMIN, by="system")
    with pytest.raises(Conflict, match="last account"):
        await desk.accounts.disable(root.id, by=root.id)
    with pytest.raises(Conflict, match="last account"):
        await desk.accounts.set_roles(root.id, VIEWER, by=root.id)
    assert not (await desk.accounts.get(root.id)).disabled
    await desk.accounts.create("second", "Second", ADMIN, by=root.id)
    await desk.accounts.disable(root.id, by=root.id)


async def test_of_two_admins_who_disable_each_other_one_stays(any_desk: Desk) -> None:
    one = await any_desk.accounts.create("one", "One", ADMIN, by="system")
    two = await any_desk.accounts.create("two", "Two", ADMIN, by="system")
    await asyncio.gather(
        any_desk.accounts.disable(one.id, by=two.id),
        any_desk.accounts.disable(two.id, by=one.id),
        return_exceptions=True,
    )
    assert [account.disabled for account in await any_desk.accounts.list()].count(False) == 1


async def test_names_are_unique_and_say_what_is_wrong(desk: Desk) -> None:
    await desk.accounts.create("ann", "Ann", VIEWER, by="system")
    with pytest.raises(Conflict, match="'ann'"):
        await desk.accounts.create("ANN", "Another", VIEWER, by="system")
    for name in ("", " ", "a b", "a/b", "a\u202eb", "x" * 201, "<script>"):
        with pytest.raises(Invalid, match="sign-in name"):
            await desk.accounts.create(name, "Ann", VIEWER, by="system")
    for password in ("short", "x" * 1025):
        with pytest.raises(Invalid, match="12 to 1024"):
            await desk.accounts.create("bob", "Bob", VIEWER, password=password, by="system")
    with pytest.raises(NotFound):
        await desk.accounts.get("nobody")


async def test_every_change_is_in_the_audit_without_its_secret(desk: Desk) -> None:
    root = await desk.person("root", Role.ADMIN)
    ann = await desk.accounts.create("ann", "Ann", VIEWER, password=PASSWORD, by=root.account)
    link = await desk.accounts.make_link(ann.id, by=root.account)
    session = await desk.accounts.use_link(link)
    await desk.accounts.sign_out(session.id)
    await desk.accounts.disable(ann.id, by=root.account)
    rows = await desk.audit.list(root, subject=f"account:{ann.id}")
    assert [(row.action, row.actor_name) for row in reversed(rows)] == [
        ("account.created", "Root"),
        ("account.link_made", "Root"),
        ("account.signed_in", "Ann"),
        ("account.signed_out", "Ann"),
        ("account.disabled", "Root"),
    ]
    assert link not in repr(rows)
    assert PASSWORD not in repr(rows)
