"""What of an answer is for people: the same whatever the pieces in which it comes."""

import time

from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.models.visible import Visible

PIECES = (
    "All is well. ", "<think>", "</think>", "<thinking>hm</thinking>", "<tool_call>", "</tool_call>", '{"name": "kubectl"}',
    "```json\n", "1 < 2 ", "<b>", "[TOOL_CALLS]", "[", "\n", "<|python_tag|>", "text ",
)  # fmt: skip


def whole(pieces: list[str]) -> tuple[str, str]:
    visible = Visible()
    for piece in pieces:
        visible.feed(piece)
    visible.end()
    return visible.text, visible.held


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_pieces_make_no_difference(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts)
    pieces, at = list[str](), 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    assert whole(pieces) == whole([text] if text else [])


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_what_was_shown_live_is_the_text_unless_its_thinking_began_unsaid(parts: list[str]) -> None:
    visible = Visible()
    shown = "".join(visible.feed(part) for part in parts)
    visible.end()
    if "</think>" not in parts:
        assert visible.text.startswith(shown)
    if not any(mark in part for part in parts for mark in ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>")):
        assert "hm" not in visible.text + visible.held


def test_thinking_that_never_ends_is_no_answer() -> None:
    assert whole(["<think>on and ", "on and on"]) == ("", "")


def test_thinking_whose_beginning_is_left_out_is_taken_back() -> None:
    assert whole(["on and on", "</think>", "\n\nAll is well."]) == ("All is well.", "")


def test_many_beginnings_of_thinking_that_never_end_are_read_in_time() -> None:
    """It runs beside everybody else's turns. CPU time, which a busy machine does not change."""
    began = time.process_time()
    assert whole(["{" + "<think>" * 9000]) == ("", "{" + "<think>" * 9000)
    assert time.process_time() - began < 0.5


def test_a_call_behind_a_thought_is_held_back_however_it_comes() -> None:
    text = '{"name": "kubectl"}</think>All is well. <thinking>hm</thinking>{"name": "kubectl"}'
    assert whole(list(text)) == whole([text]) == ("All is well. ", '{"name": "kubectl"}')
