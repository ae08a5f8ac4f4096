"""Usage, budgets, models and the kept requests through the doors: REST and the command line, for those who may."""

import hashlib
import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from control_plane.model_requests import packed
from control_plane.spending import Sent, Spender, Used
from protocol.approval import Role
from tests.e2e.story import begin
from tests.integration.http_server import Here, Person, http_server
from tests.integration.test_story import run_cli

BODY = b'{"model":"big-1","messages":[{"role":"user","content":"why?"}]}'


@dataclass
class Room:
    here: Here
    root: Person
    dana: Person
    turn: str
    request: str


@pytest.fixture
async def room(tmp_path: Path) -> AsyncGenerator[Room]:
    async with http_server(tmp_path) as here:
        root, dana = await here.person("root", Role.ADMIN), await here.person("dana", Role.OPERATOR)
        conversation, turn = await begin(here, dana)
        who = Spender(cluster=here.cluster.id, account=dana.account.id, conversation=conversation.id, turn=turn.id)
        sent = Sent("big-1", "http://m/v1/chat/completions", hashlib.sha256(BODY).hexdigest(), len(BODY), packed(BODY))
        call = await here.plane.spending.begin(who, sent, tokens=100, money=0.5)
        await here.plane.spending.end(call, Used("an answer", 60, 20, 0.25))
        yield Room(here, root, dana, turn.id, call)


async def test_each_sees_what_is_theirs(room: Room) -> None:
    cluster = room.here.cluster
    local = await room.here.person("local", Role.ADMIN, clusters=(cluster.id,))
    seen = {
        who: {(line["kind"], line["period"]) for line in (await person.call("GET", "/api/v1/usage"))[1]["lines"]}
        for who, person in (("root", room.root), ("dana", room.dana), ("local", local))
    }
    assert seen == {
        "root": {("cluster", "day"), ("cluster", "month"), ("person", "day"), ("person", "month")},
        "dana": {("person", "day"), ("person", "month")},
        "local": {("cluster", "day"), ("cluster", "month")},
    }
    status, told = await room.root.call("GET", "/api/v1/usage")
    assert status == 200
    assert [(m["model"], m["calls"], m["money"]) for m in told["models"]] == [("big-1", 1, 0.25)]
    assert {(line["tokens"], line["money"]) for line in told["lines"]} == {(80, 0.25)}


BUDGETS: list[tuple[str, dict[str, object], int]] = [
    ("root", {"kind": "cluster", "subject": "practice", "period": "day", "tokens": 5}, 200),
    ("root", {"kind": "person", "subject": "dana", "period": "month", "money": 0.5}, 200),
    ("root", {"kind": "person", "subject": "*", "period": "month", "tokens": 0}, 200),
    ("dana", {"kind": "person", "subject": "*", "period": "day", "tokens": 5}, 403),
    ("dana", {"kind": "cluster", "subject": "practice", "period": "day", "tokens": 5}, 403),
    ("root", {"kind": "cluster", "subject": "moon", "period": "day", "tokens": 5}, 404),
    ("root", {"kind": "person", "subject": "nobody", "period": "day", "tokens": 5}, 422),
    ("root", {"kind": "person", "subject": "dana", "period": "week", "tokens": 5}, 422),
    ("root", {"kind": "person", "subject": "dana", "period": "day", "tokens": -1}, 422),
    ("root", {"kind": "person", "subject": "dana", "period": "day", "tokens": 10**30}, 422),
    ("root", {"kind": "person", "subject": "dana", "period": "day", "money": 1e300}, 422),
    ("root", {"kind": "person", "subject": "dana", "period": "day", "money": float("inf")}, 422),
]


async def test_budgets_are_set_by_admins_of_what_they_are_about(room: Room) -> None:
    for who, body, status in BUDGETS:
        person = room.root if who == "root" else room.dana
        answer = await person.call("PUT", "/api/v1/budgets", body)
        assert answer[0] == status, (who, body, answer)
        if status == 200:
            assert len(answer[1]["budgets"]) == 1
            taken = await person.call("PUT", "/api/v1/budgets", {**body, "configured": True})
            assert taken[1]["budgets"] == []


async def test_the_bytes_are_for_admins_of_the_whole_conversation(room: Room) -> None:
    base = f"/api/v1/turns/{room.turn}/requests"
    status, told = await room.root.call("GET", base)
    assert status == 200
    assert told["requests"][0]["sha256"] == hashlib.sha256(BODY).hexdigest()
    async with room.root.client.get(
        f"{room.here.url}{base}/{room.request}", headers={"Authorization": f"Bearer {room.root.token}"}
    ) as answer:
        assert await answer.read() == BODY
        assert answer.headers["Cache-Control"] == "no-store"
    part = await room.here.person("part", Role.ADMIN, namespaces=("shop",))
    for person, path, expected in (
        (room.dana, base, 403),
        (room.dana, f"{base}/{room.request}", 403),
        (part, base, 404),
        (room.root, f"{base}/aaaaaaaaaaaaaaaa", 404),
        (room.root, "/api/v1/turns/aaaaaaaaaaaaaaaa/requests", 404),
        (room.dana, "/api/v1/models", 403),
        (room.root, "/api/v1/models", 200),
    ):
        assert (await person.call("GET", path))[0] == expected, path
    _, other = await begin(room.here, room.dana)
    assert (await room.root.call("GET", f"/api/v1/turns/{other.id}/requests/{room.request}"))[0] == 404, "another turn's"


async def test_the_command_line_shows_and_sets_the_same(room: Room) -> None:
    how = ("--url", room.here.url, "--token", room.root.token)
    code, out, err = await run_cli("turn", "requests", room.turn, "--show", "all", *how)
    assert (code, out.encode()) == (0, BODY + b"\n"), err
    code, out, err = await run_cli("turn", "requests", room.turn, "--json", *how)
    assert json.loads(out)[0]["id"] == room.request
    code, out, err = await run_cli("usage", "set", "person", "dana", "--per", "day", "--tokens", "1000", *how)
    assert code == 0, err
    assert "Budget of person dana a day: 1,000 tokens" in out
    code, out, err = await run_cli("turn", "requests", room.turn, "--url", room.here.url, "--token", room.dana.token)
    assert code == 1
    assert "admins of all that this conversation shows" in err
