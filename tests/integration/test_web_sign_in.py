"""Signing in and out: passwords, one-time links, cookies, and forms that somebody else's page can't send."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path

import aiohttp
import pytest

from control_plane.principals import ScopedRole
from protocol.approval import Role
from tests.integration.http_server import Here, http_server

PASSWORD = "correct horse battery staple"
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Door:
    """A browser in front of a sign-in page, with its token of double submit."""

    here: Here
    path: str
    csrf: str
    cookies: dict[str, str]

    async def knock(self, headers: dict[str, str] | None = None, **form: str) -> aiohttp.ClientResponse:
        cookie = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        sent = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Origin": "null", **(headers or {})}
        data = {"csrf": self.csrf, **form}
        return await self.here.client.post(self.here.url + self.path, data=data, headers=sent, allow_redirects=False)


async def at(here: Here, path: str = "/sign-in") -> Door:
    async with here.client.get(here.url + path) as answer:
        found = TOKEN.search(await answer.text())
        assert found is not None
        return Door(here, path, found[1], {n: m.value for n, m in answer.cookies.items()})


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Here]:
    async with http_server(tmp_path) as running:
        roles = (ScopedRole(role=Role.OPERATOR),)
        await running.plane.accounts.create("dana", "Dana", roles, password=PASSWORD, by="system")
        yield running


def session_cookie(answer: aiohttp.ClientResponse) -> SimpleCookie:
    cookies = SimpleCookie()
    for line in answer.headers.getall("Set-Cookie"):
        cookies.load(line)
    return cookies


async def test_name_and_password(here: Here) -> None:
    door = await at(here)
    answer = await door.knock(name="dana", password=PASSWORD, next_path="/approvals")
    assert (answer.status, answer.headers["Location"]) == (303, "/approvals")
    cookie = session_cookie(answer)["opsthread"]
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "lax", "/")
    async with here.client.get(here.url + "/", headers={"Cookie": f"opsthread={cookie.value}"}) as page:
        assert "Dana" in await page.text()


@pytest.mark.parametrize("name", ["dana", "nobody"])
async def test_a_wrong_password_and_an_unknown_name_look_the_same(here: Here, name: str) -> None:
    answer = await (await at(here)).knock(name=name, password="wrong")
    assert answer.status == 401
    assert "Name or password is wrong." in await answer.text()
    assert "opsthread=" not in str(answer.headers.getall("Set-Cookie"))


async def test_after_many_tries_one_waits(here: Here) -> None:
    door = await at(here)
    seen: list[int] = []
    for n in range(40):
        seen.append((await door.knock(name=f"dana{n}", password="wrong")).status)
        if seen[-1] == 429:
            break
    assert seen[-1] == 429
    assert set(seen[:-1]) == {401}


async def test_a_link_signs_in_once(here: Here) -> None:
    (dana,) = [a for a in await here.plane.accounts.list() if a.name == "dana"]
    path = f"/sign-in/link/{await here.plane.accounts.make_link(dana.id, by='system')}"
    first = await (await at(here, path)).knock()
    door = Door(here, path, "x", {"opsthread_before": "x"})
    second = await door.knock()
    assert (first.status, second.status) == (303, 401)
    assert "has been used" in await second.text()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Cookie": ""},
        {"Cookie": "opsthread_before=other"},
    ],
)
async def test_nobody_is_signed_in_by_anothers_page(here: Here, headers: dict[str, str]) -> None:
    """Else a victim would work in the attacker's account without knowing it."""
    answer = await (await at(here)).knock(headers, name="dana", password=PASSWORD)
    assert answer.status == 403
    assert answer.headers.getall("Set-Cookie", []) == []


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example"])
async def test_signing_in_never_leads_away(here: Here, path: str) -> None:
    answer = await (await at(here)).knock(name="dana", password=PASSWORD, next_path=path)
    assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_signing_out_ends_the_session(here: Here) -> None:
    dana = await here.person("beth", Role.VIEWER)
    form = {"csrf": dana.session.csrf}
    headers = {"Cookie": f"opsthread={dana.session.token}"}
    async with here.client.post(here.url + "/sign-out", data=form, headers=headers, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert (await dana.browse("GET", "/api/v1/me"))[0] == 401


async def test_signing_somebody_out_takes_their_token(here: Here) -> None:
    dana = await here.person("beth", Role.VIEWER)
    headers = {"Cookie": f"opsthread={dana.session.token}"}
    async with here.client.post(here.url + "/sign-out", headers=headers, allow_redirects=False) as answer:
        assert answer.status == 403
    assert (await dana.browse("GET", "/api/v1/me"))[0] == 200


async def test_not_signed_in_leads_to_the_door_and_back(here: Here) -> None:
    async with here.client.get(here.url + "/approvals", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/sign-in?next_path=/approvals")


async def test_behind_https_cookies_are_secure(tmp_path: Path) -> None:
    async with http_server(tmp_path, public_url="https://ops.example") as here:
        roles = (ScopedRole(role=Role.OPERATOR),)
        await here.plane.accounts.create("dana", "Dana", roles, password=PASSWORD, by="system")
        door = await at(here)
        answer = await door.knock({"Origin": "https://ops.example"}, name="dana", password=PASSWORD)
        assert answer.status == 303
        cookie = session_cookie(answer)["__Host-opsthread"]
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
        assert answer.headers["Strict-Transport-Security"]
        refused = await door.knock({"Origin": "https://evil.example"}, name="dana", password=PASSWORD)
        assert refused.status == 403
