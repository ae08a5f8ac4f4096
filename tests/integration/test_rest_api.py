"""What REST does for who may use it: conversations, commands, proposals, agents, clusters, events, accounts, audit, health."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from control_plane.tables.accounts import SessionRow
from protocol.approval import Role
from protocol.commands import CommandStatus, Kubectl, PreparePlan
from protocol.events import ModelMessage, TurnFinished
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.http_server import Here, Person, http_server, plan_for
from tests.integration.waiting import until

ITEMS: list[dict[str, Any]] = [
    {
        "metadata": {"name": f"payments.{n}", "namespace": "shop"},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "payments"},
        "type": kind,
        "reason": reason,
        "message": "said",
        "count": n,
        "lastTimestamp": f"2026-11-20T12:0{n}:00Z",
    }
    for n, kind, reason in ((1, "Normal", "Pulled"), (2, "Warning", "OOMKilling"), (3, "Warning", "Unhealthy"))
]


@dataclass
class Room:
    here: Here
    dana: Person
    admin: Person
    runner: FakeRunner
    jobs: list[Job]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Here]:
    async with http_server(tmp_path) as running:
        yield running


@pytest.fixture
async def room(here: Here) -> AsyncGenerator[Room]:
    """A cluster with a runner that answers pods, events and plans."""
    jobs: list[Job] = []

    async def answer(job: Job) -> None:
        jobs.append(job)
        await job.accept()
        match job.request.command:
            case PreparePlan(action=action):
                plan = plan_for(here.cluster.id, action=action)
                await job.finish("prepared", data={"plan": plan.model_dump(mode="json")})
            case Kubectl(call=call) if "events" in str(call):
                named = [item for item in ITEMS if f"'{item['metadata']['name']}'" in str(call)]
                await job.finish(orjson.dumps(named[0] if named else {"kind": "List", "items": ITEMS}).decode())
            case _:
                await job.finish("NAME\npayments-1", redacted=1)

    runner = FakeRunner(here.plane.bus.url)
    token = await here.plane.fleet.enrolment_token(here.cluster.id, by="system")
    assert await runner.enrol(token) == ""
    runner.answer = answer
    assert (await runner.connect()).accepted
    try:
        dana = await here.person("dana", Role.OPERATOR)
        admin = await here.person("root", Role.ADMIN)
        yield Room(here, dana, admin, runner, jobs)
    finally:
        await runner.close()


async def test_a_conversation_from_question_to_answer(here: Here) -> None:
    dana = await here.person("dana", Role.OPERATOR)
    status, opened = await dana.call(
        "POST", "/api/v1/conversations", {"cluster": "practice", "text": "payments 为什么一直重启?", "client_id": "one"}
    )
    assert status == 201
    conversation, turn = opened["conversation"]["id"], opened["turn"]
    assert (turn["state"], turn["language"]) == ("queued", "zh")
    repeated = await dana.call("POST", f"/api/v1/conversations/{conversation}/ask", {"text": "again", "client_id": "one"})
    assert repeated[1]["turn"]["id"] == turn["id"]
    plane = here.plane.conversations
    await plane.claim_turn(turn["id"])
    await plane.append(conversation, ModelMessage(text="**so**", final=True), turn=turn["id"])
    await plane.end_turn(turn["id"], "finished", TurnFinished(took_ms=5))
    first = (await dana.call("GET", f"/api/v1/conversations/{conversation}/log?limit=2"))[1]
    rest = (await dana.call("GET", f"/api/v1/conversations/{conversation}/log?after={first['next']}"))[1]
    kinds = [e["event"]["type"] for e in first["entries"] + rest["entries"]]
    assert kinds == ["user_message", "model_message", "turn_finished"]
    assert rest["next"] is None
    assert first["entries"][1]["tree"] == [{"t": "p", "c": [{"t": "strong", "c": ["so"]}]}]
    assert (await dana.call("POST", f"/api/v1/conversations/{conversation}/cancel"))[1] == {"cancelled": []}


async def test_pages_of_conversations_hold_each_once(here: Here) -> None:
    dana = await here.person("dana", Role.OPERATOR)
    made = {(await here.conversation(dana)).id for _ in range(5)}
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await dana.call("GET", f"/api/v1/conversations?limit=2{cursor}"))[1]
        seen += [c["id"] for c in page["conversations"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next'].replace('+', '%2B')}"
    assert len(seen) == 5
    assert set(seen) == made


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/conversations", {"cluster": "practice", "shell": "rm"}),
        ("/api/v1/conversations", {}),
        ("/api/v1/conversations", {"cluster": "practice", "text": "x" * 20_001}),
        ("/api/v1/commands", {"cluster_id": "practice", "action": "get", "timeout": "for ever"}),
        ("/api/v1/commands", {"cluster_id": "practice", "tool": "bash", "action": "ls"}),
        ("/api/v1/commands", {"cluster_id": "practice", "action": "get", "args": ["pods", "--kubeconfig=/etc/x"]}),
        ("/api/v1/proposals", {"cluster_id": "practice"}),
        ("/api/v1/proposals", {"cluster_id": "practice", "command": "kubectl get pods"}),
        ("/api/v1/proposals", {"cluster_id": "practice", "command": "kubectl scale deployment/payments --replicas=3"}),
        ("/api/v1/proposals", {"cluster_id": "practice", "command": "kubectl delete namespace shop"}),
    ],
)
async def test_what_is_not_valid_says_so(here: Here, path: str, body: dict[str, Any]) -> None:
    dana = await here.person("dana", Role.OPERATOR)
    status, problem = await dana.call("POST", path, body)
    assert status == 422
    assert problem["detail"]
    assert problem["request_id"]


async def test_an_unknown_cluster_is_not_found(here: Here) -> None:
    dana = await here.person("dana", Role.OPERATOR)
    for path, body in (
        ("/api/v1/conversations", {"cluster": "moon", "text": "hello"}),
        ("/api/v1/commands", {"cluster_id": "moon", "action": "get", "args": ["pods"]}),
    ):
        status, problem = await dana.call("POST", path, body)
        assert (status, problem["code"]) == (404, "not_found")
        assert "moon" in problem["detail"]


async def test_a_read_runs_and_is_kept(room: Room) -> None:
    body = {
        "cluster_id": "practice",
        "type": "diagnostic",
        "tool": "kubectl",
        "action": "get",
        "args": ["pods", "-n", "shop"],
        "timeout": "30s",
    }
    status, made = await room.dana.call("POST", "/api/v1/commands", body)
    assert (status, made["status"], made["cluster_id"]) == (201, "ok", room.here.cluster.id)
    assert made["result"]["output"] == "NAME\npayments-1"
    kept = (await room.dana.call("GET", f"/api/v1/commands/{made['id']}"))[1]
    result = (await room.dana.call("GET", f"/api/v1/commands/{made['id']}/result"))[1]
    listed = (await room.dana.call("GET", "/api/v1/commands?cluster_id=practice"))[1]
    assert (kept["title"], result["redacted"]) == ("kubectl get pods -n shop", 1)
    assert [c["id"] for c in listed["commands"]] == [made["id"]]
    eve = await room.here.person("eve", Role.VIEWER, namespaces=("elsewhere",))
    assert (await eve.call("GET", f"/api/v1/commands/{made['id']}"))[0] == 404
    assert (await eve.call("GET", f"/api/v1/commands/{made['id']}/result"))[0] == 404


@pytest.mark.parametrize(
    "args", [["deployment/payments", "--replicas=3", "-n", "shop"], ["deployment", "payments", "--replicas=0", "-n", "shop"]]
)
async def test_a_write_is_not_a_command(room: Room, args: list[str]) -> None:
    status, problem = await room.dana.call(
        "POST", "/api/v1/commands", {"cluster_id": "practice", "action": "scale", "args": args}
    )
    assert (status, problem["code"]) == (422, "write_not_here")
    assert "/api/v1/proposals" in problem["detail"]
    assert room.jobs == []


async def test_a_proposal_opens_an_approval_about_the_frozen_plan(room: Room) -> None:
    conversation = await room.here.conversation(room.dana)
    status, approval = await room.dana.call(
        "POST",
        "/api/v1/proposals",
        {
            "cluster_id": "practice",
            "command": "kubectl scale deployment/payments --replicas=3 -n shop",
            "why": "more load",
            "conversation": conversation.id,
        },
    )
    assert status == 201, approval
    assert (status, approval["state"], approval["why"]) == (201, "pending", "more load")
    assert approval["action"] == {"target": "Deployment/shop/payments", "type": "scale", "replicas": 3}
    assert [type(j.request.command) for j in room.jobs] == [PreparePlan]
    typed = {"type": "restart", "target": "Deployment/shop/checkout"}
    status, other = await room.dana.call("POST", "/api/v1/proposals", {"cluster_id": "practice", "action": typed})
    assert (status, other["target"]) == (201, "Deployment/shop/checkout")
    listed = (await room.dana.call("GET", "/api/v1/approvals?state=pending"))[1]["approvals"]
    assert {a["id"] for a in listed} == {approval["id"], other["id"]}


async def test_a_viewer_can_not_propose(room: Room) -> None:
    viewer = await room.here.person("vic", Role.VIEWER)
    body = {"cluster_id": "practice", "command": "kubectl scale deployment/payments --replicas=3 -n shop"}
    status, _ = await viewer.call("POST", "/api/v1/proposals", body)
    assert status == 403
    assert room.jobs == [], "not even a dry run reaches the cluster"
    assert (await room.admin.call("GET", "/api/v1/approvals"))[1]["count"] == 0


async def test_an_offline_cluster_is_unavailable(here: Here) -> None:
    dana = await here.person("dana", Role.OPERATOR)
    body = {"cluster_id": "practice", "command": "kubectl scale deployment/payments --replicas=3 -n shop"}
    status, problem = await dana.call("POST", "/api/v1/proposals", body)
    assert (status, problem["code"]) == (503, "unavailable")
    status, made = await dana.call(
        "POST", "/api/v1/commands", {"cluster_id": "practice", "action": "get", "args": ["pods", "-A"]}
    )
    assert (status, made["status"]) == (201, CommandStatus.OFFLINE)
    assert made["result"]["error"]


async def test_events_in_the_agent_managers_shape(room: Room) -> None:
    found = (await room.dana.call("GET", "/api/v1/events?cluster_id=practice"))[1]
    assert [e["count"] for e in found["events"]] == [3, 2, 1]
    critical = (await room.dana.call("GET", "/api/v1/events?cluster_id=practice&severity=critical&namespace=shop"))[1]
    assert [e["reason"] for e in critical["events"]] == ["OOMKilling"]
    search = {"cluster_id": "practice", "start_time": "2026-11-20T12:02:30Z", "end_time": "2026-11-20T12:59:00Z"}
    assert [e["count"] for e in (await room.dana.call("POST", "/api/v1/events/search", search))[1]["events"]] == [3]
    one = await room.dana.call("GET", f"/api/v1/events/{critical['events'][0]['id']}")
    assert (one[0], one[1]["reason"]) == (200, "OOMKilling")
    assert (await room.dana.call("GET", "/api/v1/events/bm9wZQ"))[0] == 404


async def test_agents_and_clusters(room: Room) -> None:
    agents = (await room.dana.call("GET", "/api/v1/agents?status=online"))[1]["agents"]
    assert [(a["id"], a["cluster_name"], a["status"]) for a in agents] == [(room.runner.runner, "practice", "online")]
    assert (await room.dana.call("GET", "/api/v1/agents?status=offline"))[1]["count"] == 0
    health = (await room.dana.call("GET", "/api/v1/clusters/practice/health"))[1]
    assert (health["cluster_id"], health["agent_status"]) == (room.here.cluster.id, "online")
    assert (await room.dana.call("DELETE", f"/api/v1/agents/{room.runner.runner}"))[0] == 403
    assert (await room.admin.call("DELETE", f"/api/v1/agents/{room.runner.runner}"))[0] == 204

    async def gone() -> bool:
        return (await room.admin.call("GET", f"/api/v1/agents/{room.runner.runner}"))[1].get("status") != "online"

    await until(gone, "the agent is not online any more")


async def test_a_new_cluster_comes_with_its_token_once(room: Room) -> None:
    status, made = await room.admin.call("POST", "/api/v1/clusters", {"name": "prod-us-west", "environment": "prod"})
    assert (status, made["name"], made["status"]) == (201, "prod-us-west", "inactive")
    assert len(made["enrolment_token"]) >= 20
    assert "enrolment_token" not in (await room.admin.call("GET", "/api/v1/clusters/prod-us-west"))[1]
    assert (await room.admin.call("POST", "/api/v1/clusters", {"name": "prod-us-west"}))[0] == 409


async def test_the_kill_switch_cancels_what_is_open(room: Room) -> None:
    approval = await room.here.approval(room.dana)
    status, cluster = await room.admin.call("PUT", "/api/v1/clusters/practice/kill-switch", {"on": True, "reason": "freeze"})
    assert (status, cluster["kill_switch"]) == (200, True)
    assert (await room.dana.call("GET", f"/api/v1/approvals/{approval.id}"))[1]["state"] == "cancelled"


async def test_accounts_from_birth_to_end(room: Room) -> None:
    role = {"role": "viewer", "namespaces": ["shop"]}
    status, made = await room.admin.browse("POST", "/api/v1/accounts", {"name": "newcomer", "roles": [role]})
    assert (status, made["roles"][0]["namespaces"]) == (201, ["shop"])
    path = f"/api/v1/accounts/{made['id']}"
    link = (await room.admin.browse("POST", f"{path}/links"))[1]["path"]
    assert link.startswith("/sign-in/link/")
    assert (await room.admin.browse("PUT", f"{path}/roles", {"roles": [{"role": "operator"}]}))[1]["roles"][0][
        "role"
    ] == "operator"
    assert (await room.admin.browse("PUT", f"{path}/password", {"password": "a long enough password"}))[0] == 204
    assert (await room.admin.call("DELETE", path))[0] == 204
    assert (await room.admin.call("GET", path))[1]["disabled"] is True
    rows = (await room.admin.call("GET", "/api/v1/audit"))[1]
    assert rows["intact"] is True
    assert "account.created" in {r["action"] for r in rows["audit"]}
    assert "a long enough password" not in str(rows)


async def test_a_disabled_account_is_out_at_once(room: Room) -> None:
    assert (await room.admin.call("DELETE", f"/api/v1/accounts/{room.dana.account.id}"))[0] == 204
    assert (await room.dana.call("GET", "/api/v1/me"))[0] == 401
    assert (await room.dana.browse("GET", "/api/v1/me"))[0] == 401


async def test_my_own_token_works_and_is_mine(room: Room) -> None:
    status, made = await room.dana.browse("POST", "/api/v1/me/tokens", {"label": "laptop", "days": 1})
    assert status == 201
    headers = {"Authorization": f"Bearer {made['token']}"}
    async with room.here.client.get(room.here.url + "/api/v1/me", headers=headers) as answer:
        assert (await answer.json())["account"] == room.dana.account.id


async def test_a_token_makes_no_other_token(room: Room) -> None:
    status, said = await room.dana.call("POST", "/api/v1/me/tokens", {"label": "laptop", "days": 1})
    assert status == 403
    assert "Sign in on the web" in said["detail"]


async def test_a_browser_that_signed_in_a_while_ago_makes_no_token(room: Room) -> None:
    async with room.here.plane.database.transaction() as db:
        row = await db.get(SessionRow, room.dana.session.id)
        assert row is not None
        assert row.authenticated_at is not None
        row.authenticated_at -= timedelta(minutes=6)
    status, said = await room.dana.browse("POST", "/api/v1/me/tokens", {"label": "laptop", "days": 1})
    assert (status, said["code"]) == (403, "step_up")


async def test_a_token_lives_ninety_days_at_most(room: Room) -> None:
    assert (await room.dana.browse("POST", "/api/v1/me/tokens", {"label": "laptop", "days": 91}))[0] == 422
    assert (await room.dana.browse("POST", "/api/v1/me/tokens", {"label": "laptop", "days": 90}))[0] == 201


async def test_health_and_metrics(here: Here) -> None:
    async with here.client.get(here.url + "/health/status") as answer:
        body = await answer.json()
        assert (body["status"], body["components"]["database"]["healthy"]) == ("healthy", True)
        assert "practice" not in str(body)
    async with here.client.get(here.url + "/metrics") as answer:
        text = await answer.text()
        assert 'opsthread_http_requests_total{method="GET",route="/health/status",status="200"}' in text


async def test_the_openapi_document_names_every_door(here: Here) -> None:
    dana = await here.person("dana", Role.VIEWER)
    document = (await dana.call("GET", "/api/v1/openapi.json"))[1]
    assert {"/api/v1/stream", "/api/v1/proposals", "/api/v1/commands", "/api/v1/agents/{agent}"} <= set(document["paths"])
    assert not [p for p in document["paths"] if not p.startswith(("/api/v1/", "/health/", "/metrics"))]
