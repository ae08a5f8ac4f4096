"""Tokens and money of a turn in one line, as on the web. Pure."""

from bot.slack.words import Language, say
from protocol.events import TurnFinished


def cost_line(turn: TurnFinished, language: Language) -> str:
    """For example: 3,410 tokens (3,200 in, 210 out) · 0.0012 USD · gpt-5-mini. Not escaped."""
    tokens = turn.input_tokens + turn.output_tokens
    if not tokens and not any(turn.models):
        return say(language, "usage.none")
    values = {"n": f"{tokens:,}", "in": f"{turn.input_tokens:,}", "out": f"{turn.output_tokens:,}"}
    parts = [say(language, "usage.about" if turn.estimated else "usage.tokens", **values)]
    if turn.currency:
        parts.append(f"{_amount(turn.money)} {turn.currency}")
    models = " → ".join(model or say(language, "usage.rules") for model in turn.models)
    return " · ".join(part for part in (*parts, models) if part)


def _amount(money: float) -> str:
    return f"{money:,.4f}" if 0 < money < 0.1 else f"{money:,.2f}"
