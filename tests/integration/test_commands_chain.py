"""Commands over the real bus to a runner that answers, or is not there: what comes back, and who may see it."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from control_plane.audit import Audit
from control_plane.errors import NotFound
from control_plane.principals import Principal, ScopedRole
from control_plane.tables.commands import CommandEntryRow
from protocol.approval import Role
from protocol.commands import CommandStatus, PreparePlan, PromQuery, ScopeLimit
from protocol.objects import ObjectRef
from protocol.remediation import SetEnv
from tests.integration.fake_runner import FakeRunner, Job, answer_at_once, never
from tests.integration.plane import ADMIN, Plane, get_pods, plane
from tests.integration.test_commands_execute import a_restart, allow_writes
from tests.integration.waiting import until


@pytest_asyncio.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Plane]:
    async with plane(tmp_path) as running:
        yield running


def viewer(*namespaces: str, cluster: str = "*") -> Principal:
    role = ScopedRole(role=Role.VIEWER, clusters=(cluster,), namespaces=namespaces)
    return Principal(account="viewer", name="Viewer", roles=(role,))


async def test_a_read_comes_back_and_is_kept(here: Plane) -> None:
    result = await here.run(correlation={"conversation": "c1", "turn": "t1"})
    assert (result.status, result.text) == (CommandStatus.OK, "result of kubectl")
    row = await here.commands.get(result.id, ADMIN)
    assert (row.title, row.status, row.issued_by) == ("kubectl get pods -n shop", CommandStatus.OK, "admin")
    assert (row.conversation, row.turn) == ("c1", "t1")
    assert row.finished_at is not None
    assert await here.commands.result(result.id, ADMIN) == result
    assert [item.id for item in await here.commands.list(ADMIN, cluster="shop")] == [result.id]


async def test_the_runner_gets_what_was_asked_with_the_scope_and_the_deadline(here: Plane) -> None:
    await here.run(scope=ScopeLimit(namespaces=("shop", "infra")), deadline_s=7, max_bytes=5000, principal=viewer("shop", "x"))
    request = here.runner.jobs[0].request
    assert request.command == get_pods()
    assert request.scope.namespaces == ("shop",)
    assert (request.deadline_s, request.max_bytes, request.issued_by) == (7, 5000, "viewer")


async def test_progress_reaches_the_asker_and_a_failing_listener_harms_nothing(here: Plane) -> None:
    async def with_progress(job: Job) -> None:
        await job.accept()
        await job.progress("looking at\x1b[31m 12 pods")
        await job.finish()

    here.runner.answer = with_progress
    notes: list[str] = []
    assert (await here.run(on_progress=notes.append)).good
    assert notes == ["looking at 12 pods"]

    def broken(note: str) -> None:
        raise RuntimeError(note)

    assert (await here.run(on_progress=broken)).good


async def test_a_result_of_five_mebibytes_comes_in_pieces(here: Plane) -> None:
    line = "payments-7d9f   1/1   Running   0   3d\n"
    text = line * (5 * 1024 * 1024 // len(line))

    async def large(job: Job) -> None:
        await job.accept()
        await job.finish(text)

    here.runner.answer = large
    result = await here.run(max_bytes=8 * 1024 * 1024)
    assert result.text == text
    stored = await here.commands.result(result.id, ADMIN)
    assert len(stored.text) <= 256 * 1024
    assert "[cut:" in stored.text


@pytest.mark.parametrize("where", ["text", "data"])
async def test_pieces_that_are_more_than_was_asked_for_fail_the_command_in_words(here: Plane, where: str) -> None:
    much = "x" * (9 * 1024 * 1024)

    async def endless(job: Job) -> None:
        await job.accept()
        if where == "text":
            await job.finish(much)
        else:
            await job.finish(data={"changes": [{"after": much}]})

    here.runner.answer = endless
    result = await here.run(max_bytes=4096)
    assert result.status is CommandStatus.FAILED
    assert "more than was asked for (over 8 MiB)" in result.error
    here.runner.answer = answer_at_once
    assert (await here.run()).good


async def test_many_at_once_each_get_their_own_answer(here: Plane) -> None:
    async def echo(job: Job) -> None:
        await job.accept()
        assert isinstance(job.request.command, PromQuery)
        await job.finish(job.request.command.expr)

    here.runner.answer = echo
    results = await asyncio.gather(*(here.run(command=PromQuery(expr=f"up{n}")) for n in range(100)))
    assert [result.text for result in results] == [f"up{n}" for n in range(100)]


async def test_what_the_runner_missed_is_redacted_here(here: Plane) -> None:
    async def leaky(job: Job) -> None:
        await job.finish("DB_PASSWORD=hunter2hunter2", data={"changes": [{"after": "password: hunter2hunter2"}]})

    here.runner.answer = leaky
    result = await here.run()
    assert "hunter2" not in result.model_dump_json()
    assert result.redacted >= 2
    assert "hunter2" not in (await here.commands.result(result.id, ADMIN)).model_dump_json()


async def test_a_cluster_that_never_had_a_runner_is_offline_and_says_how_to_get_one(here: Plane) -> None:
    await here.fleet.create("empty", by="admin")
    result = await here.run(cluster="empty")
    assert result.status is CommandStatus.OFFLINE
    assert "empty" in result.error
    assert "opsthread cluster add empty" in result.error
    assert (await here.commands.get(result.id, ADMIN)).status is CommandStatus.OFFLINE


async def test_a_runner_that_is_gone_is_offline_at_once_not_at_the_deadline(here: Plane) -> None:
    await here.runner.leave()
    async with asyncio.timeout(5):
        result = await here.run(deadline_s=60)
    assert result.status is CommandStatus.OFFLINE
    assert "shop" in result.error


async def test_a_runner_that_comes_back_within_the_retry_gets_the_command(here: Plane) -> None:
    await here.runner.leave()
    asked = asyncio.create_task(here.run())
    await here.runner.connect()
    assert (await asked).good


async def test_an_unknown_cluster_is_not_found(here: Plane) -> None:
    result = await here.run(cluster="nowhere")
    assert result.status is CommandStatus.NOT_FOUND
    assert "nowhere" in result.error


async def test_the_scope_is_judged_before_anything_is_sent(here: Plane) -> None:
    result = await here.run(principal=viewer("infra"))
    assert result.status is CommandStatus.DENIED
    assert "shop" in result.error
    assert here.runner.jobs == []
    assert (await here.commands.get(result.id, ADMIN)).status is CommandStatus.DENIED


async def test_somebody_who_sees_nothing_of_the_cluster_learns_nothing(here: Plane) -> None:
    result = await here.run(principal=viewer("shop", cluster="bank"))
    assert result.status is CommandStatus.NOT_FOUND
    assert here.runner.jobs == []


async def test_a_role_may_name_the_cluster_by_its_name(here: Plane) -> None:
    assert (await here.run(principal=viewer("shop", cluster="shop"))).good


async def test_results_are_shown_only_to_who_may_see_what_they_were_made_for(here: Plane) -> None:
    whole = await here.run(command=get_pods("shop"))
    narrow = await here.run(principal=viewer("shop"))
    with pytest.raises(NotFound):
        await here.commands.result(whole.id, viewer("shop"))
    with pytest.raises(NotFound):
        await here.commands.get(narrow.id, viewer("infra"))
    assert (await here.commands.result(narrow.id, viewer("shop", "infra"))).id == narrow.id
    assert [row.id for row in await here.commands.list(viewer("shop"))] == [narrow.id]
    assert len(await here.commands.list(ADMIN)) == 2


async def test_a_change_is_refused_as_a_command_and_proposals_are_named(here: Plane) -> None:
    await allow_writes(here)
    result = await here.run(command=a_restart(here.runner.boot, here.cluster.id))
    assert result.status is CommandStatus.DENIED
    assert "proposals" in result.error
    assert here.runner.jobs == []


async def test_the_rows_of_plans_keep_no_values(here: Plane) -> None:
    """Neither a secret that policy refuses, nor what was there before: both would be readable as a command's result."""
    target = ObjectRef.parse("Deployment/shop/payments")

    async def planned(job: Job) -> None:
        await job.finish("a diff", data={"plan": {"body": {"undo": {"env": {"MODE": "old-value"}}}}})

    here.runner.answer = planned
    refused = await here.run(command=PreparePlan(action=SetEnv(target=target, container="app", env={"API_TOKEN": "hunter22"})))
    assert refused.status == CommandStatus.DENIED
    good = await here.run(command=PreparePlan(action=SetEnv(target=target, container="app", env={"MODE": "new-value"})))
    assert good.data is not None, "the asker gets the plan"
    kept = await here.commands.result(good.id, ADMIN)
    assert (kept.data, kept.text) == (None, "a diff")
    async with here.database.read() as session:
        rows = (await session.scalars(select(CommandEntryRow))).all()
    shown = " ".join(f"{row.title} {row.request} {row.data}" for row in rows)
    assert len(rows) == 2
    assert "hunter22" not in shown
    assert "old-value" not in shown
    trail = await Audit(here.database).list(ADMIN)
    assert "hunter22" not in str(trail)


async def test_a_hostile_runner_cannot_answer_for_another_cluster(here: Plane) -> None:
    """Not even when it knows the subject on which the answer is awaited: NATS does not let it publish there."""
    other = await here.fleet.create("bank", by="admin")
    spy = FakeRunner(here.bus.url)
    assert await spy.enrol(await here.fleet.enrolment_token(other.id, by="admin")) == ""
    await spy.connect()
    own_reply: list[str] = []

    async def remember(job: Job) -> None:
        own_reply.append(job.reply)
        await job.finish()

    spy.answer = remember
    assert (await here.run(cluster="bank")).good
    here.runner.answer = never
    asked = asyncio.create_task(here.run(deadline_s=60))
    await until(lambda: here.runner.jobs, "the command is out")
    victim = here.runner.jobs[0]
    forged = Job(victim.request, own_reply[0], spy.client) if spy.client else None
    assert forged is not None
    await forged.finish("forged")
    await Job(victim.request, victim.reply, forged.client).finish("forged")
    await forged.client.flush(5)
    await until(lambda: "permissions violation" in " ".join(spy.errors).lower(), "the forged answer is refused")
    assert victim.reply not in own_reply
    await victim.finish("true")
    assert (await asked).text == "true"
    await spy.close()


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1", b'{"kind":"chunk","id":"x","n":9,"of":3,"data":""}'])
async def test_an_unreadable_answer_ends_the_command_with_words(here: Plane, junk: bytes) -> None:
    async def babble(job: Job) -> None:
        await job.client.publish(job.reply, junk)

    here.runner.answer = babble
    result = await here.run()
    assert result.status is CommandStatus.FAILED
    assert "could not be read" in result.error
