"""The pages in Chromium, over a real control plane: live, honest, silent on the console, and usable by everybody."""

import re
from contextlib import suppress

import pytest
from playwright.async_api import Error, Locator, Page, expect

from control_plane.clock import utc_now
from protocol.approval import ApprovalState, Trigger
from protocol.events import LiveProgress, ModelMessage, TextDelta, ToolFinished, ToolStarted, TurnFailed
from tests.e2e import story
from tests.e2e.browser import PHONE
from tests.e2e.cable import cable
from tests.e2e.conftest import Stage
from tests.integration.waiting import until

pytestmark = pytest.mark.e2e

UNLABELLED = """() => [...document.querySelectorAll('button, a[href], input:not([type=hidden]), select, textarea')]
    .filter(e => e.checkVisibility())
    .filter(e => !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length || e.title))
    .map(e => e.outerHTML.slice(0, 120))"""
INLINE = "() => document.querySelectorAll('[style], style, script:not([src]), [onclick], [onerror], [onload]').length"
TOO_WIDE = """() => document.documentElement.scrollWidth > innerWidth
    ? [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
        .map(e => e.tagName + '.' + e.className).slice(0, 5) : []"""


async def sound(page: Page) -> None:
    """What holds for every page: names for all that can be used, nothing inline, nothing wider than the window."""
    assert await page.evaluate(UNLABELLED) == []
    assert await page.evaluate(INLINE) == 0
    assert await page.evaluate(TOO_WIDE) == []
    assert await page.locator("main").count() == 1
    assert await page.locator("h1").count() == 1


@pytest.mark.parametrize("size", [(1440, 1024), (1100, 800), PHONE], ids=["wide", "middle", "phone"])
async def test_every_page_is_silent_and_sound(stage: Stage, size: tuple[int, int]) -> None:
    here = stage.here
    conversation, turn = await story.begin(here, stage.dana)
    await story.look(here, conversation, turn)
    approval = await story.propose(here, stage.dana, conversation, turn)
    await story.conclude(here, conversation, turn)
    for name, path, person in (
        ("sign-in", "/sign-in", None),
        ("link", "/sign-in/link/abc", None),
        ("start", "/", stage.dana),
        ("thread", f"/c/{conversation.id}", stage.alex),
        ("inbox", "/approvals", stage.alex),
        ("approval", f"/approvals/{approval.id}", stage.dana),
    ):
        async with stage.page(person, path, size=size, dark=name in ("link", "thread")) as view:
            if name in ("thread", "inbox", "approval"):
                await expect(view.page.locator("ot-approval article")).to_be_visible()
            await sound(view.page)
            view.expect_silence()


@pytest.mark.parametrize(
    ("language", "words", "action"),
    [
        ("en", "Root cause", "Set limits.memory=256Mi of container app in Deployment payments"),
        ("zh", "根本原因", "将 Deployment payments 中容器 app 的资源设为 limits.memory=256Mi"),
        ("ja", "根本原因", "Deployment payments のコンテナ app のリソースを limits.memory=256Mi にする"),
    ],
)
async def test_three_languages(stage: Stage, language: str, words: str, action: str) -> None:
    conversation, turn = await story.begin(stage.here, stage.dana)
    await story.look(stage.here, conversation, turn)
    await story.propose(stage.here, stage.dana, conversation, turn)
    await story.conclude(stage.here, conversation, turn)
    async with stage.page(stage.alex, f"/c/{conversation.id}", language=language) as view:
        assert await view.page.get_attribute("html", "lang") == language
        await expect(view.page.locator("ot-diagnosis h3")).to_have_text(words)
        await expect(view.page.locator("ot-approval .action-text")).to_have_text(action)
        await expect(view.page.locator(".recommendations b")).to_have_text(action)
        text = await view.page.inner_text("body")
        assert not [line for line in text.split() if line.startswith(("approval.", "diagnosis.", "state.", "turn."))]
        view.expect_silence()


async def test_language_and_theme_are_kept(stage: Stage) -> None:
    async with stage.page(stage.dana, "/") as view:
        page = view.page
        await page.click("button[value=dark]")
        assert await page.get_attribute("html", "data-theme") == "dark"
        await page.select_option("select[name=language]", "ja")
        await expect(page.locator("html")).to_have_attribute("lang", "ja")
        assert await page.get_attribute("html", "data-theme") == "dark"
        await expect(page.locator("button[value=dark]")).to_have_attribute("aria-pressed", "true")
        view.expect_silence()


async def test_the_browser_itself_refuses_markup(stage: Stage) -> None:
    """Trusted Types 'none' and the policy: even our own code could not make markup from a string."""
    async with stage.page(stage.dana, "/") as view:
        for attack in (
            "document.body.innerHTML = '<b>x</b>'",
            "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
            "document.write('<b>x</b>')",
            "document.createElement('script').text = 'alert(1)'",
        ):
            with pytest.raises(Error, match=r"TrustedHTML|TrustedScript"):
                await view.page.evaluate(f"() => {{ {attack} }}")


async def test_hostile_text_is_text(stage: Stage) -> None:
    here = stage.here
    conversation, turn = await story.begin(here, stage.dana, story.HOSTILE)
    add = here.plane.conversations.append
    await add(conversation.id, ToolStarted(call="c1", name="kubectl_logs", title=story.HOSTILE), turn=turn.id)
    await add(conversation.id, ToolFinished(call="c1", name="kubectl_logs", status="ok", text=story.HOSTILE), turn=turn.id)
    bad = (
        "<script>alert(1)</script>",
        "[x](javascript:alert(1)) ![p](https://evil.example/p.png)",
        "<button>Approve and run</button>",
        story.HOSTILE,
    )
    await add(conversation.id, ModelMessage(text="\n\n".join(bad), final=True), turn=turn.id)
    requested: list[str] = []
    async with stage.page(stage.dana, "/") as view:
        view.page.on("request", lambda request: requested.append(request.url))
        view.page.on("dialog", lambda _: requested.append("dialog"))
        await view.page.goto(f"{here.url}/c/{conversation.id}")
        answer = view.page.locator("ot-answer .answer-body")
        await expect(answer).to_contain_text("<script>alert(1)</script>")
        await expect(answer).to_contain_text("<button>Approve and run</button>")
        assert await view.page.locator(".thread img, .thread script, .answer button, .answer a").count() == 0
        await view.page.click(".step-body > summary")
        await expect(view.page.locator(".step-text")).to_contain_text("<img src=x onerror=alert(1)>")
        assert "\u202e" not in await view.page.inner_text(".step-text")
        assert [url for url in requested if not url.startswith(here.url)] == []
        view.expect_silence()


async def test_steps_and_text_come_live(stage: Stage) -> None:
    here = stage.here
    conversation, turn = await story.begin(here, stage.dana)
    async with stage.page(stage.dana, f"/c/{conversation.id}") as view:
        page = view.page
        await expect(page.locator("[data-stop]")).to_be_visible()
        await story.look(here, conversation, turn, stop_before_end=True)
        await expect(page.locator(".step")).to_have_count(4)
        await expect(page.locator(".step[data-status=running] .spinner")).to_be_visible()
        await expect(page.locator("ot-diagnosis article")).to_be_visible()
        await here.plane.conversations.publish_live(
            conversation.id, LiveProgress(turn=turn.id, call="c4", note="reading 50 lines")
        )
        await expect(page.locator(".step-note")).to_have_text("reading 50 lines")
        finished = ToolFinished(call="c4", name="kubectl_logs", status="timeout", text="", duration_ms=30_000)
        await here.plane.conversations.append(conversation.id, finished, turn=turn.id)
        await expect(page.locator(".step[data-status=bad] .step-status")).to_have_text("timed out")
        for offset, text in ((0, "It is **kil"), (11, "led** again")):
            delta = TextDelta(turn=turn.id, text=text, offset=offset)
            await here.plane.conversations.publish_live(conversation.id, delta)
        await expect(page.locator(".streaming")).to_have_text("It is **killed** again")
        await story.conclude(here, conversation, turn, "It is **killed** again.")
        await expect(page.locator(".answer-body strong")).to_have_text("killed")
        await expect(page.locator(".streaming")).to_have_count(0)
        await expect(page.locator("[data-stop]")).to_be_hidden()
        view.expect_silence()


async def test_asking_opens_a_conversation(stage: Stage) -> None:
    async with stage.page(stage.dana, "/") as view:
        await view.page.click("[data-suggest] >> nth=0")
        await view.page.wait_for_url("**/c/*")
        await expect(view.page.locator(".bubble")).to_have_text("Why does payments keep restarting?")
        await expect(view.page.locator("ot-sidebar a[aria-current=page]")).to_be_visible()
        await view.page.fill("textarea", "first line")
        await view.page.keyboard.press("Shift+Enter")
        await view.page.keyboard.type("and why?")
        await view.page.keyboard.press("Enter")
        await expect(view.page.locator(".bubble")).to_have_count(2)
        await expect(view.page.locator(".bubble").nth(1)).to_have_text("first line\nand why?")
        await expect(view.page.locator("textarea")).to_have_value("")
        view.expect_silence()


async def test_stop(stage: Stage) -> None:
    conversation, turn = await story.begin(stage.here, stage.dana)
    async with stage.page(stage.dana, f"/c/{conversation.id}") as view:
        await view.page.click("[data-stop] button")

        async def requested() -> bool:
            return (await stage.here.plane.conversations.turn(turn.id)).cancel_requested

        await until(requested, "the turn is to be cancelled")
        view.expect_silence()


async def test_the_requester_is_refused_the_approver_decides_both_see_it(stage: Stage) -> None:
    here = stage.here
    conversation, turn = await story.begin(here, stage.dana)
    async with (
        stage.page(stage.dana, f"/c/{conversation.id}") as hers,
        stage.page(stage.alex, f"/c/{conversation.id}") as his,
    ):
        approval = await story.propose(here, stage.dana, conversation, turn)
        await expect(hers.page.locator("ot-approval .notice").first).to_contain_text("Your approval would not count")
        await expect(hers.page.get_by_role("button", name="Approve and run")).to_have_count(0)
        await expect(hers.page.get_by_role("button", name="Withdraw")).to_be_enabled()
        await expect(hers.page.locator("[data-pending]")).to_have_text("1")
        await expect(his.page.locator(".expiry")).to_contain_text("Expires in 14:")
        await expect(his.page.locator(".diff .removed")).to_contain_text("128Mi")
        await expect(his.page.locator(".origin")).to_contain_text(approval.plan.plan_hash[:12])
        await his.page.get_by_role("button", name="Approve and run").dblclick()
        for view in (hers, his):
            await expect(view.page.locator(".decision.approve")).to_contain_text("Approved by Alex (approver)")
            await expect(view.page.locator("ot-approval button.primary")).to_have_count(0)
            await expect(view.page.locator("[data-pending]")).to_be_hidden()
            view.expect_silence()
        decided = await here.plane.approvals.get(approval.id)
        assert [d.by_name for d in decided.decisions] == ["Alex (approver)"]


async def test_rejecting_with_a_reason_by_keyboard(stage: Stage) -> None:
    conversation, turn = await story.begin(stage.here, stage.dana)
    await story.propose(stage.here, stage.dana, conversation, turn)
    async with stage.page(stage.alex, f"/c/{conversation.id}") as view:
        await view.page.locator(".reason").focus()
        await view.page.keyboard.type("not during the sale")
        await view.page.keyboard.press("Tab")
        await view.page.keyboard.press("Tab")
        await expect(view.page.get_by_role("button", name="Reject")).to_be_focused()
        await view.page.keyboard.press("Enter")
        await expect(view.page.locator(".decision.reject")).to_contain_text("not during the sale")
        await expect(view.page.locator("ot-approval .card-head .state")).to_have_text("Rejected")
        view.expect_silence()


async def test_somebody_was_faster(stage: Stage) -> None:
    """The card was open while another person decided by another door: it learns of it, or the click says so."""
    here = stage.here
    approval = await here.approval(stage.dana)
    async with stage.page(stage.alex, f"/approvals/{approval.id}") as view:
        await expect(view.page.get_by_role("button", name="Approve and run")).to_be_enabled()
        await view.page.route("**/api/v1/stream*", lambda route: route.abort())
        await view.page.route(f"**/api/v1/approvals/{approval.id}", lambda route: route.abort())
        beth = await here.person("beth", stage.alex.principal.roles[0].role)
        body = {"verdict": "reject", "plan_hash": approval.plan.plan_hash}
        assert (await beth.call("POST", f"/api/v1/approvals/{approval.id}/decide", body))[0] == 200
        button = view.page.get_by_role("button", name="Approve and run")
        with suppress(Error):  # the stream may have been faster than our finger
            await button.click(timeout=2_000)
        told = re.compile("it has been decided already|Rejected by")
        await expect(view.page.locator("ot-approval")).to_contain_text(told)


STATES = [
    ((Trigger.TIME,), "Expired"),
    ((Trigger.WITHDRAW,), "Cancelled"),
    ((Trigger.NEWER_PLAN,), "Replaced by a newer plan"),
    ((Trigger.QUORUM,), "Approved"),
    ((Trigger.QUORUM, Trigger.START), "Running"),
    ((Trigger.QUORUM, Trigger.START, Trigger.CHECK_PASSED), "Healed"),
    ((Trigger.QUORUM, Trigger.START, Trigger.CHECK_FAILED), "Failed"),
    ((Trigger.QUORUM, Trigger.START, Trigger.UNDONE), "Rolled back"),
    ((Trigger.QUORUM, Trigger.START, Trigger.UNANSWERED), "Unknown"),
]

ENDS = {Trigger.QUORUM: (Trigger.WITHDRAW,), Trigger.START: (Trigger.CHECK_PASSED,)}


async def test_the_card_is_honest_in_every_state(stage: Stage) -> None:
    here = stage.here
    for triggers, words in STATES:
        conversation, turn = await story.begin(here, stage.dana)
        approval = await story.propose(here, stage.dana, conversation, turn)
        async with stage.page(stage.alex, f"/c/{conversation.id}") as view:
            card = view.page.locator("ot-approval")
            await expect(card.get_by_role("button", name="Approve and run")).to_be_visible()
            for trigger in triggers:
                await here.plane.approvals.move(approval.id, trigger, outcome="2 of 2 pods ready")
            await expect(card.locator(".card-head .state")).to_have_text(words)
            await expect(card.get_by_role("button", name="Approve and run")).to_have_count(0)
            if words == "Running":
                live = LiveProgress(approval=approval.id, note="1 of 2 pods ready")

                async def told(live: LiveProgress = live, id_: str = conversation.id, card: Locator = card) -> bool:
                    await here.plane.conversations.publish_live(id_, live)  # as an action does: again at each look
                    return "1 of 2 pods ready" in await card.inner_text()

                await until(told, "the card says what is being done", 10)
            if words == "Unknown":
                await expect(card).to_contain_text("Nobody can tell whether it ran")
            view.expect_silence()
        for trigger in ENDS.get(triggers[-1], ()):  # so that the next plan for the same object may open
            await here.plane.approvals.move(approval.id, trigger)


async def test_four_eyes_off_is_said(stage: Stage) -> None:
    plan_settings = stage.here.plane.settings
    plan_settings.four_eyes = False
    conversation, turn = await story.begin(stage.here, stage.alex)
    await story.propose(stage.here, stage.alex, conversation, turn)
    async with stage.page(stage.alex, f"/c/{conversation.id}") as view:
        await expect(view.page.locator("ot-approval")).to_contain_text("Four-eyes is off")
        await expect(view.page.get_by_role("button", name="Approve and run")).to_be_enabled()


async def test_an_expired_card_has_no_buttons(stage: Stage) -> None:
    approval = await stage.here.approval(stage.dana)
    async with stage.page(stage.alex, "/approvals") as view:
        await expect(view.page.get_by_role("button", name="Approve and run")).to_be_enabled()
        await stage.here.plane.approvals.expire_due(approval.expires_at)
        await expect(view.page.locator("ot-approval .card-head .state")).to_have_text("Expired")
        await expect(view.page.locator("ot-approval button.primary")).to_have_count(0)
        view.expect_silence()
    assert (await stage.here.plane.approvals.get(approval.id)).state is ApprovalState.EXPIRED
    assert utc_now() < approval.expires_at


async def test_the_connection_is_lost_and_comes_back(stage: Stage) -> None:
    here = stage.here
    conversation, turn = await story.begin(here, stage.dana)
    async with cable(here.url) as (wire, near), stage.page(stage.dana, f"/c/{conversation.id}", at=near) as view:
        await expect(view.page.locator(".bubble")).to_be_visible()
        await expect(view.page.locator("[data-banner]")).to_be_hidden()
        wire.cut()
        await expect(view.page.locator("[data-banner]")).to_be_visible()
        await story.look(here, conversation, turn)
        wire.mend()
        await expect(view.page.locator(".step")).to_have_count(4, timeout=15_000)
        await expect(view.page.locator("[data-banner]")).to_be_hidden()
        await expect(view.page.locator(".bubble")).to_have_count(1)
        view.expect_silence("net::ERR_")


async def test_signing_out_closes_every_tab(stage: Stage) -> None:
    async with stage.page(stage.dana, "/") as view:
        other = await view.page.context.new_page()
        await other.goto(stage.here.url + "/approvals")
        await other.wait_for_selector("html[data-ready]")
        await view.page.get_by_role("button", name="Sign out").click()
        await view.page.wait_for_url("**/sign-in*")
        await other.wait_for_url("**/sign-in*")
        view.expect_silence()


async def test_a_failed_turn_says_so(stage: Stage) -> None:
    conversation, turn = await story.begin(stage.here, stage.dana)
    failed = TurnFailed(message="runner of practice does not answer; is it running?", code="cluster_unreachable")
    await stage.here.plane.conversations.end_turn(turn.id, "failed", failed)
    async with stage.page(stage.dana, f"/c/{conversation.id}") as view:
        await expect(view.page.locator(".note-failed")).to_contain_text("The cluster does not answer. runner of practice")
        view.expect_silence()


async def test_without_scripts(stage: Stage) -> None:
    """Sign in by link, ask, read, reject: plain forms."""
    here = stage.here
    link = await here.plane.accounts.make_link(stage.alex.account.id, by="system")
    conversation, turn = await story.begin(here, stage.dana)
    await story.look(here, conversation, turn)
    approval = await story.propose(here, stage.dana, conversation, turn)
    await story.conclude(here, conversation, turn)
    async with stage.page(None, f"/sign-in/link/{link}", scripts=False, size=PHONE) as view:
        page = view.page
        await page.get_by_role("button", name="Sign in with this link").click()
        await page.get_by_role("button", name="Is something wrong with search?").click()
        await expect(page.locator(".bubble")).to_have_text("Is something wrong with search?")
        await page.fill("textarea", "and checkout?")
        await page.get_by_role("button", name="Ask").click()
        await expect(page.locator(".bubble")).to_have_count(2)
        await page.goto(f"{here.url}/c/{conversation.id}")
        await expect(page.locator(".diagnosis")).to_contain_text("reason: OOMKilled, exitCode: 137")
        await expect(page.locator(".answer-body strong").first).to_have_text("payments")
        await page.fill(".reason", "later")
        await page.get_by_role("button", name="Reject").click()
        await expect(page.locator(".decision")).to_contain_text("later")
    assert (await here.plane.approvals.get(approval.id)).state is ApprovalState.REJECTED


async def test_a_link_preview_does_not_use_the_link_up(stage: Stage) -> None:
    link = await stage.here.plane.accounts.make_link(stage.dana.account.id, by="system")
    for _ in range(3):
        async with stage.here.client.get(f"{stage.here.url}/sign-in/link/{link}") as preview:
            assert preview.status == 200
    async with stage.page(None, f"/sign-in/link/{link}") as view:
        await view.page.click("button.primary")
        await expect(view.page.locator("h2").first).to_be_visible()
    async with stage.page(None, f"/sign-in/link/{link}") as view:
        await view.page.click("button.primary")
        await expect(view.page.locator("[role=alert]")).to_contain_text("has been used")


async def test_the_skip_link_and_the_drawer(stage: Stage) -> None:
    async with stage.page(stage.dana, "/approvals", size=PHONE) as view:
        page = view.page
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
        await expect(page.locator("#sidebar")).to_be_hidden()
        await page.get_by_role("button", name="Menu").click()
        await expect(page.locator("#sidebar")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("#sidebar")).to_be_hidden()
        view.expect_silence()
