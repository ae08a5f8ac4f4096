"""The approval card in each state and language: honest, the same for everybody, no button that can't count."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.approval import APPROVE, DETAILS, REJECT, card, web_only
from bot.slack.blocks.limits import LIMITS, weight
from bot.slack.blocks.modals import REASON, details_modal, reject_modal, wrong_modal
from bot.slack.blocks.parts import Message
from protocol.approval import ApprovalState
from protocol.events import Language
from tests.fake_slack.blocks import check_blocks, check_view
from tests.unit.bot.slack import made, sight
from tests.unit.bot.slack.hostile import EVERYTHING, EVERYTHING_GLUED, hostile

LANGUAGES: tuple[Language, ...] = get_args(Language)
PAGE = "https://ops.example/approvals/1"
HIGH: dict[str, Any] = {
    "risk": "high",
    "quorum": {"needed": 2, "role": "approver", "requester_may": False, "fresh_sign_in_for_last": True},
}
KEEPER: dict[str, Any] = {
    **{"kind": "argocd", "name": "shop", "detail": "It syncs by itself.", "reverts": True},
    **{"git_patch": "spec: {}", "values_hint": None},
}
FROZEN: dict[str, Any] = {"until": made.AT.isoformat(), "reason": "Black Friday"}


def shown(view: dict[str, Any], language: Language = "en", **options: Any) -> Message:
    return card(view, language=language, url=PAGE, value=lambda action: f"{view['id']}.{action}", **options)


def take(message: Message) -> sight.Seen:
    check_blocks(message.blocks)
    assert weight(message.blocks) <= LIMITS["message.sum"]
    assert 0 < len(message.text) <= LIMITS["message.text"]
    return sight.blocks(message.blocks, sight.mrkdwn(message.text))


def buttons(message: Message) -> list[str]:
    return [button["action_id"] for button in take(message).buttons]


def words(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_card_says_what_would_run(language: Language) -> None:
    view = made.approval()
    message = shown(view, language)
    said = words(message)
    for fact in (
        view["command_line"],
        view["undo_line"],
        "memory: 512Mi",
        "prod",
        "payments: 1 may go",
        "Ann",
        "Bo",
        "f0f0f0f0f0f0",
    ):
        assert fact in said
    assert f"<!date^{int(made.AT.timestamp()) + 900}^" in said
    assert "for Ann's eyes alone" not in said
    assert buttons(message) == [APPROVE, REJECT, DETAILS, OPEN_WEB]
    values = {button["action_id"]: button.get("value") for button in take(message).buttons}
    assert values[APPROVE] == f"{view['id']}.approve"
    assert values[REJECT] == f"{view['id']}.reject"


PENDING: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("low risk", {"risk": "low"}, "", [APPROVE, REJECT, DETAILS, OPEN_WEB]),
    ("medium risk", {}, "", [APPROVE, REJECT, DETAILS, OPEN_WEB]),
    ("high risk, 0 of 2", {**HIGH, "missing": 2}, "", [APPROVE, REJECT, DETAILS, OPEN_WEB]),
    ("high risk, 1 of 2", {**HIGH, "missing": 1, "decisions": [made.decided()]}, "step_up", [REJECT, DETAILS, OPEN_WEB]),
    ("its owner reverts it", {"owner": KEEPER}, "owner", [REJECT, DETAILS, OPEN_WEB]),
    ("frozen", {"freeze": FROZEN}, "frozen", [REJECT, DETAILS, OPEN_WEB]),
    ("it can't run", {"cannot_run": "the runner is read-only"}, "cannot_run", [REJECT, DETAILS, OPEN_WEB]),
    ("four-eyes is off", {"four_eyes": False, "electors": None}, "", [APPROVE, REJECT, DETAILS, OPEN_WEB]),
    ("nobody could", {"electors": []}, "", [APPROVE, REJECT, DETAILS, OPEN_WEB]),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("changed", "why", "expected"), [row[1:] for row in PENDING], ids=[row[0] for row in PENDING])
def test_pending(changed: dict[str, Any], why: str, expected: list[str], language: Language) -> None:
    view = made.approval(**changed)
    assert web_only(view) == why
    assert buttons(shown(view, language)) == expected


def test_what_holds_it_back_is_said() -> None:
    assert "Needs approval: 1 of 2" in words(shown(made.approval(**HIGH, missing=1, decisions=[made.decided()])))
    assert "fresh sign-in" in words(shown(made.approval(**HIGH, missing=1)))
    assert "A patch for Git that lasts is under Details" in words(shown(made.approval(owner=KEEPER)))
    assert "no patch for Git" in words(shown(made.approval(owner={**KEEPER, "git_patch": None})))
    assert "Black Friday" in words(shown(made.approval(freeze=FROZEN)))
    assert "the runner is read-only" in words(shown(made.approval(cannot_run="the runner is read-only")))
    assert "practice only" in words(shown(made.approval(four_eyes=False)))
    assert "an admin can give it" in words(shown(made.approval(electors=[])))


def test_the_glass_stays_broken_in_every_state() -> None:
    glass = {"by_name": "Cy", "reason": "alone at 3 am", "at": made.AT.isoformat()}
    for state in ("approved", "running", "succeeded", "unknown"):
        said = words(shown(made.approval(state=state, break_glass=glass, **made.ENDS[state])))
        assert "Cy broke the glass" in said
        assert "alone at 3 am" in said


@pytest.mark.parametrize(("risk", "asks"), [("low", False), ("medium", True), ("high", True)])
def test_approving_more_than_low_risk_asks_once_more(risk: str, asks: bool) -> None:
    approve = take(shown(made.approval(risk=risk))).buttons[0]
    assert ("confirm" in approve) == asks
    if asks:
        assert "kubectl set resources" in approve["confirm"]["text"]["text"]
    assert ("style" in approve.get("confirm", {})) == (risk == "high")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", [state.value for state in ApprovalState if state is not ApprovalState.PENDING])
def test_what_is_decided_has_no_button_that_decides(state: str, language: Language) -> None:
    view = made.approval(state=state, missing=0, **made.ENDS[state])
    message = shown(view, language, progress="waiting for 3 pods")
    assert buttons(message) == [DETAILS, OPEN_WEB]
    said = words(message)
    for fact in (view["outcome"], *view["look_at"]):
        assert fact in said
    if state in ("approved", "running"):
        assert "waiting for 3 pods" in said
    if state == "rejected":
        assert "not today" in said
        assert "Bo" in said
    assert view["command_line"] in message.text.replace("`", "")


@pytest.mark.parametrize("text", [EVERYTHING, EVERYTHING_GLUED, "x" * 30_000, "&<>" * 9_000, "内存" * 9_000, "👩" * 9_000])
def test_any_text_in_any_state(text: str) -> None:
    for state in (ApprovalState.PENDING, ApprovalState.RUNNING, ApprovalState.UNKNOWN, ApprovalState.REJECTED):
        ends = {**made.ENDS.get(state.value, {}), "outcome": text, "look_at": [text] * 9}
        decisions = [made.decided(text, reason=text, override_owner=True, break_glass=True)] * 12
        held = {
            "freeze": {**FROZEN, "reason": text},
            "break_glass": {"by_name": text, "reason": text, "at": made.AT.isoformat()},
        }
        view = made.approval(text, **{**ends, "decisions": decisions, **held}, state=state.value)
        for seen in (take(shown(view, progress=text)), look(details_modal(view, language="en"))):
            assert seen.pings == []
            assert seen.foreign == []
        assert [name for name in buttons(shown(view)) if name in (APPROVE, DETAILS)], "buttons are never cut off"
    for view in (made.approval(text, cannot_run=text), made.approval(text, owner={**KEEPER, "name": text, "detail": text})):
        assert take(shown(view)).foreign == []


@settings(max_examples=25, deadline=None)
@given(text=hostile)
def test_no_text_pings_or_links_from_a_card(text: str) -> None:
    view = made.approval(text, decisions=[made.decided(text, reason=text)], outcome=text)
    for seen in (
        take(shown(view, "ja")),
        look(details_modal(view, language="zh")),
        look(wrong_modal("m", language="en", title=text)),
    ):
        assert seen.pings == []
        assert seen.foreign == []


def look(view: dict[str, Any]) -> sight.Seen:
    check_view(view, "modal")
    return sight.blocks(view)


@pytest.mark.parametrize("language", LANGUAGES)
def test_details_hold_all_of_it(language: Language) -> None:
    view = made.approval(diff="\n".join(f"+ line {n}" for n in range(900)), decisions=[made.decided()])
    modal = details_modal(view, language=language)
    look(modal)
    said = json.dumps(modal, ensure_ascii=False)
    for fact in ("+ line 899", "spec: {}", "resources: {}", view["plan_hash"], view["undo_line"], "Bo"):
        assert fact in said
    waits = details_modal(made.approval(cannot_run="the runner is read-only", owner=KEEPER), language=language)
    assert "the runner is read-only" in json.dumps(waits, ensure_ascii=False)


@pytest.mark.parametrize("language", LANGUAGES)
def test_windows_that_ask_why(language: Language) -> None:
    for modal in (reject_modal("m", language=language, view=made.approval()), wrong_modal("m", language=language)):
        look(modal)
        assert modal["private_metadata"] == "m"
        asked = next(block for block in modal["blocks"] if block["type"] == "input")
        assert (asked["block_id"], asked["element"]["action_id"]) == (REASON, REASON)
        assert asked["element"]["max_length"] == 1_000


def test_metadata_and_values_are_refused_rather_than_cut() -> None:
    with pytest.raises(ValueError, match="3001 characters"):
        reject_modal("x" * 3_001, language="en")
    with pytest.raises(ValueError, match="2001 characters"):
        card(made.approval(), language="en", url=PAGE, value=lambda _: "x" * 2_001)
