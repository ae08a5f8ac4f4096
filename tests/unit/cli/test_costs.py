"""What a turn cost, in a line and for programs."""

from typing import Any

import pytest

from bot.cli.costs import cost_line, costs
from protocol.events import TurnFinished


def turn(**fields: Any) -> TurnFinished:
    return TurnFinished(took_ms=1, **fields)


@pytest.mark.parametrize(
    ("end", "line"),
    [
        (turn(), "0 tokens · rules only"),
        (turn(models=("",)), "0 tokens · rules only"),
        (turn(input_tokens=3200, output_tokens=210, models=("big-1",)), "3,410 tokens (3,200 in, 210 out) · big-1"),
        (
            turn(input_tokens=3200, output_tokens=210, models=("big-1",), money=0.0012, currency="USD"),
            "3,410 tokens (3,200 in, 210 out) · 0.0012 USD · big-1",
        ),
        (
            turn(input_tokens=10, output_tokens=5, estimated=True, models=("big-1", ""), money=1.25, currency="EUR"),
            "about 15 tokens (10 in, 5 out) · about 1.25 EUR · big-1, then rules",
        ),
        (turn(input_tokens=10, models=("a", "b"), money=0, currency="USD"), "10 tokens (10 in, 0 out) · 0.00 USD · a, then b"),
    ],
)
def test_a_line_says_tokens_money_and_who_answered(end: TurnFinished, line: str) -> None:
    assert cost_line(end) == line


def test_programs_get_the_sum_of_all_turns() -> None:
    ends = [
        turn(input_tokens=10, output_tokens=1, models=("a",), money=0.1, currency="USD"),
        turn(input_tokens=20, output_tokens=2, models=("a", ""), money=0.2, currency="USD", estimated=True, why="it is down"),
    ]
    assert costs(ends) == {
        "input_tokens": 30,
        "output_tokens": 3,
        "estimated": True,
        "money": 0.3,
        "currency": "USD",
        "models": ["a", "rules"],
        "why": "it is down",
    }
    assert costs([]) == {
        "input_tokens": 0, "output_tokens": 0, "estimated": False, "money": 0, "currency": "", "models": [], "why": "",
    }  # fmt: skip
