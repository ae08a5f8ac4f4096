"""Every door of the API: who may come in, what they may touch, and what a browser's request must prove."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog.testing

from bot.api.middleware import SECURITY_HEADERS
from control_plane.approvals import Approval
from control_plane.conversations import Conversation
from control_plane.sign_ins import csrf_of
from protocol.approval import ApprovalState, Role
from protocol.ids import new_id
from protocol.remediation import Risk
from tests.integration.http_server import Here, Person, http_server

HASH = "0" * 64
OPEN = {"/health/live", "/health/ready", "/health/status", "/metrics"}


@dataclass
class Room:
    here: Here
    dana: Person
    alex: Person
    """An approver over everything."""
    eve: Person
    """A viewer of another namespace only."""
    conversation: Conversation
    approval: Approval


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Here]:
    async with http_server(tmp_path) as running:
        yield running


@pytest.fixture
async def room(here: Here) -> Room:
    dana = await here.person("dana", Role.OPERATOR)
    alex = await here.person("alex", Role.APPROVER)
    eve = await here.person("eve", Role.ADMIN, namespaces=("elsewhere",))
    conversation = await here.conversation(dana)
    approval = await here.approval(dana, conversation)
    return Room(here, dana, alex, eve, conversation, approval)


async def test_nothing_of_the_api_is_open_to_strangers(here: Here) -> None:
    """Every operation that the OpenAPI document names, but health and metrics."""
    paths = here.app.openapi()["paths"]
    asked = 0
    for path, operations in paths.items():
        if path in OPEN:
            continue
        for method in operations:
            url = here.url + path.format(**dict.fromkeys(_names(path), new_id()) | ({"seq": "1"} if "{seq}" in path else {}))
            async with here.client.request(method.upper(), url, json={}) as answer:
                assert answer.status == 401, (method, path, answer.status)
                assert answer.content_type == "application/problem+json"
                asked += 1
    assert asked >= 30


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic ZGFuYTpkYW5h", "Bearer " + "x" * 3000])
async def test_a_wrong_token_is_not_signed_in(here: Here, token: str) -> None:
    async with here.client.get(here.url + "/api/v1/me", headers={"Authorization": token}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/conversations/{c}", None),
        ("GET", "/api/v1/conversations/{c}/log", None),
        ("GET", "/api/v1/conversations/{c}/log/1", None),
        ("POST", "/api/v1/conversations/{c}/ask", {"text": "hello"}),
        ("POST", "/api/v1/conversations/{c}/cancel", None),
        ("GET", "/api/v1/approvals/{a}", None),
        ("POST", "/api/v1/approvals/{a}/decide", {"verdict": "approve", "plan_hash": HASH}),
        ("POST", "/api/v1/approvals/{a}/withdraw", {}),
    ],
)
async def test_another_persons_things_are_as_if_they_were_not_there(
    room: Room, method: str, path: str, body: dict[str, str] | None
) -> None:
    """The same answer for what is not yours and for what does not exist: nobody learns that it is there."""
    real = path.format(c=room.conversation.id, a=room.approval.id)
    unreal = path.format(c=new_id(), a=new_id())
    status, theirs = await room.eve.call(method, real, body)
    missing_status, missing = await room.eve.call(method, unreal, body)
    assert (status, missing_status) == (404, 404)
    assert theirs["code"] == missing["code"] == "not_found"
    untouched = await room.here.plane.approvals.get(room.approval.id)
    assert untouched.state is ApprovalState.PENDING


async def test_lists_hold_only_what_one_may_see(room: Room) -> None:
    assert (await room.eve.call("GET", "/api/v1/conversations"))[1]["conversations"] == []
    assert (await room.eve.call("GET", "/api/v1/approvals"))[1]["approvals"] == []
    assert len((await room.dana.call("GET", "/api/v1/conversations"))[1]["conversations"]) == 1
    nobody = await room.here.person("nobody", None)
    assert (await nobody.call("GET", "/api/v1/clusters"))[1]["clusters"] == []


@pytest.mark.parametrize("path", ["/c/{c}", "/approvals/{a}"])
async def test_pages_of_others_are_not_there(room: Room, path: str) -> None:
    status, html = await room.eve.browse("GET", path.format(c=room.conversation.id, a=room.approval.id))
    assert status == 404
    assert "payments" not in html


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/accounts", None),
        ("POST", "/api/v1/accounts", {"name": "mallory"}),
        ("PUT", "/api/v1/accounts/{id}/roles", {"roles": [{"role": "admin"}]}),
        ("PUT", "/api/v1/accounts/{id}/password", {"password": "correct horse battery"}),
        ("POST", "/api/v1/accounts/{id}/links", None),
        ("DELETE", "/api/v1/accounts/{id}", None),
        ("POST", "/api/v1/clusters", {"name": "mine"}),
        ("POST", "/api/v1/clusters/practice/enrolment-tokens", None),
        ("PUT", "/api/v1/clusters/practice/kill-switch", {"on": True}),
        ("GET", "/api/v1/audit", None),
    ],
)
async def test_administration_is_for_administrators(room: Room, method: str, path: str, body: dict[str, object] | None) -> None:
    """An approver over everything is none, and neither is an admin of one namespace."""
    for person in (room.alex, room.eve):
        status, problem = await person.call(method, path.format(id=room.dana.account.id), body)
        assert (status, problem["code"]) == (403, "forbidden"), problem


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X-CSRF-Token": ""}, 403),
        ({"X-CSRF-Token": "guessed"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
    ],
)
async def test_a_browser_must_prove_that_it_is_meant(room: Room, headers: dict[str, str], status: int) -> None:
    body = {"verdict": "approve", "plan_hash": room.approval.plan.plan_hash}
    path = f"/api/v1/approvals/{room.approval.id}/decide"
    got, answer = await room.alex.browse("POST", path, body, headers)
    assert got == status
    if status == 403:
        assert answer["code"] == "csrf"
        assert (await room.here.plane.approvals.get(room.approval.id)).state is ApprovalState.PENDING


async def test_another_sessions_token_does_not_do(room: Room) -> None:
    status, answer = await room.alex.browse(
        "POST",
        f"/api/v1/approvals/{room.approval.id}/decide",
        {"verdict": "approve", "plan_hash": room.approval.plan.plan_hash},
        {"X-CSRF-Token": room.dana.session.csrf},
    )
    assert (status, answer["code"]) == (403, "csrf")


async def test_a_form_from_another_site_decides_nothing(room: Room) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null", "Sec-Fetch-Site": "cross-site"}
    form = f"csrf={room.alex.session.csrf}&verdict=approve&plan_hash={room.approval.plan.plan_hash}"
    status, _ = await room.alex.browse("POST", f"/approvals/{room.approval.id}/decide", headers=headers, data=form)
    assert status == 403
    assert (await room.here.plane.approvals.get(room.approval.id)).state is ApprovalState.PENDING


async def test_the_plain_form_decides(room: Room) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "null"}
    form = f"csrf={room.alex.session.csrf}&verdict=reject&reason=not+now&plan_hash={room.approval.plan.plan_hash}"
    status, _ = await room.alex.browse("POST", f"/approvals/{room.approval.id}/decide", headers=headers, data=form)
    assert status == 303
    decided = await room.here.plane.approvals.get(room.approval.id)
    assert (decided.state, decided.decisions[0].reason) == (ApprovalState.REJECTED, "not now")


async def test_a_bearer_token_does_not_open_the_forms(room: Room) -> None:
    _, html = await room.alex.call("POST", f"/c/{room.conversation.id}/stop")
    assert 'action="/sign-in"' in html
    assert (await room.here.plane.conversations.get(room.conversation.id)).busy


async def test_a_bearer_token_in_a_cookie_is_no_browser(room: Room) -> None:
    """Who found a token would else decide by the door of the web, and the audit would say so."""
    token = room.alex.token
    headers = {"Cookie": f"opsthread={token}", "X-CSRF-Token": csrf_of(token), "Origin": room.here.url}
    body = {"verdict": "approve", "plan_hash": room.approval.plan.plan_hash}
    url = f"{room.here.url}/api/v1/approvals/{room.approval.id}/decide"
    async with room.here.client.post(url, json=body, headers=headers) as answer:
        assert answer.status == 401
    assert (await room.here.plane.approvals.get(room.approval.id)).decisions == ()


async def test_two_clicks_at_once_decide_once(room: Room) -> None:
    body = {"verdict": "approve", "plan_hash": room.approval.plan.plan_hash}
    path = f"/api/v1/approvals/{room.approval.id}/decide"
    answers = await asyncio.gather(*(room.alex.browse("POST", path, body) for _ in range(5)))
    assert {status for status, _ in answers} <= {200, 409}
    assert [status for status, _ in answers].count(200) >= 1
    decided = await room.here.plane.approvals.get(room.approval.id)
    assert decided.state is ApprovalState.APPROVED
    assert len(decided.decisions) == 1


async def test_who_comes_second_learns_who_was_first(room: Room) -> None:
    beth = await room.here.person("beth", Role.APPROVER)
    body = {"verdict": "reject", "plan_hash": room.approval.plan.plan_hash}
    path = f"/api/v1/approvals/{room.approval.id}/decide"
    assert (await room.alex.call("POST", path, body))[0] == 200
    status, problem = await beth.call("POST", path, {**body, "verdict": "approve"})
    assert (status, problem["code"]) == (409, "decided")
    assert "Alex" in problem["detail"]


async def test_a_wrong_hash_is_another_plan(room: Room) -> None:
    status, problem = await room.alex.call(
        "POST", f"/api/v1/approvals/{room.approval.id}/decide", {"verdict": "approve", "plan_hash": HASH}
    )
    assert (status, problem["code"]) == (403, "plan_changed")


async def test_the_requester_is_told_why_their_own_approval_does_not_count(here: Here) -> None:
    dana = await here.person("dana", Role.APPROVER)
    approval = await here.approval(dana)
    shown = (await dana.call("GET", f"/api/v1/approvals/{approval.id}"))[1]
    assert (shown["you"]["may_approve"], shown["you"]["refusal_code"]) == (False, "requester")
    body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
    status, problem = await dana.call("POST", f"/api/v1/approvals/{approval.id}/decide", body)
    assert (status, problem["code"]) == (403, "requester")


async def test_high_risk_needs_two_and_a_fresh_sign_in_on_the_web(here: Here) -> None:
    dana, alex, beth = [await here.person(n, Role.APPROVER) for n in ("dana", "alex", "beth")]
    approval = await here.approval(dana, risk=Risk.HIGH)
    body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
    path = f"/api/v1/approvals/{approval.id}/decide"
    status, first = await alex.call("POST", path, body)
    assert (status, first["state"]) == (200, "pending")
    status, problem = await beth.call("POST", path, body)  # a token is no fresh sign-in
    assert (status, problem["code"]) == (403, "step_up")
    status, last = await beth.browse("POST", path, body)
    assert (status, last["state"]) == (200, "approved")
    doors = [d["door"] for d in last["decisions"]]
    assert doors == ["rest", "web"]


async def test_the_command_line_says_so(room: Room) -> None:
    status, body = await room.alex.call(
        "POST",
        f"/api/v1/approvals/{room.approval.id}/decide",
        {"verdict": "reject", "plan_hash": room.approval.plan.plan_hash},
        {"X-Opsthread-Door": "cli"},
    )
    assert status == 200
    assert body["decisions"][0]["door"] == "cli"


@pytest.mark.parametrize(
    "path", ["/health/live", "/api/v1/me", "/api/v1/nowhere", "/sign-in", "/static/x/base.css", "/nowhere", "/metrics"]
)
async def test_every_answer_has_the_security_headers(here: Here, path: str) -> None:
    async with here.client.get(here.url + path, allow_redirects=False) as answer:
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["X-Request-ID"]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        if "static" not in path:
            assert answer.headers["Cache-Control"] == "no-store"


async def test_what_nobody_foresaw_is_a_framed_answer_too(room: Room) -> None:
    """The database is gone: 5xx with an id, without a word of the inside."""
    await room.here.plane.database.stop()
    async with room.here.client.get(
        room.here.url + "/api/v1/me", headers={"Authorization": f"Bearer {room.dana.token}", "X-Request-ID": "given-id-1"}
    ) as answer:
        problem = await answer.json(content_type=None)
        assert answer.status >= 500
        assert (problem["request_id"], answer.headers["X-Request-ID"]) == ("given-id-1", "given-id-1")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sqlite" not in str(problem).lower()
    async with room.here.client.get(room.here.url + "/health/ready") as answer:
        assert answer.status == 503
    await room.here.plane.database.start()


async def test_the_log_of_a_failure_does_not_hold_the_token_of_a_link(room: Room) -> None:
    token = await room.here.plane.accounts.make_link(room.dana.session.account, by="system")
    jar = {"Cookie": "opsthread_before=abc", "Origin": room.here.url, "Sec-Fetch-Site": "same-origin"}
    await room.here.plane.database.stop()
    with structlog.testing.capture_logs() as logs:
        url = f"{room.here.url}/sign-in/link/{token}"
        async with room.here.client.post(url, data={"csrf": "abc"}, headers=jar) as answer:
            assert answer.status >= 500
    await room.here.plane.database.start()
    assert any(line["event"] == "request.failed" for line in logs)
    assert token not in str(logs)


async def test_a_body_over_the_limit_is_refused(room: Room) -> None:
    status, problem = await room.dana.call("POST", f"/api/v1/conversations/{room.conversation.id}/ask", {"text": "x" * 600_000})
    assert (status, problem["code"]) == (413, "too_large")


async def test_a_body_over_the_limit_in_chunks_is_refused(room: Room) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(80):
            yield b"x" * 10_000

    headers = {"Authorization": f"Bearer {room.dana.token}", "Content-Type": "application/json"}
    url = f"{room.here.url}/api/v1/conversations/{room.conversation.id}/ask"
    async with room.here.client.post(url, data=chunks(), headers=headers) as answer:
        assert answer.status == 413


def _names(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]
