"""Model text becomes a tree of allowed nodes, whatever it tries."""

import time
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markdown import MAX_CHARACTERS, MAX_DEPTH, TAGS, Node, plain, tree

FIELDS = {"a": {"href", "host"}, "h": {"level"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}, "pre": {"lang"}}

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](java\tscript:alert(1))",
    "[click](data:text/html,<script>alert(1)</script>)",
    "[click](vbscript:x)",
    "[click](file:///etc/passwd)",
    "[click](//evil.example/x)",
    "[click](/approvals/1/decide)",
    "[click](https://)",
    "[click](https://[::1)",
    "![alt](https://evil.example/?secret=1)",
    "![](https://evil.example/x.png)",
    "[![pic](http://e.example/x.png)](javascript:alert(1))",
    "<https://evil.example/><javascript:alert(1)>",
    "[a]: javascript:alert(1)\n\n[a]",
    "<a hx-post='/approve' hx-trigger='load'>x</a>",
    "```html\n<script>alert(1)</script>\n```",
    "`<img onerror=alert(1)>`",
    "| <b onclick=1> |\n|---|\n| <script> |",
    "<!-- --><iframe src=//evil>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202egnp.exe\u202c \u200bhidden \x00nul \x1b[31mred\x1b[0m",
    "<button>Approve and run</button>",
    "<form action=/approvals/1/decide method=post>",
]


def every(nodes: list[Node]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for node in nodes:
        if not isinstance(node, str):
            found.append(node)
            found.extend(every(cast(list[Node], node.get("c", []))))
    return found


def depth(nodes: list[Node]) -> int:
    return max((1 + depth(cast(list[Node], n.get("c", []))) for n in nodes if not isinstance(n, str)), default=0)


def check(nodes: list[Node]) -> None:
    """Only allowed tags, only their fields, only http and https with their host."""
    for node in every(nodes):
        assert node["t"] in TAGS
        assert set(node) - {"t", "c"} <= FIELDS.get(node["t"], set())
        if node["t"] == "a":
            assert node["href"].startswith(("http://", "https://"))
            assert node["host"].isascii()
            assert node["host"]
    assert depth(nodes) <= MAX_DEPTH + 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_gives_only_allowed_nodes(text: str) -> None:
    check(tree(text))


@pytest.mark.parametrize("text", [t for t in HOSTILE if "evil.example" in t and t.startswith("!")])
def test_pictures_are_dropped_with_their_address(text: str) -> None:
    assert "evil.example" not in str(tree(text))


def test_the_words_of_a_picture_stay() -> None:
    assert plain(tree("see ![the graph](https://evil.example/x.png) here")) == "see the graph here"


def test_markup_is_text() -> None:
    assert plain(tree("<b>bold</b>")) == "<b>bold</b>"


def test_a_link_shows_where_it_really_leads() -> None:
    (link,) = [n for n in every(tree("[https://bank.example](https://bank.example@evil.example:8443/a)")) if n["t"] == "a"]
    assert link["host"] == "evil.example:8443"


def test_a_look_alike_host_is_shown_in_ascii() -> None:
    (link,) = [n for n in every(tree("[x](https://аpple.example/)")) if n["t"] == "a"]  # the first letter is Cyrillic
    assert link["host"].startswith("xn--")


def test_control_and_bidi_characters_are_gone() -> None:
    words = plain(tree("a\u202eb\u200bc\x00d\x1b[31me"))
    assert words == "abcde"


def test_all_that_is_allowed() -> None:
    text = "# T\n\n**b** *e* `c`\\\nx\n\n1. a\n2. b\n\n- u\n\n> q\n\n---\n\n```py\ncode\n```\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\n[l](http://a.example)"
    nodes = tree(text)
    assert {n["t"] for n in every(nodes)} == TAGS
    check(nodes)
    assert [n.get("align") for n in every(nodes) if n["t"] == "td"] == ["left", "right"]


def test_long_text_is_cut_and_says_so() -> None:
    words = plain(tree("word " * MAX_CHARACTERS))
    assert len(words) <= MAX_CHARACTERS
    assert "[cut: " in words


@pytest.mark.parametrize("piece", ["[", "![", "*a_ ", ">", "`", "<", "- ", "[a](<b", "**x", "\\", "&", "|", "((", "]["])
def test_no_text_takes_long(piece: str) -> None:
    """The cap keeps what is quadratic in the parser harmless: in CPU time, so that a busy machine counts for nothing."""
    began = time.thread_time()
    check(tree(piece * (MAX_CHARACTERS // len(piece))))
    assert time.thread_time() - began < 5


def test_deep_nesting_is_flattened_and_kept() -> None:
    text = "\n".join("  " * i + f"- level{i}" for i in range(40))
    nodes = tree(text)
    check(nodes)
    assert "level39" in plain(nodes)


@given(st.text(alphabet=st.sampled_from("ab*_`[]()<>!#|-\n\\&:/hts. \u202e\x00"), max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_text_gives_a_tree(text: str) -> None:
    check(tree(text))
