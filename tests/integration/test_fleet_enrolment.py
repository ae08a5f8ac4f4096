"""Who gets onto the bus, as what: enrolment, proofs, permissions, revocation."""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import nats.errors
import nkeys
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from control_plane.auth_callout import AuthCallout
from control_plane.bus import Incoming
from control_plane.bus.jwt import seed_of
from control_plane.errors import Conflict, Invalid, NotFound
from protocol import subjects
from protocol.proof import enrol_inbox_id
from tests.integration.fake_runner import FakeRunner
from tests.integration.plane import ADMIN, Plane, plane
from tests.integration.waiting import until

REFUSED = (nats.errors.Error, OSError)  # a refusal, or the reset that follows it when the answer was not read yet


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Plane]:
    async with plane(tmp_path) as running:
        yield running


async def test_a_runner_exchanges_its_token_for_a_place_of_its_own(here: Plane) -> None:
    cluster = await here.fleet.get("shop")
    assert cluster.online
    assert cluster.runner is not None
    assert (cluster.runner.id, cluster.runner.boot) == (here.runner.runner, here.runner.boot)
    assert here.runner.cluster == cluster.id


async def test_a_token_is_worth_nothing_to_a_second_runner(here: Plane) -> None:
    token = await here.fleet.enrolment_token("shop", by="admin")
    first, second = FakeRunner(here.bus.url), FakeRunner(here.bus.url)
    assert await first.enrol(token) == ""
    with pytest.raises(REFUSED):
        await second.enrol(token)


async def test_of_two_racing_runners_exactly_one_gets_the_token(here: Plane) -> None:
    token = await here.fleet.enrolment_token("shop", by="admin")
    racers = [FakeRunner(here.bus.url) for _ in range(4)]
    ends = await asyncio.gather(*(racer.enrol(token) for racer in racers), return_exceptions=True)
    assert ends.count("") == 1
    assert sum(1 for racer in racers if racer.runner) == 1


async def test_a_runner_whose_answer_was_lost_may_ask_again_with_the_same_key(here: Plane) -> None:
    token = await here.fleet.enrolment_token("shop", by="admin")
    runner = FakeRunner(here.bus.url)
    assert await runner.enrol(token) == ""
    place = runner.runner
    runner.cluster = runner.runner = ""
    assert await runner.enrol(token) == ""
    assert runner.runner == place


@pytest.mark.parametrize("valid", [timedelta(seconds=-1), None])
async def test_an_expired_or_made_up_token_is_refused(here: Plane, valid: timedelta | None) -> None:
    if valid is None:
        token = f"enrol-{secrets.token_urlsafe(24)}"
    else:
        token = await here.fleet.enrolment_token("shop", by="admin", valid=valid)
    with pytest.raises(REFUSED):
        await FakeRunner(here.bus.url).enrol(token)


async def test_a_token_for_an_unknown_cluster_is_not_made(here: Plane) -> None:
    with pytest.raises(NotFound):
        await here.fleet.enrolment_token("nowhere", by="admin")


async def test_nobody_gets_in_without_a_proof(here: Plane) -> None:
    attempts: tuple[dict[str, Any], ...] = ({}, {"user": "cp", "password": "guess"}, {"token": "guess"}, {"token": "x" * 9000})
    for credentials in attempts:
        client = Client()
        with pytest.raises(REFUSED):
            await client.connect([here.bus.url], allow_reconnect=False, max_reconnect_attempts=1, **credentials)
        await client.close()


async def test_a_proof_is_good_once(here: Plane) -> None:
    stolen = here.runner.proof()
    first = await here.runner.open(stolen, subjects.inbox_prefix(here.runner.runner))
    await first.close()
    with pytest.raises(REFUSED):
        await here.runner.open(stolen, subjects.inbox_prefix(here.runner.runner))


async def test_an_older_proof_than_the_last_one_is_refused(here: Plane) -> None:
    kept_back = here.runner.proof()
    await (await here.runner.open(here.runner.proof(), subjects.inbox_prefix(here.runner.runner))).close()
    with pytest.raises(REFUSED):
        await here.runner.open(kept_back, subjects.inbox_prefix(here.runner.runner))


async def test_a_stale_proof_is_refused(here: Plane) -> None:
    old = here.runner.proof(at=datetime.now(UTC) - timedelta(seconds=90))
    with pytest.raises(REFUSED):
        await here.runner.open(old, subjects.inbox_prefix(here.runner.runner))


async def test_a_proof_with_another_key_is_refused(here: Plane) -> None:
    thief = FakeRunner(here.bus.url, cluster=here.runner.cluster, runner=here.runner.runner)
    with pytest.raises(REFUSED):
        await thief.connect()


async def test_a_key_of_one_cluster_does_not_open_another(here: Plane) -> None:
    other = await here.fleet.create("bank", by="admin")
    here.runner.cluster = other.id
    with pytest.raises(REFUSED):
        await here.runner.open(here.runner.proof(), subjects.inbox_prefix(here.runner.runner))


async def test_a_revoked_runner_is_cut_off_and_stays_out(here: Plane) -> None:
    await here.fleet.revoke_runner(here.runner.runner, by="admin")
    await asyncio.wait_for(here.runner.closed.wait(), 5)
    with pytest.raises(REFUSED):
        await here.runner.connect()
    cluster = await here.fleet.get("shop")
    assert not cluster.online
    assert cluster.runner is None


async def test_any_replica_cuts_a_connection_that_another_one_let_in(here: Plane) -> None:
    """It never saw that connection; after a restart none has."""
    other = await here.join()
    staying = await other.open(other.proof(), subjects.inbox_prefix(other.runner))
    replica = AuthCallout(here.database, here.bus)
    began = asyncio.get_running_loop().time()
    await replica.cut(here.runner.runner)
    await asyncio.wait_for(here.runner.closed.wait(), 5)
    assert asyncio.get_running_loop().time() - began < 3
    await staying.flush(5)
    await staying.close()


async def test_a_revoked_key_cannot_enrol_again(here: Plane) -> None:
    await here.fleet.revoke_runner(here.runner.runner, by="admin")
    token = await here.fleet.enrolment_token("shop", by="admin")
    assert "was revoked" in await here.runner.enrol(token)
    assert await FakeRunner(here.bus.url).enrol(token) == "", "the refusal did not use the token up"


async def test_a_runner_may_publish_on_its_own_subjects_only(here: Plane) -> None:
    other = await here.join()
    client = here.runner.client
    assert client is not None
    forbidden = [
        subjects.heartbeat(other.cluster, other.runner),
        subjects.commands(here.cluster.id, here.runner.runner),
        subjects.conversation("a" * 16),
        subjects.ENROL,
        f"{subjects.inbox_prefix(other.runner)}.x",
        "_INBOX.cp.x",
        f"{subjects.answers(other.runner, 'a' * 16)}.x",
        "$JS.API.STREAM.DELETE.OPSTHREAD_V1",
        "$SYS.REQ.SERVER.PING",
    ]
    for subject in forbidden:
        here.runner.errors.clear()
        await client.publish(subject, b"x")
        await client.flush(5)
        await _sees_violation(here.runner, subject)


async def test_a_reply_subject_does_not_make_us_speak_where_the_asker_may_not(here: Plane) -> None:
    """It is the runner's own word, and we may publish everywhere."""
    client = here.runner.client
    assert client is not None
    heard: list[bytes] = []

    async def hear(message: Incoming) -> None:
        heard.append(message.data)

    elsewhere = subjects.conversation("a" * 16)
    listening = await here.bus.serve(elsewhere, hear)
    await client.publish(subjects.hello(here.runner.cluster, here.runner.runner), here.runner.hello_data(), reply=elsewhere)
    assert (await here.runner.hello()).accepted
    assert (await here.run()).good
    await listening.close()
    assert heard == []
    assert not subjects.is_inbox_of_a_client(elsewhere)
    assert not subjects.is_inbox_of_a_client(f"{subjects.answers('a' * 16, 'b' * 16)}.x")
    assert subjects.is_inbox_of_a_client(f"{subjects.inbox_prefix('a' * 16)}.x")


async def test_a_runner_cannot_listen_to_others(here: Plane) -> None:
    other = await here.join()
    client = here.runner.client
    assert client is not None
    heard: list[str] = []

    async def hear(message: Msg) -> None:
        heard.append(message.subject)

    forbidden = [
        ">",
        f"{subjects.PREFIX}.cmd.>",
        subjects.commands(other.cluster, other.runner),
        "_INBOX.>",
        "_INBOX.cp.>",
        f"{subjects.inbox_prefix(other.runner)}.>",
        subjects.ALL_HEARTBEATS,
        subjects.conversation("a" * 16),
    ]
    for subject in forbidden:
        here.runner.errors.clear()
        await cast(Any, client).subscribe(subject, cb=hear)
        await client.flush(5)
        await _sees_violation(here.runner, subject)
    assert (await here.run()).good
    assert heard == []


async def test_with_an_enrolment_token_one_may_ask_for_enrolment_and_nothing_else(here: Plane) -> None:
    token = await here.fleet.enrolment_token("shop", by="admin")
    stranger = FakeRunner(here.bus.url)
    client = await stranger.open(stranger.proof(enrol=token), subjects.inbox_prefix(enrol_inbox_id(stranger.key)))
    try:
        for subject in (subjects.hello(here.cluster.id, here.runner.runner), "_INBOX.cp.x"):
            stranger.errors.clear()
            await client.publish(subject, b"x")
            await client.flush(5)
            await _sees_violation(stranger, subject)
        stranger.errors.clear()
        await cast(Any, client).subscribe(subjects.commands(here.cluster.id, here.runner.runner))
        await client.flush(5)
        await _sees_violation(stranger, subjects.commands(here.cluster.id, here.runner.runner))
    finally:
        await client.close()


async def test_a_hundred_runners_come_at_once(here: Plane) -> None:
    runners = [
        await here.join(FakeRunner(here.bus.url, seed=seed_of(nkeys.PREFIX_BYTE_USER, os.urandom(32)))) for _ in range(100)
    ]
    clients = await asyncio.gather(*(r.open(r.proof(), subjects.inbox_prefix(r.runner)) for r in runners))
    assert all(client.is_connected for client in clients)
    await asyncio.gather(*(client.close() for client in clients))


async def test_names_are_unique_and_people_find_clusters_by_name_and_id(here: Plane) -> None:
    with pytest.raises(Conflict, match="already"):
        await here.fleet.create("shop", by="admin")
    with pytest.raises(Invalid):
        await here.fleet.create("a b", by="admin")
    assert (await here.fleet.get(here.cluster.id, ADMIN)).name == "shop"
    assert (await here.fleet.get("shop", ADMIN)).id == here.cluster.id


async def _sees_violation(runner: FakeRunner, subject: str) -> None:
    def seen() -> bool:
        return any("permissions violation" in error.lower() and subject.lower() in error.lower() for error in runner.errors)

    await until(seen, f"the server refuses {subject}")
