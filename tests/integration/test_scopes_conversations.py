"""A conversation is its readers' who hold all of its scope: in lists, pages, streams, links and proposals, from the moment in
which roles change."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.api.stream import Pace
from control_plane.conversations import Conversation
from control_plane.principals import ScopedRole
from control_plane.tables.conversations import ConversationRow
from protocol.approval import Role
from protocol.bus import RunnerMode
from protocol.events import ToolStarted
from protocol.kubectl import parse
from protocol.kubectl.calls import WriteCall
from protocol.remediation import Remediation
from tests.integration.desk import Desk
from tests.integration.fake_runner import FakeRunner
from tests.integration.http_server import Here, Person, http_server
from tests.integration.waiting import until

NEVER_BY_ITSELF = Pace(recheck_s=3600, lists_s=3600, streams_per_account=3)
"""What changes must be heard of, not found."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncGenerator[Here]:
    async with http_server(tmp_path, pace=NEVER_BY_ITSELF) as running:
        yield running


@pytest.fixture
async def owner(here: Here) -> Person:
    return await here.person("owner", Role.ADMIN)


async def about(here: Here, person: Person, *namespaces: str, title: str = "") -> Conversation:
    conversations = here.plane.conversations
    chosen = namespaces or None
    return await conversations.create(person.principal, cluster=here.cluster.id, namespaces=chosen, title=title)


def scale(name: str, namespace: str) -> Remediation:
    call = parse(f"scale deployment/{name} --replicas=3 -n {namespace}")
    assert isinstance(call, WriteCall)
    return call.remediation


SCOPES: list[tuple[str, ...]] = [("shop",), ("bank",), ("bank", "shop"), ("shop", "zoo"), ()]
"""Of conversations; the empty one is about the whole cluster."""


@pytest.mark.parametrize(
    ("namespaces", "seen"),
    [
        (("shop",), {("shop",)}),
        (("bank",), {("bank",)}),
        (("bank", "shop"), {("shop",), ("bank",), ("bank", "shop")}),
        (("zoo",), set[tuple[str, ...]]()),
        (("*",), set(SCOPES)),
    ],
)
async def test_one_sees_the_conversations_whose_whole_scope_one_holds(
    here: Here, owner: Person, namespaces: tuple[str, ...], seen: set[tuple[str, ...]]
) -> None:
    made = {scope: await about(here, owner, *scope, title=f"secret title {scope}") for scope in SCOPES}
    reader = await here.person("reader", Role.VIEWER, clusters=("practice",), namespaces=namespaces)
    listed = (await reader.call("GET", "/api/v1/conversations"))[1]
    assert {c["id"] for c in listed["conversations"]} == {made[scope].id for scope in seen}
    assert (listed["count"], listed["next"]) == (len(seen), None)
    for scope, conversation in made.items():
        expected = 200 if scope in seen else 404
        for path in (f"/api/v1/conversations/{conversation.id}", f"/api/v1/conversations/{conversation.id}/log"):
            status, said = await reader.call("GET", path)
            assert status == expected
            assert (scope in seen) or "secret title" not in str(said)
        status, html = await reader.browse("GET", f"/c/{conversation.id}")
        assert (status, f"secret title {scope}" in html.replace("&#39;", "'")) == (expected, scope in seen)
        asked = await reader.call("POST", f"/api/v1/conversations/{conversation.id}/ask", {"text": "may I join?"})
        assert asked[0] == (202 if scope in seen else 404)


async def test_the_database_filters_what_a_narrow_reader_would_walk_past(here: Here, owner: Person) -> None:
    """A page is whole although hundreds of newer ones of others lie above it; a row of the release before is found too."""
    mine = [(await about(here, owner, "shop")).id for _ in range(3)]
    async with here.plane.database.transaction() as session:
        row = await session.get(ConversationRow, mine[0])
        assert row is not None
        row.first_namespace = "-"
    for _ in range(60):
        await about(here, owner, "bank")
    reader = await here.person("reader", Role.VIEWER, namespaces=("shop",))
    page = (await reader.call("GET", "/api/v1/conversations?limit=2"))[1]
    rest = (await reader.call("GET", f"/api/v1/conversations?limit=2&cursor={page['next']}".replace("+", "%2B")))[1]
    assert [c["id"] for c in page["conversations"] + rest["conversations"]] == mine[::-1]


async def test_approvals_are_listed_by_the_namespace_of_their_object(here: Here, owner: Person) -> None:
    for n, namespace in enumerate(("shop", "bank", "shop", "zoo")):
        await here.approval(owner, action=scale(f"web-{n}", namespace))
    cordon = parse("cordon worker-1")
    assert isinstance(cordon, WriteCall)
    await here.approval(owner, action=cordon.remediation)
    for namespaces, count in ((("shop",), 2), (("bank", "zoo"), 2), (("elsewhere",), 0), (("*",), 5)):
        reader = await here.person(f"reader-{count}-{len(namespaces)}", Role.APPROVER, namespaces=namespaces)
        found = (await reader.call("GET", "/api/v1/approvals"))[1]["approvals"]
        assert len(found) == count
        assert {a["namespace"] for a in found} <= {*namespaces} or namespaces == ("*",)
        one = (await reader.call("GET", "/api/v1/approvals?limit=1"))[1]["approvals"]
        assert len(one) == min(1, count)


async def test_a_proposal_does_not_tell_a_conversation_of_what_is_outside_of_it(here: Here, owner: Person) -> None:
    """Its card would be shown to readers who may not see the object."""
    conversation = await about(here, owner, "shop")
    before = await here.plane.conversations.log(conversation.id)
    status, _ = await owner.call(
        "POST",
        "/api/v1/proposals",
        {
            "cluster_id": "practice",
            "command": "kubectl scale deployment/vault --replicas=3 -n bank",
            "conversation": conversation.id,
        },
    )
    assert status >= 400
    assert await here.plane.conversations.log(conversation.id) == before
    assert (await owner.call("GET", "/api/v1/approvals"))[1]["approvals"] == []


async def test_somebody_who_is_demoted_hears_no_more(here: Here, owner: Person) -> None:
    """While the stream is open, without waiting for it to look by itself."""
    conversation = await about(here, owner, "shop", title="secret title")
    reader = await here.person("reader", Role.VIEWER, namespaces=("shop",))
    async with reader.stream(f"?c={conversation.id}:0") as events:
        lists = await events.next("lists")
        assert [c["title"] for c in lists.data["conversations"]] == ["secret title"]
        elsewhere = (ScopedRole(role=Role.VIEWER, namespaces=("elsewhere",)),)
        await here.plane.accounts.set_roles(reader.account.id, elsewhere, by=owner.account.id)
        gone = await events.next("gone", timeout_s=4)
        assert gone.data["conversation"] == conversation.id
        assert (await events.next("lists", timeout_s=4)).data["conversations"] == []
        heard = len(events.seen)
        for n in range(3):
            started = ToolStarted(call=f"c{n}", name="t", title="after the demotion")
            await here.plane.conversations.append(conversation.id, started)
        seen_again = (ScopedRole(role=Role.VIEWER, namespaces=("bank",)),)
        await about(here, owner, "bank", title="another one")
        await here.plane.accounts.set_roles(reader.account.id, seen_again, by=owner.account.id)
        assert [c["title"] for c in (await events.next("lists", timeout_s=4)).data["conversations"]] == ["another one"]
        assert not [e for e in events.seen[heard:] if e.kind == "log"]
        assert "after the demotion" not in str(events.seen)


@pytest.mark.parametrize("how", ["disabled", "password", "signed out"])
async def test_whose_account_or_session_ends_is_out_of_the_stream(here: Here, owner: Person, how: str) -> None:
    conversation = await about(here, owner, "shop")
    reader = await here.person("reader", Role.VIEWER, namespaces=("shop",))
    accounts = here.plane.accounts
    async with reader.stream(f"?c={conversation.id}:0") as events:
        await events.next("lists")
        if how == "disabled":
            await accounts.disable(reader.account.id, by=owner.account.id)
        elif how == "password":
            await accounts.set_password(reader.account.id, "correct horse battery", by=owner.account.id)
        else:
            await accounts.sign_out(reader.session.id)
        last = (await events.to_the_end(timeout_s=5))[-1]
        assert (last.kind, last.data) == ("gone", {"conversation": None, "why": "signed_out"})


async def test_a_stream_of_what_one_may_not_read_says_gone_and_nothing_else(here: Here, owner: Person) -> None:
    hidden, missing = await about(here, owner, "bank", title="secret title"), "a" * 16
    reader = await here.person("reader", Role.VIEWER, namespaces=("shop",))
    async with reader.stream(f"?c={hidden.id}:0&c={missing}:0") as events:
        await events.next("lists")
        started = ToolStarted(call="c1", name="t", title="secret step")
        await here.plane.conversations.append(hidden.id, started)
        mine = await about(here, owner, "shop", title="mine")
        lists = await events.next("lists")
        assert [c["id"] for c in lists.data["conversations"]] == [mine.id]
        assert [e.data["conversation"] for e in events.seen if e.kind == "gone"] == [hidden.id, missing]
        assert "secret" not in str(events.seen)


async def test_a_shared_link_opens_for_who_may_read_and_for_nobody_else(here: Here, owner: Person) -> None:
    """The address is no key: a stranger is asked to sign in, and comes back to it."""
    conversation = await about(here, owner, "shop", title="secret title")
    path = f"/c/{conversation.id}"
    async with here.client.get(here.url + path, allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"].startswith("/sign-in")
        assert "secret" not in await answer.text()
    friend = await here.person("friend", Role.VIEWER, namespaces=("shop", "bank"))
    stranger = await here.person("stranger", Role.ADMIN, namespaces=("bank",))
    assert (await friend.browse("GET", path))[0] == 200
    assert (await stranger.browse("GET", path))[0] == 404


async def test_what_a_cluster_tells_somebody_of_one_namespace(here: Here, owner: Person) -> None:
    """Neither how many there are, nor what the others are called, nor that something is wrong with them."""
    mode = RunnerMode(writes=True, remediations=("scale",), namespaces=("bank", "shop"))
    runner = FakeRunner(here.plane.bus.url, mode=mode)
    assert await runner.enrol(await here.plane.fleet.enrolment_token(here.cluster.id, by="system")) == ""
    assert (await runner.connect()).accepted
    try:
        await runner.heartbeat(namespaces=("bank", "shop"), pods=7, findings={"critical": 2}, metrics="http://prom.bank")
        reader = await here.person("reader", Role.VIEWER, namespaces=("shop",))

        async def heard() -> bool:
            return bool((await owner.call("GET", "/api/v1/clusters/practice"))[1]["pod_count"])

        await until(heard, "the heartbeat was heard")
        whole = (await owner.call("GET", "/api/v1/clusters/practice"))[1]
        assert (whole["pod_count"], whole["health"], whole["summary"]["namespaces"]) == (7, "unhealthy", ["bank", "shop"])
        for path in ("/api/v1/clusters", "/api/v1/clusters/practice", "/api/v1/clusters/practice/health", "/api/v1/agents"):
            told = str((await reader.call("GET", path))[1])
            assert "bank" not in told
            assert "critical" not in told
            assert "unhealthy" not in told
        part = (await reader.call("GET", "/api/v1/clusters/practice"))[1]
        assert (part["pod_count"], part["node_count"], part["summary"]["namespaces"]) == (None, None, ["shop"])
        refused = await reader.call("POST", "/api/v1/conversations", {"cluster": "practice", "namespaces": ["bank"]})
        unreal = await reader.call("POST", "/api/v1/conversations", {"cluster": "practice", "namespaces": ["nosuch"]})
        assert refused[0] == unreal[0] == 403
        assert refused[1]["detail"] == unreal[1]["detail"].replace("nosuch", "bank")
    finally:
        await runner.close()


async def test_lists_are_filtered_alike_on_both_databases(any_desk: Desk) -> None:
    ann = await any_desk.person("ann", Role.OPERATOR)
    made = {
        scope: await any_desk.conversations.create(ann, cluster=any_desk.cluster.id, namespaces=scope or None)
        for scope in SCOPES
    }
    plans = [any_desk.plan(action=scale(f"web-{namespace}", namespace)) for namespace in ("shop", "bank", "zoo")]
    for plan in plans:
        await any_desk.propose(ann, plan)
    for namespaces, scopes in ((("shop",), {("shop",)}), (("bank", "shop"), {("shop",), ("bank",), ("bank", "shop")})):
        reader = await any_desk.person(f"reader-{len(namespaces)}", Role.VIEWER, clusters=("shop",), namespaces=namespaces)
        listed, following = await any_desk.conversations.list(reader)
        assert ({c.id for c in listed}, following) == ({made[scope].id for scope in scopes}, None)
        assert {a.namespace for a in await any_desk.approvals.list(reader)} == set(namespaces)
    nobody = await any_desk.person("nobody", Role.ADMIN, clusters=("another",))
    assert await any_desk.conversations.list(nobody) == ((), None)
    assert await any_desk.approvals.list(nobody) == ()
