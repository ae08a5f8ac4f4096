"""Tokens and money of a turn in one line, for the terminal and --json. Pure."""

from collections.abc import Sequence
from typing import Any

from protocol.events import TurnFinished


def costs(finished: Sequence[TurnFinished]) -> dict[str, Any]:
    """Of all turns of a story, for --json."""
    money = sum(turn.money for turn in finished)
    return {
        "input_tokens": sum(turn.input_tokens for turn in finished),
        "output_tokens": sum(turn.output_tokens for turn in finished),
        "estimated": any(turn.estimated for turn in finished),
        "money": round(money, 6),
        "currency": next((turn.currency for turn in finished if turn.currency), ""),
        "models": list(dict.fromkeys(model or "rules" for turn in finished for model in turn.models)),
        "why": next((turn.why for turn in finished if turn.why), ""),
    }


def cost_line(turn: TurnFinished) -> str:
    """For example: 3,410 tokens (3,200 in, 210 out) · 0.0012 USD · gpt-5-mini; 0 tokens · rules only."""
    tokens = turn.input_tokens + turn.output_tokens
    named = [model or "rules" for model in turn.models]
    if not tokens and named in ([], ["rules"]):
        return "0 tokens · rules only"
    about = "about " if turn.estimated else ""
    parts = [f"{about}{tokens:,} tokens ({turn.input_tokens:,} in, {turn.output_tokens:,} out)"]
    if turn.currency:
        parts.append(f"{about}{amount(turn.money)} {turn.currency}")
    return " · ".join([*parts, ", then ".join(named)])


def amount(money: float) -> str:
    """Two decimals, and four for what is less than a cent or so: 0.0012, 1.25."""
    return f"{money:.4f}" if 0 < money < 0.1 else f"{money:.2f}"
