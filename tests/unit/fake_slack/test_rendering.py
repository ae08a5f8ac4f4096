"""What a text pings and where it links, as Slack reads it: escaped text does nothing, unescaped text does what it says."""

import pytest

from tests.fake_slack import Effects, Message, effects, of_blocks, of_markdown, of_mrkdwn, shown, unfurls
from tests.fake_slack.records import Edit, Stream

MRKDWN: dict[str, Effects] = {
    "<!channel>": Effects(pings=["channel"]),
    "<!here|here> and <!everyone>": Effects(pings=["here", "everyone"]),
    "<@U123> <@W9|dana>": Effects(pings=["U123", "W9"]),
    "<!subteam^S1|@sre>": Effects(pings=["S1"]),
    "<#C1|ops>": Effects(channels=["C1"]),
    "<https://evil.example|https://good.example>": Effects(links=["https://evil.example"]),
    "<mailto:x@evil.example|mail>": Effects(links=["mailto:x@evil.example"]),
    "<!date^1700000000^{date}^https://evil.example|then>": Effects(links=["https://evil.example"]),
    "see https://evil.example/a?b=c now": Effects(links=["https://evil.example/a?b=c"]),
    "`<!channel>` in code": Effects(pings=["channel"]),
    "`https://evil.example` in code": Effects(),
    "&lt;https://evil.example|x&gt;": Effects(links=["https://evil.example"]),
    "&lt;!channel&gt; and &lt;@U123&gt;": Effects(),
    "@channel": Effects(bare_words=["channel"]),
    "mail@here.example, not@channel": Effects(),
    "a < b > c and x <- y": Effects(),
    "[text](https://x.example)": Effects(links=["https://x.example"]),
}
MARKDOWN: dict[str, Effects] = {
    "[good](https://evil.example)": Effects(links=["https://evil.example"]),
    '[good](https://evil.example "a title")': Effects(links=["https://evil.example"]),
    "![picture](https://evil.example/p.png)": Effects(links=["https://evil.example/p.png"]),
    "[good][1]\n\n[1]: https://evil.example": Effects(links=["https://evil.example"]),
    r"\<https://evil.example>": Effects(links=["https://evil.example"]),
    "<https://evil.example>": Effects(links=["https://evil.example"]),
    "https://evil.example": Effects(links=["https://evil.example"]),
    "`[good](https://evil.example)`": Effects(),
    r"\[good\](nowhere)": Effects(),
    "<!channel> <@U1>": Effects(pings=["channel", "U1"]),
    r"\<!channel>": Effects(),
    "@here": Effects(bare_words=["here"]),
}


def same(found: Effects, expected: Effects) -> None:
    assert (found.pings, found.channels, found.bare_words) == (expected.pings, expected.channels, expected.bare_words)
    assert sorted(found.links) == sorted(expected.links)


@pytest.mark.parametrize("text", MRKDWN)
def test_mrkdwn_does_what_slack_reads_in_it(text: str) -> None:
    same(of_mrkdwn(text), MRKDWN[text])


@pytest.mark.parametrize("text", MARKDOWN)
def test_markdown_does_what_slack_reads_in_it(text: str) -> None:
    same(of_markdown(text), MARKDOWN[text])


def test_plain_text_does_nothing_and_verbatim_text_links_no_bare_address() -> None:
    hostile = "<!channel> https://evil.example @here"
    assert of_blocks([{"type": "header", "text": {"type": "plain_text", "text": hostile}}]) == Effects()
    spoken = {"type": "section", "text": {"type": "mrkdwn", "text": "https://evil.example", "verbatim": True}}
    assert of_blocks([spoken]) == Effects()


def test_buttons_pictures_and_rich_text_link_and_ping_too() -> None:
    rich = [{"type": "user", "user_id": "U1"}, {"type": "broadcast", "range": "channel"}, {"type": "link", "url": "https://a"}]
    blocks = [
        {"type": "actions", "elements": [{"type": "button", "url": "https://b", "text": {"type": "plain_text", "text": "x"}}]},
        {"type": "image", "image_url": "https://c", "alt_text": "x"},
        {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": rich}]},
        {"type": "table", "rows": [[{"type": "raw_text", "text": "<!here> https://d"}]]},
    ]
    same(of_blocks(blocks), Effects(pings=["U1", "channel"], links=["https://a", "https://b", "https://c"]))


def test_bare_words_ping_when_the_caller_asks_slack_to_link_names() -> None:
    quiet = Message("C1", "1.0", "T1", "U1", "@channel look")
    assert (effects(quiet).pings, effects(quiet).bare_words) == ([], ["channel"])
    loud = Message("C1", "1.0", "T1", "U1", "@channel look", link_names=True)
    assert effects(loud).pings == ["channel"]


def test_a_stream_does_what_its_pieces_and_tasks_do_until_it_is_edited() -> None:
    stream = Stream(0, 0, "U1", "T1", "timeline")
    stream.tasks["1"] = {"id": "1", "title": "kubectl logs", "output": "[click](https://evil.example)"}
    message = Message("C1", "1.0", "T1", "U1", "<!here>", [{"type": "markdown", "text": "<!here>"}], stream=stream)
    assert (effects(message).pings, effects(message).links) == (["here"], ["https://evil.example"])
    message.edits.append(Edit(0, "", []))
    assert effects(message).pings == ["here", "here"]


def test_links_unfurl_only_where_it_is_on() -> None:
    message = Message("C1", "1.0", "T1", "U1", "https://evil.example")
    assert unfurls(message) == []
    message.unfurl_links = True
    assert unfurls(message) == ["https://evil.example"]


def test_text_is_shown_as_people_read_it() -> None:
    assert shown("a &lt;b&gt; &amp;amp; <https://x.example|here>") == "a <b> &amp; here"
