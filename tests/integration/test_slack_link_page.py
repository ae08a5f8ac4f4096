"""The web's side of a link: what opening, taking and ending one does, and what it does not."""

import re
from collections.abc import AsyncGenerator
from datetime import timedelta

import aiohttp
import pytest
import pytest_asyncio

from control_plane.slack.outbox import Outgoing
from control_plane.slack.people import People
from control_plane.tables.accounts import SessionRow
from protocol.approval import Role
from tests.integration.http_server import Here, Person, http_server

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

TEAM = "T0001"
CODE = re.compile(r"link (\d{6})")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Here]:
    async with http_server(tmp_path_factory.mktemp("link")) as server:
        yield server


async def get(here: Here, path: str, person: Person | None = None) -> aiohttp.ClientResponse:
    headers = person.page_headers() if person is not None else {}
    answer = await here.client.get(here.url + path, headers=headers, allow_redirects=False)
    await answer.read()
    return answer


async def post(here: Here, path: str, person: Person, **form: str) -> aiohttp.ClientResponse:
    data = {"csrf": person.session.csrf, **form}
    answer = await here.client.post(here.url + path, data=data, headers=person.page_headers(), allow_redirects=False)
    await answer.read()
    return answer


def people(here: Here) -> People:
    return here.plane.slack_people


async def told(here: Here, user: str) -> list[Outgoing]:
    return [one for one in await here.plane.slack_outbox.due() if one.channel == user]


async def six_minutes_ago(here: Here, person: Person) -> None:
    """They signed in then."""
    async with here.plane.database.transaction() as session:
        row = await session.get_one(SessionRow, person.session.id)
        assert row.authenticated_at is not None
        row.authenticated_at -= timedelta(minutes=6)


async def test_the_whole_way(here: Here) -> None:
    ann = await here.person("ann", Role.APPROVER)
    token = await people(here).offer(TEAM, "U0ANN", "Ann <b>")
    path = f"/slack/link/{token}"
    nobody = await get(here, path)
    assert (nobody.status, nobody.headers["Location"]) == (303, f"/sign-in?next_path={path}")
    for _ in range(3):  # a look, a preview, a reload
        shown = await get(here, path, ann)
        assert shown.status == 200
        assert "Ann &lt;b&gt;" in await shown.text()
        assert CODE.search(await shown.text()) is None
        assert "Refresh" not in shown.headers
    assert (await post(here, path, ann)).headers["Location"] == path
    waits = await get(here, path, ann)
    found = CODE.search(await waits.text())
    assert found is not None
    assert (waits.headers["Refresh"], waits.headers["Cache-Control"]) == ("4", "no-store")
    assert await people(here).get(TEAM, "U0ANN") is None
    [said] = await told(here, "U0ANN")
    assert "Ann opened your link" in said.content.text
    assert found[1] not in said.content.text
    await people(here).confirm(TEAM, "U0ANN", found[1])
    done = await get(here, path, ann)
    assert done.status == 200
    assert "U0ANN in Slack acts as" in await done.text()
    assert "Refresh" not in done.headers
    assert "/slack/unlink" in await (await get(here, "/slack/link", ann)).text()
    await post(here, "/slack/unlink", ann, team=TEAM, user="U0ANN")
    assert await people(here).get(TEAM, "U0ANN") is None


async def test_taking_it_needs_a_browser_a_token_of_the_page_and_a_fresh_sign_in(here: Here) -> None:
    bea = await here.person("bea", Role.APPROVER)
    token = await people(here).offer(TEAM, "U0BEA", "Bea")
    path = f"/slack/link/{token}"
    bearer = {"Authorization": f"Bearer {bea.token}"}
    refused = [
        await here.client.post(here.url + path, data={"csrf": bea.session.csrf}, headers=bearer, allow_redirects=False),
        await here.client.post(here.url + path, data={}, headers=bea.page_headers(), allow_redirects=False),
        await here.client.post(
            here.url + path,
            data={"csrf": bea.session.csrf},
            headers={**bea.page_headers(), "Sec-Fetch-Site": "cross-site"},
            allow_redirects=False,
        ),
    ]
    assert [answer.status for answer in refused] == [303, 403, 403]
    await six_minutes_ago(here, bea)
    page = await (await get(here, path, bea)).text()
    assert f"/confirm?next_path={path}" in page
    assert f'action="{path}"' not in page
    assert (await post(here, path, bea)).status == 403
    assert (await people(here).peek(token, bea.account.id)).account is None


async def test_what_another_account_has_taken_is_gone(here: Here) -> None:
    cleo, dan = await here.person("cleo", Role.VIEWER), await here.person("dan", Role.VIEWER)
    token = await people(here).offer(TEAM, "U0CLEO", "Cleo")
    await post(here, f"/slack/link/{token}", dan)
    for answer in (
        await get(here, f"/slack/link/{token}", cleo),
        await post(here, f"/slack/link/{token}", cleo),
        await get(here, "/slack/link/made-up", cleo),
    ):
        assert answer.status == 404
        text = await answer.text()
        assert "taken already" in text
        assert CODE.search(text) is None


async def test_an_account_that_is_linked_there_is_told_so(here: Here) -> None:
    eli = await here.person("eli", Role.VIEWER)
    code = await people(here).take(await people(here).offer(TEAM, "U0ELI", "Eli"), eli.account.id)
    await people(here).confirm(TEAM, "U0ELI", code)
    token = await people(here).offer(TEAM, "U0ELSE", "Eli")
    answer = await post(here, f"/slack/link/{token}", eli)
    assert answer.status == 409
    assert "linked with somebody else" in await answer.text()


async def test_nobody_ends_what_is_somebody_elses(here: Here) -> None:
    fay, gus = await here.person("fay", Role.VIEWER), await here.person("gus", Role.APPROVER)
    code = await people(here).take(await people(here).offer(TEAM, "U0FAY", "Fay"), fay.account.id)
    await people(here).confirm(TEAM, "U0FAY", code)
    assert (await post(here, "/slack/unlink", gus, team=TEAM, user="U0FAY")).status == 404
    assert "U0FAY" not in await (await get(here, "/slack/link", gus)).text()
    assert await people(here).get(TEAM, "U0FAY") is not None


async def test_where_slack_does_not_come_by_http_nothing_of_it_is_there(here: Here) -> None:
    root = await here.person("root", Role.ADMIN)
    for path in ("/slack/install", "/slack/oauth_redirect?code=x&state=y"):
        assert (await get(here, path, root)).status == 404
    sent = {"X-Slack-Request-Timestamp": "1", "X-Slack-Signature": "v0=0"}
    told = {"type": "url_verification", "challenge": "echo"}
    async with here.client.post(f"{here.url}/slack/events", json=told, headers=sent) as answer:
        assert (answer.status, "echo" in await answer.text()) == (404, False)
