"""What is longer than Slack takes becomes several messages that read the same; what is not text stays whole."""

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack.blocks.limits import LIMITS, MESSAGES, Block, cut_mrkdwn, fit, split, split_mrkdwn, weight
from bot.slack.blocks.parts import actions, button, context, divider, option, section
from bot.slack.blocks.rich import block_of_code, listed, paragraph, quoted, rich, text
from bot.slack.mrkdwn import code_block, escape, units
from tests.fake_slack.blocks import check_blocks
from tests.unit.bot.slack import sight
from tests.unit.bot.slack.hostile import EVERYTHING, hostile

REST = context("the rest")
TAIL = [context("what it cost"), actions(button("Open", "open"))]


def letters(value: Any) -> str:
    """All texts of blocks, one after another."""
    if isinstance(value, list):
        return "".join(letters(one) for one in cast(list[Any], value))
    if not isinstance(value, dict):
        return ""
    body = cast(Block, value)
    return str(body["text"]) if body.get("type") == "text" else "".join(letters(one) for one in body.values())


def long_paragraph(said: str, n: int) -> Block:
    return rich(paragraph(text(said * n)))


def quote_of_many(said: str, n: int) -> Block:
    return rich(quoted(*[text(said)] * (n // 6 + 1)))


def long_code(said: str, n: int) -> Block:
    return rich(block_of_code(said * n, 20_000))


def long_list(said: str, n: int) -> Block:
    return rich(listed([[text(said)]] * (n // 2 + 1), ordered=True))


def marked(said: str, _: int) -> Block:
    return section(escape(said))


def rule(_: str, __: int) -> Block:
    return divider()


makers = st.sampled_from([long_paragraph, quote_of_many, long_code, long_list, marked, rule])
any_block = st.tuples(makers, hostile, st.integers(1, 400)).map(lambda made: made[0](made[1], made[2]))


@settings(max_examples=30, deadline=None)
@given(blocks=st.lists(any_block, max_size=90))
def test_any_blocks_fit(blocks: list[Block]) -> None:
    messages = fit(blocks, rest=REST, tail=TAIL)
    assert 1 <= len(messages) <= MESSAGES
    for message in messages:
        check_blocks(message)
        assert weight(message) <= LIMITS["message.sum"]
    assert messages[-1][-2:] == TAIL
    if REST in messages[-1]:
        assert messages[-1][-3] == REST
    else:
        assert letters(messages) == letters([*blocks, *TAIL])


def test_what_fits_is_one_message_and_untouched() -> None:
    blocks = [section("one"), divider(), rich(paragraph(text("two")))]
    assert fit(blocks, rest=REST, tail=TAIL) == [[*blocks, *TAIL]]
    assert fit([], rest=REST) == [[]]


def test_51_blocks_are_two_messages() -> None:
    assert [len(message) for message in fit([divider()] * 51, rest=REST)] == [50, 1]
    assert [len(message) for message in fit([divider()] * 50, rest=REST, tail=TAIL)] == [50, 2]
    assert [len(message) for message in fit([divider()] * 500, rest=REST, tail=TAIL)] == [50, 50, 50, 50]
    assert fit([divider()] * 500, rest=REST, tail=TAIL)[-1][-3:] == [REST, *TAIL]


def test_an_ordered_list_counts_on() -> None:
    parts = split(rich(listed([[text(f"item {n} " + "x" * 200)] for n in range(100)], ordered=True, offset=3)))
    lists = [element for part in parts for element in part["elements"]]
    assert len(lists) > 3
    at = 3
    for one in lists:
        assert one["offset"] == at
        at += len(one["elements"])
    assert at == 103


def test_text_is_cut_between_lines_and_letters_stay_whole() -> None:
    parts = split(rich(block_of_code("\n".join(f"line {n}" for n in range(2_000)), 100_000)))
    assert all(letters(part).split("\n")[0].startswith("line ") for part in parts)
    parts = split(rich(paragraph(text("👩e\u0301" * 3_000))))
    assert all(not letters(part).startswith("\u0301") for part in parts)
    assert letters(parts) == "👩e\u0301" * 3_000


@settings(max_examples=60, deadline=None)
@given(said=hostile, times=st.integers(1, 300), most=st.integers(1_600, 3_000))
def test_mrkdwn_is_cut_where_nothing_breaks(said: str, times: int, most: int) -> None:
    whole = escape(said * times, 20_000)
    for part in split_mrkdwn(whole, most):
        assert units(part) <= most
        seen = sight.mrkdwn(part)
        assert seen.pings == []
        assert seen.links == []
        assert part.count("&") == sum(part.count(entity) for entity in ("&amp;", "&lt;", "&gt;"))


def test_a_code_block_that_goes_on_is_closed_and_opened() -> None:
    parts = split_mrkdwn("before\n" + code_block("\n".join(f"<line {n}>" for n in range(300)), 20_000) + "\nafter", 500)
    assert len(parts) > 5
    assert all(part.count("```") == 2 for part in parts[1:-1])
    assert all(units(part) <= 500 for part in parts)
    assert parts[-1].endswith("after")


def test_a_cut_section_ends_in_a_sign() -> None:
    made = section(escape(EVERYTHING * 20, 100_000))["text"]["text"]
    assert units(made) <= LIMITS["section.text"]
    assert made.endswith("…")
    assert cut_mrkdwn("short", 3_000) == "short"


def test_what_names_something_is_never_cut() -> None:
    with pytest.raises(ValueError, match="2001 characters"):
        button("x", "y", value="v" * 2_001)
    with pytest.raises(ValueError, match="151 characters"):
        option("x", "v" * 151)
