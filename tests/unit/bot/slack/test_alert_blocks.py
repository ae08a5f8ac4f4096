"""An alert group's message, the digest, the Home tab, lists and notices."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from bot.slack.blocks import notices
from bot.slack.blocks.alert import (
    ACKNOWLEDGE,
    FOLLOW,
    SILENCE,
    UNACKNOWLEDGE,
    UNFOLLOW,
    WRONG,
    AlertView,
    alert,
    digest,
    ranked,
    read_silence,
)
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.help import approvals_message, clusters_message, help_message, status_message
from bot.slack.blocks.home import home, stranger_home
from bot.slack.blocks.limits import LIMITS, MESSAGES, weight
from bot.slack.blocks.parts import Message
from bot.slack.words import say
from protocol.events import Language
from tests.fake_slack.blocks import check_blocks, check_view
from tests.unit.bot.slack import made, sight
from tests.unit.bot.slack.hostile import EVERYTHING, EVERYTHING_GLUED, hostile

LANGUAGES: tuple[Language, ...] = get_args(Language)


def take(message: Message) -> sight.Seen:
    check_blocks(message.blocks)
    assert weight(message.blocks) <= LIMITS["message.sum"]
    assert 0 < len(message.text) <= LIMITS["message.text"]
    return sight.blocks(message.blocks, sight.mrkdwn(message.text))


def words(message: Message) -> str:
    return json.dumps(message.blocks, ensure_ascii=False)


def shown(view: AlertView, language: Language = "en", url: str = made.URL) -> Message:
    return alert(view, language=language, url=url, value=lambda action: f"g.{action}")


def pressed(message: Message) -> list[str]:
    return [element["action_id"] for block in message.blocks if block["type"] == "actions" for element in block["elements"]]


STATES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("firing", {}, [ACKNOWLEDGE, WRONG, FOLLOW, SILENCE, OPEN_WEB]),
    ("in hand", {"acknowledged_by_name": "Bo", "acknowledged_at": made.AT}, [UNACKNOWLEDGE, WRONG, FOLLOW, SILENCE, OPEN_WEB]),
    ("followed", {"following": True}, [ACKNOWLEDGE, WRONG, UNFOLLOW, SILENCE, OPEN_WEB]),
    ("wrong", {"wrong_by_name": "Bo", "wrong_at": made.AT}, [ACKNOWLEDGE, FOLLOW, SILENCE, OPEN_WEB]),
    ("resolved", {"state": "resolved", "resolved_at": made.AT, "firing": 0}, [WRONG, FOLLOW, OPEN_WEB]),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("changed", "expected"), [row[1:] for row in STATES], ids=[row[0] for row in STATES])
def test_buttons_of_a_group(changed: dict[str, Any], expected: list[str], language: Language) -> None:
    message = shown(made.alert(**changed), language)
    take(message)
    assert pressed(message) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_group_says(language: Language) -> None:
    view = made.alert(alerts=14, cause="the limit is too low", **made.MARKED)
    said = words(shown(view, language))
    for fact in ("Memory of payments near its limit", "ContainerMemoryHigh", "team=Memory", "prod / shop", "a test", "Bo"):
        assert fact in said
    assert "the limit is too low" in said
    assert said.count("ContainerMemoryHigh") == 10
    assert f"<!date^{int(made.AT.timestamp())}^" in said
    assert "Memory of payments near its limit" in shown(view, language).text


def test_silences_are_read_back() -> None:
    menus = [made.alert(), made.alert(silenced_by_name="Bo", silenced_until_resolved=True)]
    read: list[list[Any]] = []
    for view in menus:
        menu = next(
            one for block in shown(view).blocks if block["type"] == "actions" for one in block["elements"] if "options" in one
        )
        read.append([read_silence(option["value"]) for option in menu["options"]])
    assert read[0] == [("1h", f"g.{SILENCE}"), ("4h", f"g.{SILENCE}"), ("resolved", f"g.{SILENCE}")]
    assert read[1][-1] == ("off", f"g.{SILENCE}")
    for value in ("", "2h x", "1hx", "\n1h x"):
        assert read_silence(value) is None


def test_the_worst_that_fires_comes_first() -> None:
    old = made.AT - timedelta(hours=1)
    groups = [
        made.alert(id="resolved", state="resolved"),
        made.alert(id="odd", severity="page"),
        made.alert(id="warning", severity="warning"),
        made.alert(id="old", opened_at=old),
        made.alert(id="new"),
    ]
    assert [view.id for view in ranked(groups)] == ["new", "old", "warning", "odd", "resolved"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_digest_holds_many_groups(language: Language) -> None:
    groups = [made.alert(title=f"Group {n}") for n in range(60)]
    messages = digest(groups, language=language, url=lambda view: f"{made.URL}#{view.id}")
    assert len(messages) > 1
    said = "".join(words(message) for message in messages)
    for message in messages:
        assert take(message).foreign == []
    assert "Group 59" in said
    assert "60" in messages[0].text
    many = digest(groups * 6, language=language, url=lambda _: made.URL)
    assert len(many) == MESSAGES
    assert say(language, "rest_on_web") in words(many[-1])
    assert digest([], language=language, url=lambda _: "")[0].blocks


def page(_: object) -> str:
    return made.URL


def everything(text: str, language: Language) -> list[Message]:
    group = made.alert(
        text, alerts=12, acknowledged_by_name=text, acknowledged_at=made.AT, wrong_by_name=text, wrong_reason=text
    )
    silenced = replace(group, silenced_by_name=text, silenced_until=made.AT, state=text, severity=text, resolved_at=made.AT)
    url = page
    lists = ([made.cluster(text, health=text)] * 20, [group] * 20, [made.approval(text)] * 20)
    return [
        *(shown(view, language) for view in (group, silenced)),
        *digest([group] * 60, language=language, url=url),
        clusters_message(lists[0], language),
        approvals_message(lists[2], language, url),
        status_message(lists[0], lists[1], 3, language, url=url),
        notices.refused(text, language),
        notices.already_decided(language, by=text, at=made.AT, state=text),
        notices.choose_cluster(language, [(str(n), text) for n in range(3)], str),
        notices.choose_cluster(language, [(str(n), text) for n in range(120)], str),
    ]


def tab(text: str, language: Language) -> dict[str, Any]:
    return home(
        clusters=[made.cluster(text, health=text)] * 30,
        alerts=[made.alert(text)] * 30,
        approvals=[made.approval(text)] * 30,
        language=language,
        public_url="https://ops.example",
        alert_url=lambda _: made.URL,
        approval_url=lambda _: made.URL,
        note=text,
    )


@pytest.mark.parametrize("text", [EVERYTHING, EVERYTHING_GLUED, "内存" * 5_000, "&👩" * 5_000])
def test_any_text_anywhere(text: str) -> None:
    for message in everything(text, "ja"):
        seen = take(message)
        assert seen.pings == []
        assert seen.foreign == []
    check_view(tab(text, "zh"), "home")
    seen = sight.blocks(tab(text, "zh"))
    assert seen.pings == []
    assert seen.foreign == []


@settings(max_examples=15, deadline=None)
@given(text=hostile)
def test_no_text_pings_or_links_from_lists(text: str) -> None:
    for message in everything(text, "en"):
        seen = take(message)
        assert seen.pings == []
        assert seen.foreign == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_home(language: Language) -> None:
    view = tab("", language)
    check_view(view, "home")
    said = json.dumps(view, ensure_ascii=False)
    for fact in ("prod", "kubectl set resources", "Memory of payments", "https://ops.example"):
        assert fact in said
    empty = home(
        clusters=[],
        alerts=[],
        approvals=[],
        language=language,
        public_url="https://ops.example",
        alert_url=page,
        approval_url=page,
    )
    check_view(empty, "home")
    stranger = stranger_home(language, "https://ops.example/slack/link?t=1")
    check_view(stranger, "home")
    assert sight.blocks(stranger).links == ["https://ops.example/slack/link?t=1"]


def test_what_somebody_may_not_count_is_not_told() -> None:
    partial = made.cluster(node_count=None, pod_count=None, summary={})
    assert "nodes" not in words(clusters_message([partial], "en"))
    assert "3 nodes, 40 pods" in words(clusters_message([made.cluster()], "en"))
    assert "offline" in words(clusters_message([made.cluster(online=False)], "en"))
    assert "Kill switch on" in words(clusters_message([made.cluster(kill_switch=True)], "en"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("which", get_args(notices.Notice))
def test_each_notice_has_words(which: notices.Notice, language: Language) -> None:
    assert take(notices.notice(which, language)).foreign == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_told_to_one_person(language: Language) -> None:
    late = notices.already_decided(language, by="Bo", at=made.AT, state="approved")
    assert "Bo" in late.text
    assert f"<!date^{int(made.AT.timestamp())}^" in late.text
    assert "{" not in notices.already_decided(language, by="", at=None, state="expired").text
    for message in (notices.step_up(language, made.URL), notices.unknown_user(language, made.URL)):
        assert take(message).links == [made.URL]
    assert take(notices.unknown_user(language, "")).buttons == []
    helped = help_message(language, public_url="https://ops.example")
    take(helped)
    for verb in ("ask", "status", "clusters", "approvals", "help"):
        assert f"/opsthread {verb}" in words(helped)


def test_clusters_to_choose_from_are_buttons_or_a_menu() -> None:
    few = notices.choose_cluster("en", [("1", "prod"), ("2", "stage")], lambda one: f"q.{one}")
    assert pressed(few) == ["choose_cluster:0", "choose_cluster:1"]
    assert [button["value"] for button in take(few).buttons] == ["q.1", "q.2"]
    many = notices.choose_cluster("en", [(str(n), f"c{n}") for n in range(40)], lambda one: f"q.{one}")
    take(many)
    assert pressed(many) == ["choose_cluster"]
