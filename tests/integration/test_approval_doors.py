"""Approvals by every door: page, program, command line. What one refuses no other lets through, and no door decides in bulk."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from agent_runtime.actions.step import ActionStep
from bot.cli.main import app
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.tables import ApprovalRow, SessionRow
from protocol.approval import ApprovalState, Decision, Role, Trigger
from protocol.bus import RunnerMode
from protocol.objects import ObjectRef
from protocol.remediation import CordonNode, Owner, Risk
from tests.integration.agent_house import ClusterScript
from tests.integration.fake_runner import FakeRunner
from tests.integration.http_server import COOKIE, Here, Person, http_server

WHY = "payments is down and nobody else is awake"
WEEKEND = {"kind": "weekly", "days": ["fri"], "starts": "16:00", "until_day": "mon", "ends": "08:00", "time_zone": "Asia/Tokyo"}


@dataclass
class Town:
    here: Here
    ann: Person
    bob: Person
    root: Person

    async def decide(self, who: Person, approval: Approval, *, door: str = "rest", **more: Any) -> tuple[int, Any]:
        body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash, **more}
        path = f"/api/v1/approvals/{approval.id}/decide"
        if door == "web":
            return await who.browse("POST", path, body)
        return await who.call("POST", path, body, {"X-Opsthread-Door": door})

    async def state(self, approval: Approval) -> ApprovalState:
        return (await self.here.plane.approvals.get(approval.id)).state


@pytest.fixture
async def town(tmp_path: Path) -> AsyncGenerator[Town]:
    async with http_server(tmp_path) as here:
        ann = await here.person("ann", Role.APPROVER)
        yield Town(here, ann, await here.person("bob", Role.APPROVER), await here.person("root", Role.ADMIN))


def frozen_now() -> dict[str, Any]:
    now = utc_now()
    return {
        "kind": "once",
        "starts_at": (now - timedelta(minutes=1)).isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    }


async def opsthread(town: Town, who: Person, *words: str) -> tuple[int, str]:
    """As a person types it, in a thread and a loop of its own: starting an interpreter each time would cost seconds."""
    line = [*words, "--url", town.here.url, "--token", who.token]
    done = await asyncio.to_thread(CliRunner().invoke, app, line)
    return done.exit_code, " ".join(done.output.split())


async def test_the_requester_is_the_requester_by_every_door(town: Town) -> None:
    approval = await town.here.approval(town.ann)
    for door in ("rest", "cli", "web", "action", "slack"):
        status, body = await town.decide(town.ann, approval, door=door)
        assert (status, body["code"]) == (403, "requester"), door
    code, said = await opsthread(town, town.ann, "approvals", "approve", approval.id, "--yes")
    assert code == 5
    assert "somebody else has to approve it" in said
    assert await town.state(approval) is ApprovalState.PENDING
    code, said = await opsthread(town, town.bob, "approvals", "approve", approval.id, "--yes")
    assert code == 0
    assert "It is approved now." in said
    assert (await town.here.plane.approvals.get(approval.id)).decisions[0].door == "cli"
    rows = (await town.root.call("GET", f"/api/v1/audit?subject=approval:{approval.id}"))[1]["audit"]
    decided, requested = rows[0], rows[-1]
    assert (decided["actor_name"], decided["door"], decided["detail"]["source"]) == ("Bob", "cli", "127.0.0.1")
    assert decided["detail"]["shown"] == approval.plan.plan_hash
    assert "memory: 128Mi" in requested["detail"]["diff"], "before and after"


async def test_a_decision_that_is_played_again_changes_nothing(town: Town) -> None:
    approval = await town.here.approval(town.ann)
    first = await town.decide(town.bob, approval)
    again = await town.decide(town.bob, approval)
    assert (first[0], again[0], again[1]["version"]) == (200, 200, first[1]["version"])
    other = await town.here.approval(town.ann, action=CordonNode(target=ObjectRef.parse("Node//worker-1")))
    status, body = await town.decide(town.bob, other, plan_hash=approval.plan.plan_hash)
    assert (status, body["code"]) == (403, "plan_changed"), "a word about one plan is none about another"
    status, body = await town.decide(town.bob, approval, verdict="reject")
    assert (status, body["code"]) == (409, "decided")
    await town.here.plane.approvals.withdraw(approval.id, town.ann.principal)
    status, body = await town.decide(town.bob, approval)
    assert (status, body["state"]) == (200, "cancelled"), "said and done before: told what became of it, nothing is moved"


async def test_a_bearer_is_never_a_step_up_and_a_page_without_its_token_is_not_meant(town: Town) -> None:
    approval = await town.here.approval(town.ann, risk=Risk.HIGH)
    carol = await town.here.person("carol", Role.APPROVER)
    assert (await town.decide(carol, approval))[1]["missing"] == 1
    for door in ("rest", "cli", "web-pretended"):
        status, body = await town.decide(town.bob, approval, door=door)
        assert (status, body["code"]) == (403, "step_up")
    seen = (await town.bob.call("GET", f"/api/v1/approvals/{approval.id}"))[1]["you"]
    assert (seen["may_approve"], seen["step_up"]) == (False, "/confirm")
    assert (await town.decide(town.bob, approval, fresh_sign_in=True))[0] == 422
    body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
    path = f"/api/v1/approvals/{approval.id}/decide"
    for broken in ({"X-CSRF-Token": "x"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await town.bob.browse("POST", path, body, broken))[1]["code"] == "csrf"
    assert (await town.decide(town.bob, approval, door="web"))[1]["state"] == "approved"


async def test_the_password_makes_a_browsers_session_fresh_and_no_tokens(town: Town) -> None:
    here = town.here
    await here.plane.accounts.set_password(
        town.bob.account.id, "correct horse battery", by="system", keep_session=town.bob.session.id
    )
    old = utc_now() - timedelta(minutes=6)
    async with here.plane.database.transaction() as db:
        await db.execute(update(SessionRow).where(SessionRow.account == town.bob.account.id).values(authenticated_at=old))
    bearer = await here.bearer(town.bob.account)

    async def confirm(password: str, **headers: str) -> int:
        sent = {"Cookie": f"{COOKIE}={town.bob.session.token}", "Origin": here.url, "Sec-Fetch-Site": "same-origin"}
        form = {"csrf": town.bob.session.csrf, "password": password, "next_path": "//evil.example/"}
        async with here.client.post(f"{here.url}/confirm", data=form, headers=sent | headers, allow_redirects=False) as answer:
            if answer.status == 303 and answer.headers["Location"].startswith("/sign-in"):
                return 401
            assert answer.status != 303 or answer.headers["Location"] == "/", "only to a page of ours"
            return answer.status

    approval = await here.approval(town.ann, risk=Risk.HIGH)
    await town.decide(await here.person("carol", Role.APPROVER), approval)
    assert (await town.decide(town.bob, approval, door="web"))[1]["code"] == "step_up"
    assert await confirm("wrong") == 401
    assert (await town.decide(town.bob, approval, door="web"))[1]["code"] == "step_up"
    assert await confirm("correct horse battery", Authorization=f"Bearer {bearer}") == 401
    assert (await town.decide(town.bob, approval, door="web"))[1]["code"] == "step_up"
    assert await confirm("correct horse battery") == 303
    assert (await town.decide(town.bob, approval, door="web"))[1]["state"] == "approved"
    answers = [await confirm("wrong") for _ in range(6)]
    assert answers[-1] == 429, "guessing is slowed down here as at the door"


async def test_freezes_over_rest_and_the_command_line(town: Town) -> None:
    here, cluster = town.here, town.here.cluster.id
    far = await here.person("far", Role.ADMIN, clusters=("other",))
    body = {"cluster_id": cluster, "window": frozen_now(), "reason": "quarter end"}
    assert (await town.bob.call("POST", "/api/v1/freezes", body))[0] == 403
    assert (await far.call("POST", "/api/v1/freezes", body))[0] == 404
    assert (await far.call("POST", "/api/v1/freezes", {**body, "cluster_id": None}))[0] == 403
    for wrong in ({"window": {"kind": "weekly"}}, {"reason": ""}, {"window": {**WEEKEND, "time_zone": "Mars/Base"}}):
        assert (await town.root.call("POST", "/api/v1/freezes", body | wrong))[0] == 422
    status, added = await town.root.call("POST", "/api/v1/freezes", body)
    assert status == 201
    assert (await town.root.call("POST", "/api/v1/freezes", {**body, "cluster_id": None, "window": WEEKEND}))[0] == 201
    approval = await here.approval(town.ann)
    view = (await town.bob.call("GET", f"/api/v1/approvals/{approval.id}"))[1]
    assert (view["freeze"]["reason"], view["you"]["refusal_code"]) == ("quarter end", "frozen")
    code, said = await opsthread(town, town.bob, "approvals", "approve", approval.id, "--yes")
    assert code == 5
    assert "is frozen until" in said
    assert "fresh sign-in on the web" in said
    assert len((await town.ann.call("GET", "/api/v1/freezes"))[1]["freezes"]) == 2
    assert [f["cluster_name"] for f in (await far.call("GET", "/api/v1/freezes"))[1]["freezes"]] == [""]
    assert (await far.call("DELETE", f"/api/v1/freezes/{added['id']}"))[0] == 404
    assert (await town.bob.call("DELETE", f"/api/v1/freezes/{added['id']}"))[0] == 403
    code, said = await opsthread(town, town.root, "freeze", "end", added["id"])
    assert (code, "It was taken away." in said) == (0, True)
    now = utc_now()
    code, said = await opsthread(
        town, town.root, "freeze", "add", "--cluster", "practice", "--reason", "move", "--zone", "Asia/Tokyo",
        "--from", (now + timedelta(hours=8, minutes=55)).strftime("%Y-%m-%dT%H:%M"),
        "--until", (now + timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M"),
    )  # fmt: skip
    assert code == 0
    assert "open until" in said, "Tokyo is nine hours ahead: it opened five minutes ago"


async def test_breaking_the_glass_needs_the_page_and_others_hear_of_it_at_once(town: Town) -> None:
    approval = await town.here.approval(town.ann)
    said = {"break_glass": True, "reason": WHY}
    for door in ("rest", "cli"):
        assert (await town.decide(town.ann, approval, door=door, **said))[1]["code"] == "step_up"
    assert (await town.decide(town.ann, approval, door="web", break_glass=True))[1]["code"] == "break_glass"
    path = f"/api/v1/clusters/{town.here.cluster.id}/break-glass"
    assert (await town.bob.call("PUT", path, {"allowed": False}))[0] == 403
    async with town.root.stream() as events:
        assert (await events.next("lists")).data["notifications"] == []
        status, view = await town.decide(town.ann, approval, door="web", **said)
        assert (status, view["state"], view["break_glass"]["reason"]) == (200, "approved", WHY)
        while not (told := (await events.next("lists")).data["notifications"]):
            pass
        assert (told[0]["by_name"], told[0]["approval"]) == ("Ann", approval.id)
    assert (await town.ann.call("GET", "/api/v1/notifications"))[1]["notifications"] == []
    code, listed = await opsthread(town, town.bob, "approvals", "list", "--state", "approved")
    assert (code, f"Ann broke the glass in {town.here.cluster.name}" in listed) == (0, True)
    note = (await town.bob.call("GET", "/api/v1/notifications"))[1]["notifications"][0]
    far = await town.here.person("far", Role.APPROVER, namespaces=("other",))
    assert (await far.call("POST", f"/api/v1/notifications/{note['id']}/seen"))[0] == 404
    assert (await town.bob.call("POST", f"/api/v1/notifications/{note['id']}/seen"))[0] == 204
    assert (await town.bob.call("GET", "/api/v1/notifications"))[1]["notifications"] == []


async def test_no_door_decides_about_two_at_once(town: Town) -> None:
    """Every call that decides names one approval in its path; nothing takes a list, a filter or a star."""
    paths = (await town.ann.call("GET", "/api/v1/openapi.json"))[1]["paths"]
    deciding = {f"{verb} {path}" for path, verbs in paths.items() for verb in verbs if "approvals" in path and verb != "get"}
    assert deciding == {"post /api/v1/approvals/{approval}/decide", "post /api/v1/approvals/{approval}/withdraw"}
    approval = await town.here.approval(town.ann)
    for several in ("*", f"{approval.id},{approval.id}", "all"):
        status, _ = await town.bob.call(
            "POST", f"/api/v1/approvals/{several}/decide", {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
        )
        assert status == 404
    assert await town.state(approval) is ApprovalState.PENDING


async def test_an_owner_that_reverts_by_the_command_line(town: Town) -> None:
    owner = Owner(kind="flux", name="shop", reverts=True, git_patch="--- a/x\n+++ b/x\n-1\n+2\n")
    approval = await town.here.approval(town.ann, owner=owner)
    code, said = await opsthread(town, town.bob, "approvals", "approve", approval.id, "--yes")
    assert code == 5
    assert "--override-owner" in said
    code, said = await opsthread(town, town.bob, "approvals", "show", approval.id)
    assert code == 0
    assert "Patch for Git" in said
    assert "+++ b/x" in said
    how = ("--yes", "--override-owner", "--reason", "Flux is down")
    code, said = await opsthread(town, town.bob, "approvals", "approve", approval.id, *how)
    assert code == 0, said


async def with_runner(town: Town) -> tuple[FakeRunner, ClusterScript]:
    script = ClusterScript(cluster=town.here.cluster.id)
    mode = RunnerMode(writes=True, remediations=("set_resources",))
    runner = FakeRunner(town.here.plane.bus.url, mode=mode, answer=script.answer)
    assert await runner.enrol(await town.here.plane.fleet.enrolment_token(town.here.cluster.id, by="system")) == ""
    assert (await runner.connect()).accepted
    return runner, script


async def test_an_object_that_changed_aborts_it_and_the_same_is_asked_for_anew(town: Town) -> None:
    """The runner finds another uid or other fields and refuses; the card offers a fresh plan, which supersedes nothing."""
    here = town.here
    runner, script = await with_runner(town)
    try:
        script.executed, script.refused_code = "refused", "changed"
        approval = await here.approval(town.ann)
        assert (await town.bob.call("POST", f"/api/v1/proposals/again/{approval.id}"))[0] == 409, "it is still open"
        await town.decide(town.bob, approval)
        await ActionStep(here.plane, answer_wait_s=0.2, ask_every_s=0.01, check_every_s=0.01).run(approval.id)
        view = (await town.bob.call("GET", f"/api/v1/approvals/{approval.id}"))[1]
        assert (view["state"], view["you"]["may_ask_again"]) == ("failed", True)
        assert "changed nothing" in view["outcome"]
        vera = await here.person("vera", Role.VIEWER)
        assert (await vera.call("POST", f"/api/v1/proposals/again/{approval.id}"))[0] in (403, 409)
        status, opened = await town.bob.call("POST", f"/api/v1/proposals/again/{approval.id}")
        assert (status, opened["state"], opened["requester_name"]) == (201, "pending", "Bob")
        assert opened["id"] != approval.id
        assert opened["action"] == view["action"]
        status, body = await town.decide(town.bob, await here.plane.approvals.get(opened["id"]))
        assert (status, body["code"]) == (403, "requester"), "who asks again is the requester now"
        healed = await here.plane.approvals.move(
            (await here.plane.approvals.decide(opened["id"], _word(opened), town.ann.principal)).id, Trigger.START
        )
        await here.plane.approvals.move(healed.id, Trigger.CHECK_PASSED)
        assert (await town.bob.call("POST", f"/api/v1/proposals/again/{healed.id}"))[0] == 409
    finally:
        await runner.close()


def _word(view: dict[str, Any]) -> Decision:
    return Decision(by="x", by_name="x", verdict="approve", plan_hash=str(view["plan_hash"]), at=utc_now(), door="web")


async def test_the_audit_leaves_the_house_and_proves_itself_without_it(town: Town, tmp_path: Path) -> None:
    approval = await town.here.approval(town.ann)
    await town.decide(town.bob, approval)
    assert (await town.bob.call("GET", "/api/v1/audit/export"))[0] == 403
    file = tmp_path / "audit.jsonl"
    code, said = await opsthread(town, town.root, "audit", "export", str(file))
    assert code == 0, said
    key = (await town.root.call("GET", "/api/v1/audit/key"))[1]["public_keys"]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert any(line.get("subject") == f"approval:{approval.id}" for line in lines)
    good = ("audit", "verify", str(file), "--key", *key.values())
    code, said = await opsthread(town, town.root, *good)
    assert (code, "hold, signed up to row" in said) == (0, True), said
    file.write_text(file.read_text().replace("Bob", "Eve", 1))
    code, said = await opsthread(town, town.root, *good)
    assert code == 1
    assert "was altered" in said


async def test_a_row_that_was_altered_is_said_by_the_page_of_the_audit(town: Town) -> None:
    approval = await town.here.approval(town.ann)
    async with town.here.plane.database.transaction() as db:
        await db.execute(update(ApprovalRow).where(ApprovalRow.id == approval.id).values(plan_hash="0" * 64))
    status, body = await town.decide(town.bob, approval)
    assert (status, body["code"]) == (403, "plan_changed")
    assert (await town.root.call("GET", "/api/v1/audit/verify"))[1]["intact"] is True
