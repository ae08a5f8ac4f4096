"""Every door of the HTTP side against everybody: the table is doors.yaml, the routes are the application's own.

A new route fails here until it has a row, so that nobody opens a door without saying to whom.
"""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.integration.doors import INSIDE, OUTSIDE, WHO, Door, Scene, doors, guessed, routes_of, scene


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Scene]:
    async with scene(tmp_path) as ready:
        yield ready


async def test_every_door_answers_everybody_as_its_row_says(here: Scene) -> None:
    there = set(routes_of(here.here.app.routes))
    wrong: list[str] = []
    for door in doors():
        if door.name in there:
            wrong += await _knock_everybody(here, door)
    assert not wrong, "\n".join(wrong)


async def test_every_route_has_a_row(here: Scene) -> None:
    """And no row is left over: tests/integration/doors.yaml says who may do what."""
    assert {door.name for door in doors()} == set(routes_of(here.here.app.routes))


async def _knock_everybody(here: Scene, door: Door) -> list[str]:
    """What differs from the row, and what tells people of elsewhere about what is here."""
    wrong: list[str] = []
    things = await here.things(door.needs, ended=door.ended)
    changed = False
    for who in WHO:
        if changed:
            things = await here.things(door.needs, ended=door.ended)
        status, said = await here.knock(door, who, things)
        changed = door.method != "GET" and status < 400
        if status != door.answers[who]:
            wrong.append(f"{door.name} answers {who} {status}, not {door.answers[who]}: {said[:300]}")
        if door.says.get(who, "") not in said:
            wrong.append(f"{door.name} does not say {door.says[who]!r} to {who}: {said[:300]}")
        if who in OUTSIDE and not door.echo and any(name in said for name in INSIDE):
            wrong.append(f"{door.name} tells {who} of what is not theirs: {said[:500]}")
        if who in OUTSIDE and status == 404:
            unreal = await here.knock(door, who, guessed(things, here.here.cluster.id))
            if unreal != (status, said):
                wrong.append(f"{door.name} tells {who} what is there from what is not: {said[:300]} / {unreal[1][:300]}")
    return wrong


async def test_a_token_changes_no_account_whoever_holds_it(here: Scene) -> None:
    """Not even an administrator's: a bearer is no person at a browser. See test_cli_accounts for the server's own."""
    root, account = here.people["admin"], (await here.things({"account"}))["account"]
    base = f"/api/v1/accounts/{account}"
    for method, path, body in (
        ("POST", "/api/v1/accounts", {"name": "mallory", "roles": [{"role": "admin"}]}),
        ("POST", f"{base}/links", None),
        ("PUT", f"{base}/password", {"password": "correct horse battery"}),
        ("PUT", f"{base}/roles", {"roles": [{"role": "admin"}]}),
    ):
        status, problem = await root.call(method, path, body)
        assert (status, problem["code"]) == (403, "not_at_hand"), path
        status, problem = await root.call(method, path, body, {"Cookie": f"opsthread={root.token}"})
        assert (status, problem["code"]) == (403, "not_at_hand"), path
