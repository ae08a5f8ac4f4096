"""Text of others in mrkdwn, plain text and streams: shown, and nothing else."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings

from bot.slack import mrkdwn
from bot.slack.mrkdwn import units
from tests.unit.bot.slack import sight
from tests.unit.bot.slack.hostile import EACH, EVERYTHING, hostile

WAYS: dict[str, Callable[[str, int], str]] = {
    "escape": mrkdwn.escape,
    "line": mrkdwn.line,
    "code": mrkdwn.code,
    "code_block": mrkdwn.code_block,
    "quote": mrkdwn.quote,
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_pings_links_or_draws(way: str) -> None:
    for text in EACH:
        seen = sight.mrkdwn(WAYS[way](text, 2_000))
        assert (seen.pings, seen.links, seen.emoji) == ([], [], []), text


@settings(max_examples=150, deadline=None)
@given(text=hostile)
def test_no_text_pings_links_or_draws(text: str) -> None:
    for way in WAYS.values():
        seen = sight.mrkdwn(way(text, 500))
        assert (seen.pings, seen.links, seen.emoji) == ([], [], [])
    shown = sight.Seen()
    sight.loose(mrkdwn.plain(text, 150), shown)
    assert (shown.pings, shown.links, shown.emoji) == ([], [], [])
    assert sight.formats(mrkdwn.escape(text)) == []


@settings(max_examples=100, deadline=None)
@given(text=hostile, more=hostile)
def test_what_is_streamed_grows_at_its_end_only(text: str, more: str) -> None:
    assert mrkdwn.streamed(text + more).startswith(mrkdwn.streamed(text))
    streamed = mrkdwn.streamed(text)
    seen = sight.Seen()
    sight.loose(streamed, seen)
    assert seen.pings == []
    assert "<" not in streamed
    assert "](" not in streamed
    assert "://" not in streamed


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", [10, 11, 12, 40, 300])
def test_limits_count_what_goes_to_slack(way: str, limit: int) -> None:
    for text in ("&" * 500, "👩" * 500, "a" * 500, "https://a.example/" + "&" * 500, EVERYTHING):
        told = WAYS[way](text, limit)
        assert units(told) <= limit
        assert not told.encode("utf-16-le").decode("utf-16-le").endswith(("&", "&a", "&am", "&amp"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a < b && c > d", "a &lt; b &amp;&amp; c &gt; d"),
        ("see https://x.example/a?b=c&d=e.", "see `https://x.example/a?b=c&amp;d=e`."),
        ("请看https://x.example，谢谢", "请看 `https://x.example，谢谢`"),
        ("<!channel>", "&lt;!channel&gt;"),
        ("at 10:30:22 a_b_c is 5*3", "at 10:30:22 a_b_c is 5*3"),
        ("one\n\n\n\n\ntwo", "one\n\ntwo"),
        ("payments.shop.svc", "`payments.shop.svc`"),
        ("v1.28.3 at 10.0.0.1:8080", "v1.28.3 at 10.0.0.1:8080"),
        ("\x1b[31mred\x1b[0m \u202egnp", "red gnp"),
    ],
)
def test_it_reads_as_it_was(text: str, shown: str) -> None:
    assert mrkdwn.escape(text) == shown


def test_code_is_to_the_letter_but_for_back_ticks() -> None:
    assert mrkdwn.code("kubectl get po -l 'a in (b)'") == "`kubectl get po -l 'a in (b)'`"
    assert mrkdwn.code("a`b") == "`a\u02cbb`"
    assert mrkdwn.code("") == "` `"
    assert mrkdwn.code_block("x\n```\n<!channel>") == "```\nx\n\u02cb\u02cb\u02cb\n&lt;!channel&gt;\n```"


def test_links_are_ours_alone() -> None:
    assert (
        mrkdwn.link("https://ops.example/c/1?a=1&b=2", "Open | <it>")
        == "<https://ops.example/c/1?a=1&amp;b=2|Open ¦ &lt;it&gt;>"
    )
    for url in ("javascript:alert(1)", "ftp://x", "//x", "https://", "https://a.example/\u202e", ""):
        with pytest.raises(ValueError, match="not an http"):
            mrkdwn.link(url, "x")
    assert sight.mrkdwn(mrkdwn.link("https://ops.example/>|<!channel>", "<!here>|x")).pings == []


def test_dates_keep_their_fallback_inside() -> None:
    told = mrkdwn.date(1_700_000_000, "then|<!channel>^x")
    assert sight.mrkdwn(told).pings == []
    assert told.startswith("<!date^1700000000^{date_short_pretty} {time_secs}|then")


@pytest.mark.parametrize("text", ["<" * 200_000, "a." * 100_000, "`" * 200_000, ":" * 200_000, "a@" * 100_000, ">" * 200_000])
def test_the_time_is_linear(text: str) -> None:
    began = time.perf_counter()
    mrkdwn.escape(text)
    mrkdwn.plain(text, 150)
    mrkdwn.code_block(text)
    assert time.perf_counter() - began < 2
