"""The outbox becomes messages: in order, once each, whatever Slack answers. Real tables, the real client, a fake Slack."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

from pydantic import SecretStr

from bot.slack.clients import Clients
from bot.slack.work.files import Files
from bot.slack.work.lead import Term
from bot.slack.work.pace import Pace
from bot.slack.work.sender import Sender, Shelf
from bot.slack.work.sight import Still
from control_plane.settings import Settings
from control_plane.slack.installations import Facts
from control_plane.slack.outbox import Content, FileRef, Outgoing
from control_plane.tables import SlackOutboxRow
from tests.fake_slack import FakeSlack
from tests.integration.slack_rows import Rows
from tests.integration.waiting import until


class Painter:
    """Draws what the test says."""

    picture_of = b"\x89PNG picture"

    async def picture(self, file: FileRef) -> bytes | None:
        return None if file.source == "gone" else self.picture_of


async def _page(outgoing: Outgoing) -> str:
    return f"https://ops.example/c/{outgoing.key}"


@asynccontextmanager
async def sending(slack: Rows, there: FakeSlack, still: Still | None = None) -> AsyncGenerator[None]:
    settings = Settings(slack_bot_token=SecretStr(there.bot_token), slack_api_url=f"{there.url}/api/")
    clients = Clients(settings, slack.workspaces)
    await clients.start()
    loop = asyncio.get_running_loop()
    term = Term(await slack.lead(), loop.time() + 3600)
    shelf = Shelf(slack.outbox, slack.posts, slack.workspaces)
    how: dict[str, Any] = {"pauses_s": (0,), "clock": slack.desk.clock, "still": still}
    sender = Sender(shelf, term, clients, Pace(post_every_s=0), Files(Painter()), _page, **how)
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await clients.close()


async def put(slack: Rows, there: FakeSlack, channel: str, key: str, text: str = "", **more: Any) -> None:
    content = Content(text=text or key, **more)
    await slack.outbox.put_now(team=there.team.id, channel=channel, thread=None, key=key, content=content)


async def ended(slack: Rows) -> dict[str, str]:
    """What became of each key, once nothing waits. Time goes on, so that pauses end."""

    async def nothing_open() -> bool | None:
        slack.desk.clock.move(seconds=1)
        return None if any(row.state in ("waiting", "sending") for row in await slack.all(SlackOutboxRow)) else True

    await until(nothing_open, "everything is sent")
    rows = sorted(await slack.all(SlackOutboxRow), key=lambda row: row.number)
    return {row.key: f"{row.state} {row.note}".strip() for row in rows}


async def test_a_channels_messages_keep_their_order_and_a_key_is_one_message(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops, dev = there.add_channel("ops"), there.add_channel("dev")
        async with sending(slack, there):
            for key in ("one", "two", "three"):
                await put(slack, there, ops.id, key)
                await put(slack, there, dev.id, f"dev-{key}")
            await ended(slack)
            await put(slack, there, ops.id, "two", "two, changed")
            await put(slack, there, ops.id, "three")
            await ended(slack)
        assert [m.text for m in there.world.in_channel(ops.id)] == ["one", "two, changed", "three"]
        assert [m.text for m in there.world.in_channel(dev.id)] == ["dev-one", "dev-two", "dev-three"]
        assert len(there.calls_of("chat.update")) == 1, "what Slack has is not sent again"


async def test_what_may_not_be_shown_any_more_is_not_sent_and_holds_up_nothing(slack: Rows) -> None:
    async def still(outgoing: Outgoing) -> Content | None:
        return {"gone": None, "less": Content(text="withheld")}.get(outgoing.key, outgoing.content)

    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        async with sending(slack, there, still):
            for key in ("gone", "less", "fine"):
                await put(slack, there, ops.id, key)
            came = await ended(slack)
        assert came == {"gone": "dropped it may not be shown there any more", "less": "done", "fine": "done"}
        assert [m.text for m in there.world.in_channel(ops.id)] == ["withheld", "fine"]


async def test_what_slack_refuses_for_good_holds_up_nothing(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops, closed = there.add_channel("ops"), there.add_channel("closed", is_archived=True)
        foreign = there.add_channel("foreign", with_bot=False)
        async with sending(slack, there):
            await put(slack, there, closed.id, "closed")
            await put(slack, there, foreign.id, "foreign")
            await put(slack, there, "C404", "nowhere")
            await put(slack, there, ops.id, "fine")
            came = await ended(slack)
        assert came == {
            "closed": "failed chat.postMessage: is_archived",
            "foreign": "failed chat.postMessage: not_in_channel",
            "nowhere": "failed chat.postMessage: channel_not_found",
            "fine": "done",
        }


async def test_whatever_is_lost_on_the_way_there_is_one_message(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        async with sending(slack, there):
            for harm in (
                lambda: there.faults.server_error("chat.postMessage"),
                lambda: there.faults.server_error("chat.postMessage", after=True),
                lambda: there.faults.cut("chat.postMessage"),
                lambda: there.faults.lost_answer("chat.postMessage"),
                lambda: there.faults.rate_limited("chat.postMessage", 1),
            ):
                fault = harm()
                await put(slack, there, ops.id, f"message-{fault.harm}-{fault.after}")
                assert set((await ended(slack)).values()) == {"done"}
                assert fault.met
        texts = [m.text for m in there.world.in_channel(ops.id)]
        assert len(texts) == len(set(texts)) == 5


async def test_a_row_that_was_being_sent_when_the_lead_changed_is_looked_for(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        before = await slack.lead("before")
        await put(slack, there, ops.id, "posted")
        first = await slack.outbox.sending((await slack.outbox.due())[0].number, before)
        assert first is not None
        assert first.post is not None
        nonce = {"event_type": "opsthread_post", "event_payload": {"id": first.post.id}}
        settings = Settings(slack_bot_token=SecretStr(there.bot_token), slack_api_url=f"{there.url}/api/")
        clients = Clients(settings)
        await clients.start()
        api = await clients.of(there.team.id)
        told = await api.call("chat.postMessage", channel=ops.id, text="posted", metadata=nonce)
        await clients.close()
        async with sending(slack, there):
            await put(slack, there, ops.id, "after")
            assert set((await ended(slack)).values()) == {"done"}
        assert [m.text for m in there.world.in_channel(ops.id)] == ["posted", "after"]
        post = await slack.posts.get(there.team.id, "posted")
        assert post is not None
        assert post.ts == told["ts"]


async def test_a_removed_app_is_shown_nothing_more(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        await slack.workspaces.keep(Facts(team=there.team.id), "")
        async with sending(slack, there):
            await put(slack, there, ops.id, "before")
            await ended(slack)
            there.bot.revoked = True
            await put(slack, there, ops.id, "after")
            came = await ended(slack)
        assert came["after"].startswith("dropped")
        workspace = await slack.workspaces.get(there.team.id)
        assert workspace is not None
        assert workspace.revoked_at is not None


async def test_files_are_sent_once_deleted_messages_go_and_whispers_reach_one_person(slack: Rows) -> None:
    async with FakeSlack() as there:
        dana = there.add_user("dana")
        ops = there.add_channel("ops", dana)
        async with sending(slack, there):
            lost = there.faults.lost_answer("files.completeUploadExternal")
            await put(slack, there, ops.id, "chart", file=FileRef(source="chart", name="chart", title="memory", alt="too much"))
            await put(slack, there, ops.id, "none", file=FileRef(source="gone", name="chart"))
            await put(slack, there, ops.id, "whisper", "for you alone", ephemeral_to=dana.id)
            await put(slack, there, ops.id, "wrong")
            came = await ended(slack)
            await put(slack, there, ops.id, "wrong", delete=True)
            await ended(slack)
        assert lost.met
        assert came["none"].startswith("dropped")
        files = [file for message in there.world.in_channel(ops.id) for file in message.files]
        assert [there.world.files[one].content for one in files] == [Painter.picture_of]
        assert there.world.files[files[0]].alt_text == "too much"
        assert [said.text for said in there.ephemerals(dana.id)] == ["for you alone"]
        assert "wrong" not in [m.text for m in there.world.in_channel(ops.id)]


async def test_blocks_that_slack_does_not_take_are_told_in_words_with_a_link(slack: Rows) -> None:
    async with FakeSlack() as there:
        ops = there.add_channel("ops")
        bad = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_001}}]
        async with sending(slack, there):
            await put(slack, there, ops.id, "bad", "the answer in short", blocks=bad)
            await ended(slack)
        (message,) = there.world.in_channel(ops.id)
        assert message.text == "the answer in short"
        assert "https://ops.example/c/bad" in str(message.blocks)
