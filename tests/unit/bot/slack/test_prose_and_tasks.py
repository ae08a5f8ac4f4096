"""A model's Markdown behind its bar; tool calls as tasks of a stream; words in three languages."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings

from bot.slack.blocks.limits import fit
from bot.slack.blocks.prose import from_markdown
from bot.slack.blocks.rich import text
from bot.slack.blocks.tasks import STREAM_ROOM, changes, stream_size, task
from bot.slack.blocks.turn import Step, story_of
from bot.slack.words import catalogue, duration, say, sentences
from bot.web.words import catalogue as web_words
from protocol.commands import CommandResult, CommandStatus
from protocol.events import Language, ToolFinished, ToolStarted, TurnFinished
from tests.fake_slack.blocks import check_blocks
from tests.unit.bot.slack import made, sight
from tests.unit.bot.slack.hostile import EACH, hostile
from tools.answer import from_result, render

LANGUAGES: tuple[Language, ...] = get_args(Language)
SOURCES = Path(__file__).parents[4] / "bot" / "slack" / "blocks"


def elements(markdown: str) -> list[dict[str, Any]]:
    return [element for block in from_markdown(markdown) for element in block["elements"]]


def plain(element: dict[str, Any]) -> str:
    return "".join(piece.get("text", "") or plain(piece) for piece in element["elements"])


@pytest.mark.parametrize(
    ("markdown", "kinds", "words"),
    [
        ("# Title\n\nwords", ["quote", "quote"], ["Title", "words"]),
        ("a **b** *c* `d`", ["quote"], ["a b c d"]),
        ("```\nx = 1\n```", ["preformatted"], ["x = 1"]),
        ("> quoted", ["quote"], ["quoted"]),
        ("one\n\n---\n\ntwo", ["quote", "quote"], ["one", "two"]),
        ("| a | bb |\n|---|---|\n| 内存 | d |", ["preformatted"], ["a     bb\n内存  d"]),
        ("see [the docs](https://x.example/y)", ["quote"], ["see the docs (https://x.example/y)"]),
        ("![secret](https://evil.example/p.png)", ["quote"], ["secret"]),
        ("", [], []),
        ("   \n\n", [], []),
    ],
)
def test_markdown(markdown: str, kinds: list[str], words: list[str]) -> None:
    made_of = elements(markdown)
    assert [one["type"].removeprefix("rich_text_") for one in made_of] == kinds
    assert [plain(one) for one in made_of] == words


def test_lists_nest_and_count_on() -> None:
    lists = elements("1. one\n   - inner\n2. two\n\n   ```\n   code\n   ```\n3. three")
    assert [(one["type"].removeprefix("rich_text_"), one.get("indent"), one.get("offset", 0)) for one in lists] == [
        ("list", 0, 0),
        ("list", 1, 0),
        ("list", 0, 1),
        ("preformatted", None, 0),
        ("list", 0, 2),
    ]
    assert [plain(one) for one in lists] == ["one", "inner", "two", "code", "three"]


def test_styles_do_not_reach_what_a_client_would_link() -> None:
    (line,) = elements("**see https://evil.example now**")
    assert [piece.get("style") for piece in line["elements"]] == [{"bold": True}, {"code": True}, {"bold": True}]


@settings(max_examples=60, deadline=None)
@given(markdown=hostile)
def test_no_markdown_pings_or_links(markdown: str) -> None:
    blocks = from_markdown(markdown)
    for message in fit(blocks, rest={"type": "divider"}):
        check_blocks(message)
    seen = sight.blocks(blocks)
    assert (seen.pings, seen.links, seen.headers, seen.buttons) == ([], [], [], [])
    for element in (one for block in blocks for one in block["elements"]):
        assert element["type"] in ("rich_text_quote", "rich_text_preformatted") or element["border"] == 1, "all behind a bar"


def test_each_fragment_of_markdown() -> None:
    for markdown in EACH:
        seen = sight.blocks(from_markdown(markdown))
        assert (seen.pings, seen.links) == ([], []), markdown


def test_tasks_follow_the_calls() -> None:
    log = made.entries(
        ToolStarted(call="1", name="kubectl", title="kubectl get pods"),
        ToolFinished(call="1", name="kubectl", status="ok", text="x", duration_ms=1_234),
        ToolStarted(call="2", name="kubectl", title="kubectl logs x"),
        ToolFinished(call="2", name="kubectl", status="forbidden", text="no <!channel> right", duration_ms=3),
        ToolStarted(call="3", name="kubectl", title="kubectl events"),
    )
    story = story_of(log, "en")
    sent = changes(story, "en", {}, notes={"3": "reading"})
    assert [(chunk["type"], chunk.get("status")) for chunk in sent.values()] == [
        ("plan_update", None),
        ("task_update", "complete"),
        ("task_update", "error"),
        ("task_update", "in_progress"),
    ]
    assert sent["1"]["output"] == "1.2 s"
    assert sent["2"]["output"].startswith("no right · 3 ms. no \u2039!channel")
    assert sent["3"]["title"] == "kubectl events · reading"
    assert changes(story, "en", sent, notes={"3": "reading"}) == {}
    done = story_of([*log, *made.entries(TurnFinished(took_ms=5))], "en")
    later = changes(done, "en", sent)
    assert list(later) == ["", "3"]
    assert later["3"]["status"] == "error"
    assert later["3"]["output"].startswith("interrupted")


def test_why_something_failed_is_told_without_what_the_model_is_told_about_it() -> None:
    failed = CommandResult(id="1", status=CommandStatus.OFFLINE, error="No runner has connected for cluster prod yet.")
    said = render(from_result("get pods", failed))
    assert "Answer with what you have" in said
    shown = task(Step("1", "get pods", status="offline", text=said), "en")["output"]
    assert shown.endswith("No runner has connected for cluster prod yet.")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_task_holds_no_more_than_a_line(language: Language) -> None:
    for said in (*EACH, "x" * 9_000, "内" * 9_000):
        chunk = task(Step("1", said, status="failed", text=said), language, note=said)
        assert chunk["title"]
        seen = sight.Seen()
        for field in ("title", "output"):
            sight.loose(chunk[field], seen)
        assert seen.pings == []
        assert stream_size([chunk]) < STREAM_ROOM / 4


def test_the_size_of_a_stream_counts_details_twice_and_the_newest_task_once() -> None:
    old = {"type": "task_update", "id": "1", "title": "abc", "details": "de"}
    assert stream_size([old], "内") == 3 + 3 + 4
    assert stream_size([old, {**old, "details": ""}]) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_keys_agree(language: Language) -> None:
    assert set(catalogue(language)) == set(catalogue("en"))
    for key, words in catalogue(language).items():
        assert words.strip(), key
        assert set(re.findall(r"\{(\w+)\}", words)) == set(re.findall(r"\{(\w+)\}", catalogue("en")[key])), key


def test_what_the_web_says_is_not_said_twice() -> None:
    assert set(catalogue("en")) & set(web_words("en")) == set()


def test_no_key_is_left_over() -> None:
    source = "\n".join(file.read_text() for file in SOURCES.glob("*.py"))
    families = (
        "told.",
        "help.do.",
        "alert.do.",
        "alert.silence.",
        "alert.state.",
        "alert.severity.",
        "health.",
        "approval.web_only.",
    )
    left = [
        key
        for key in catalogue("en")
        if not re.search(f"[\"']{re.escape(key)}[\"']", source) and not key.startswith((*families, "approval.confirm."))
    ]
    assert left == []


def test_words() -> None:
    assert say("en", "rest_on_web") == "The rest is in the web chat"
    assert say("ja", "risk.high") == web_words("ja")["risk.high"]
    with pytest.raises(KeyError):
        say("en", "no.such.key")
    assert sentences("en", "One.", None, "Two.") == "One. Two."
    assert sentences("zh", "一", "", "二。") == "一。二。"
    assert [duration("en", ms) for ms in (0.2, 999, 1_500, 59_000, 61_000)] == ["1 ms", "999 ms", "1.5 s", "59 s", "1 min 1 s"]
    assert json.dumps(text("")) == '{"type": "text", "text": " "}'
