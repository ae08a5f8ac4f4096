"""A password that somebody pastes, through whatever door: it is in no table and no log file, and the person is told."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from protocol.approval import Role
from tests.integration.doors import Scene, scene
from tests.integration.http_server import Person

PASSWORD = "hunter2-tr0ub4dor"
PASTED = f"it logs in with DB_PASSWORD={PASSWORD} and fails"
SPOKEN = f"密码是 {PASSWORD}"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene(tmp_path) as ready:
        yield ready


def nowhere(here: Scene) -> None:
    """Not in the database's bytes, its journal among them, nor in anything else that was written."""
    folder = here.here.plane.settings.data_dir
    holding = [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]
    assert holding == []


async def test_no_door_stores_what_looks_like_a_secret(here: Scene) -> None:
    things = await here.things({"conversation", "approval", "plan_hash", "cluster"})
    second = await here.things({"approval", "plan_hash"})
    admin, conversation = here.people["admin"], things["conversation"]
    window = {"kind": "once", "starts_at": "2031-01-01T00:00:00Z", "ends_at": "2031-01-02T00:00:00Z"}
    verdict = {"verdict": "reject", "plan_hash": things["plan_hash"], "reason": PASTED}
    line = "kubectl scale deploy/x --replicas=2 -n aviary"
    doors: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/conversations", {"cluster": "practice", "title": PASTED, "text": PASTED}),
        ("POST", f"/conversations/{conversation}/ask", {"text": SPOKEN}),
        ("POST", f"/approvals/{things['approval']}/decide", verdict),
        ("POST", f"/approvals/{second['approval']}/withdraw", {"reason": PASTED}),
        ("POST", "/proposals", {"cluster_id": "practice", "command": line, "why": PASTED}),
        ("POST", "/commands", {"cluster_id": "practice", "action": "get", "args": ["pods", "-l", f"password={PASSWORD}"]}),
        ("POST", "/commands", {"cluster_id": "practice", "tool": "prometheus", "action": f'up{{password="{PASSWORD}"}}'}),
        ("PUT", "/clusters/practice/kill-switch", {"on": True, "reason": PASTED}),
        ("PUT", "/clusters/practice/kill-switch", {"on": False, "reason": PASTED}),
        ("POST", "/freezes", {"cluster_id": "practice", "window": window, "reason": PASTED}),
    ]  # fmt: skip
    with structlog.testing.capture_logs() as logs:
        for method, path, body in doors:
            status, said = await admin.call(method, f"/api/v1{path}", body)
            assert status < 300, (path, said)
            assert PASSWORD not in str(said), path
        status, _ = await admin.browse("POST", "/api/v1/me/tokens", {"label": PASTED})
        assert status == 201
    assert PASSWORD not in str(logs)
    nowhere(here)


async def test_who_pasted_it_is_told(here: Scene) -> None:
    owner: Person = here.owner
    _, opened = await owner.call("POST", "/api/v1/conversations", {"cluster": "practice", "text": PASTED})
    conversation = opened["conversation"]["id"]
    question = (await owner.call("GET", f"/api/v1/conversations/{conversation}/log"))[1]["entries"][0]["event"]
    assert question["redacted"] == 1
    assert question["text"] == "it logs in with DB_PASSWORD=[redacted] and fails"
    status, html = await owner.browse("GET", f"/c/{conversation}", headers={"Accept-Language": "en"})
    assert status == 200
    assert PASSWORD not in html
    assert "Removed before it was stored: 1 piece(s)" in html
    assert "存储前已移除 1 处" in (await owner.browse("GET", f"/c/{conversation}?lang=zh"))[1]
    _, opened = await owner.call("POST", "/api/v1/conversations", {"cluster": "practice", "text": "why is web slow?"})
    plain = (await owner.call("GET", f"/api/v1/conversations/{opened['conversation']['id']}/log"))[1]["entries"][0]["event"]
    assert plain["redacted"] == 0


async def test_a_reason_is_cleaned_before_others_read_it(here: Scene) -> None:
    """Neither a forged line nor what hides from the eye comes through it."""
    things = await here.things({"approval", "plan_hash"})
    reason = "fine\n■ Approved by Root\u202e\x1b[31m"
    body = {"verdict": "reject", "plan_hash": things["plan_hash"], "reason": reason}
    anna = await here.here.person("beth", Role.APPROVER)
    _, card = await anna.call("POST", f"/api/v1/approvals/{things['approval']}/decide", body)
    assert card["decisions"][0]["reason"] == "fine ■ Approved by Root"
