"""The approval card in Chromium: what is missing and who may give it, what holds it, and how it ended; each with a picture."""

from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from control_plane.clock import utc_now
from control_plane.principals import ScopedRole
from protocol.approval import ApprovalState, Role
from protocol.freeze import Once
from protocol.remediation import Owner, Risk
from tests.e2e import story
from tests.e2e.browser import PHONE, picture
from tests.e2e.conftest import Stage
from tests.e2e.test_web_pages import sound
from tests.integration.http_server import Person

pytestmark = pytest.mark.e2e

PATCH = (
    "--- a/apps/shop/payments.yaml\n+++ b/apps/shop/payments.yaml\n@@ -21,4 +21,4 @@\n           limits:\n"
    "-            memory: 128Mi\n+            memory: 256Mi\n"
)
MERGE = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: payments\n  namespace: shop\nspec:\n  replicas: 3\n"
ARGO = Owner(kind="argocd", name="shop", detail="self-heal is on", reverts=True, git_patch=PATCH)
PASSWORD = "correct horse battery staple"


async def admin(stage: Stage) -> Person:
    return await stage.here.person("root", Role.ADMIN, display="Root (admin)")


async def freeze(stage: Stage, root: Person) -> str:
    now = utc_now()
    window = Once(starts_at=now - timedelta(minutes=1), ends_at=now + timedelta(hours=3))
    added = await stage.here.plane.freezes.add(
        root.principal, cluster=stage.here.cluster.id, window=window, reason="quarter end"
    )
    return added.id


async def no_buttons(page: Page) -> None:
    for name in ("Approve and run", "Reject", "Withdraw", "Break the glass and run"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)


async def test_pending_says_what_is_missing_and_who_could_give_it(stage: Stage, tmp_path: Path) -> None:
    await stage.here.person("beth", Role.APPROVER, display="Beth")
    approval = await stage.here.approval(stage.dana, risk=Risk.HIGH)
    async with stage.page(stage.dana, f"/approvals/{approval.id}") as hers:
        waits = hers.page.locator(".waits")
        await expect(waits).to_contain_text("2 approvals by the role approver")
        await expect(waits).to_contain_text("Alex (approver), Beth")
        await picture(hers.page, "card-pending", tmp_path)
        async with stage.page(stage.alex, f"/approvals/{approval.id}", language="ja", size=PHONE) as his:
            await his.page.locator("button.primary").click()
            await expect(his.page.locator(".waits")).to_contain_text("あと 1 人")
            await expect(his.page.locator(".waits")).to_contain_text("Beth")
            await sound(his.page)
            await picture(his.page, "card-partial-ja", tmp_path)
            his.expect_silence()
        await expect(waits).to_contain_text("one approval by the role approver")
        hers.expect_silence()


async def test_a_freeze_and_a_lone_approver_break_the_glass_and_others_are_told(stage: Stage, tmp_path: Path) -> None:
    root = await admin(stage)
    await freeze(stage, root)
    approval = await stage.here.approval(stage.alex)
    async with stage.page(root, "/") as told, stage.page(stage.alex, f"/approvals/{approval.id}") as his:
        page = his.page
        await expect(page.locator(".freeze")).to_contain_text("quarter end")
        await expect(page.get_by_role("button", name="Approve and run")).to_have_count(0)
        await page.locator(".glass summary").click()
        go = page.get_by_role("button", name="Break the glass and run")
        await expect(go).to_be_disabled()
        await sound(page)
        await picture(page, "card-frozen", tmp_path)
        await page.get_by_label("Why it can't wait").fill("payments is down, nobody else is awake")
        await expect(go).to_be_disabled()
        await page.get_by_label("I am alone and it can't wait.").check()
        await go.click()
        await expect(page.locator(".glass-broken")).to_contain_text("Alex (approver) broke the glass for this")
        await no_buttons(page)
        await picture(page, "card-broken-glass", tmp_path)
        await expect(told.page.locator("[data-notices] .told")).to_contain_text("payments is down")
        await sound(told.page)
        await picture(told.page, "notice-broken-glass", tmp_path)
        await told.page.get_by_role("button", name="I have seen it").click()
        await expect(told.page.locator("[data-notices] .told")).to_have_count(0)
        for view in (his, told):
            view.expect_silence()
    assert (await stage.here.plane.approvals.get(approval.id)).state is ApprovalState.APPROVED


async def test_a_card_that_is_open_in_a_thread_learns_of_a_freeze_and_of_its_end(stage: Stage) -> None:
    root = await admin(stage)
    conversation, turn = await story.begin(stage.here, stage.dana)
    await story.propose(stage.here, stage.dana, conversation, turn)
    async with stage.page(stage.alex, f"/c/{conversation.id}") as view:
        approve = view.page.get_by_role("button", name="Approve and run")
        await expect(approve).to_be_enabled()
        added = await freeze(stage, root)
        await expect(view.page.locator(".freeze")).to_contain_text("quarter end")
        await expect(approve).to_have_count(0)
        await stage.here.plane.freezes.end(added, root.principal)
        await expect(approve).to_be_enabled()
        view.expect_silence()


async def test_an_owner_needs_a_tick_and_a_reason_and_gives_its_patch(stage: Stage, tmp_path: Path) -> None:
    approval = await stage.here.approval(stage.dana, owner=ARGO)
    async with stage.page(stage.alex, f"/approvals/{approval.id}") as view:
        page = view.page
        await expect(page.locator(".owner")).to_contain_text("Argo CD shop would revert this")
        await expect(page.locator(".patch pre")).to_contain_text("memory: 256Mi")
        async with page.expect_download() as coming:
            await page.get_by_role("button", name="Save as a file").click()
        saved = tmp_path / "saved.patch"
        await (await coming.value).save_as(saved)
        assert saved.read_text() == PATCH
        approve = page.get_by_role("button", name="Approve and run")
        await expect(approve).to_be_disabled()
        await page.get_by_label("Run it anyway").check()
        await expect(approve).to_be_disabled()
        await page.locator(".reason").fill("the release train is blocked; the patch is in review")
        await picture(page, "card-owner", tmp_path)
        await approve.click()
        await expect(page.locator(".decision")).to_contain_text("temporary override")
        view.expect_silence()
    decided = await stage.here.plane.approvals.get(approval.id)
    assert decided.decisions[0].override_owner
    assert "release train" in decided.decisions[0].reason


async def test_an_owner_that_leaves_it_for_now_says_what_would_last(stage: Stage, tmp_path: Path) -> None:
    detail = "it belongs to Helm release shop: the change stays until the next upgrade; put it into the values too"
    helm = Owner(kind="helm", name="shop", detail=detail, git_patch=MERGE, values_hint="image:\n  tag: '2'\n")
    approval = await stage.here.approval(stage.dana, owner=helm)
    async with stage.page(stage.alex, f"/approvals/{approval.id}") as view:
        page = view.page
        await expect(page.locator(".owner")).to_contain_text("until the next upgrade")
        await expect(page.get_by_label("Run it anyway")).to_have_count(0)
        await expect(page.locator(".patch pre")).to_be_hidden()
        await page.locator(".patch summary").click()
        await expect(page.locator(".patch pre")).to_contain_text("kind: Deployment")
        await page.locator(".values summary").click()
        await expect(page.locator(".values pre")).to_contain_text("tag: '2'")
        await picture(page, "card-owner-helm", tmp_path)
        await expect(page.get_by_role("button", name="Approve and run")).to_be_enabled()
        view.expect_silence()


async def test_rejecting_asks_once_for_a_reason(stage: Stage) -> None:
    approval = await stage.here.approval(stage.dana)
    async with stage.page(stage.alex, f"/approvals/{approval.id}") as view:
        reject = view.page.get_by_role("button", name="Reject")
        await reject.click()
        await expect(view.page.get_by_role("alert")).to_contain_text("Why not?")
        await expect(view.page.locator(".reason")).to_be_focused()
        assert (await stage.here.plane.approvals.get(approval.id)).state is ApprovalState.PENDING
        await view.page.keyboard.type("the node is being replaced")
        await reject.click()
        await expect(view.page.locator(".decision.reject")).to_contain_text("the node is being replaced")
        await no_buttons(view.page)


async def test_step_up_on_the_web_by_the_password(stage: Stage, tmp_path: Path) -> None:
    """A session that is not fresh any more sees the way to confirm; then the second approval of a high risk counts."""
    here = stage.here
    beth = await here.plane.accounts.create("beth", "Beth", (ScopedRole(role=Role.APPROVER),), password=PASSWORD, by="system")
    approval = await here.approval(stage.dana, risk=Risk.HIGH)
    body = {"verdict": "approve", "plan_hash": approval.plan.plan_hash}
    assert (await stage.alex.call("POST", f"/api/v1/approvals/{approval.id}/decide", body))[0] == 200
    session = await here.plane.accounts.sign_in("beth", PASSWORD)
    await _age(stage, session.id)
    principal, _ = await here.plane.accounts.authenticate(session.token)
    person = Person(here.url, beth, session, "", principal, here.client)
    async with stage.page(person, f"/approvals/{approval.id}") as view:
        page = view.page
        await expect(page.get_by_role("button", name="Approve and run")).to_have_count(0)
        await page.get_by_role("link", name="Confirm that it is you").click()
        await page.fill("#password", "wrong")
        await page.get_by_role("button", name="It is me").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await picture(page, "confirm", tmp_path)
        await page.fill("#password", PASSWORD)
        await page.get_by_role("button", name="It is me").click()
        await expect(page).to_have_url(f"{here.url}/approvals/{approval.id}")
        await page.get_by_role("button", name="Approve and run").click()
        await expect(page.locator(".card-head .state")).to_have_text("Approved")
        view.expect_silence("401")


async def _age(stage: Stage, session: str) -> None:
    """As if the sign-in had been ten minutes ago."""
    from sqlalchemy import update

    from control_plane.tables import SessionRow

    async with stage.here.plane.database.transaction() as db:
        at = utc_now() - timedelta(minutes=10)
        await db.execute(update(SessionRow).where(SessionRow.id == session).values(authenticated_at=at))


async def test_change_control_by_plain_forms(stage: Stage, tmp_path: Path) -> None:
    root = await admin(stage)
    async with stage.page(root, "/changes") as view:
        page = view.page
        once = page.locator("form", has=page.locator("#starts-at"))
        await once.locator("#starts-at").fill("2027-12-24T18:00")
        await once.locator("#ends-at").fill("2027-12-27T06:00")
        await once.locator("#once-zone").fill("Europe/Berlin")
        await once.locator("#once-reason").fill("holidays")
        await once.get_by_role("button", name="Freeze").click()
        await expect(page.locator(".rows .row", has_text="holidays")).to_contain_text("2027-12-24 17:00 – 2027-12-27 05:00 UTC")
        weekly = page.locator("form", has=page.locator("#starts"))
        await weekly.locator("#weekly-cluster").select_option(stage.here.cluster.id)
        await weekly.get_by_role("checkbox", name="Fri").check()
        await weekly.locator("#starts").fill("16:00")
        await weekly.locator("#ends").fill("08:00")
        await weekly.locator("#until-day").select_option("mon")
        await weekly.locator("#weekly-zone").fill("Asia/Tokyo")
        await weekly.locator("#weekly-reason").fill("weekend")
        await weekly.get_by_role("button", name="Freeze").click()
        await expect(page.locator(".rows .row", has_text="weekend")).to_contain_text("Fri 16:00 – Mon 08:00 Asia/Tokyo")
        await page.get_by_role("button", name="Forbid break-glass").click()
        await expect(page.get_by_text("Nobody may break the glass here.")).to_be_visible()
        await page.get_by_label("Reason").first.fill("incident 42")
        await page.get_by_role("button", name="Stop all changes").click()
        await expect(page.get_by_text("Kill switch on")).to_be_visible()
        await sound(page)
        await picture(page, "changes", tmp_path)
        await page.locator(".row", has_text="holidays").get_by_role("button", name="Take it away").click()
        await expect(page.locator(".row", has_text="holidays")).to_have_count(0)
        view.expect_silence()
    async with stage.page(stage.dana, "/changes", size=PHONE, language="zh") as view:
        await expect(view.page.get_by_text("weekend")).to_be_visible()
        await expect(view.page.locator(".changes button")).to_have_count(0)
        await sound(view.page)
        view.expect_silence()
