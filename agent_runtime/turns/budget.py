"""What a turn may use up, and which limit it has reached. Each limit ends in an answer, never in silence. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from json import dumps
from typing import Any, Literal

Limit = Literal["model_calls", "tool_calls", "tokens", "seconds", "repeats"]

IDENTICAL_CALLS = 2
"""The same call with the same arguments may be made this often in a turn; further ones are refused."""
REFUSED_REPEATS = 3
"""After so many refused repeats the tools are withdrawn."""


@dataclass(frozen=True, slots=True)
class Limits:
    model_calls: int
    tool_calls: int
    tokens: int
    seconds: float


@dataclass(slots=True)
class Budget:
    """Counts of one turn. Times are the caller's clock in seconds."""

    limits: Limits
    started: float
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    repeats: int = 0
    _seen: Counter[str] = field(default_factory=Counter[str])

    def reached(self, now: float) -> Limit | None:
        """The limit that ends the looking around, or None. One model call is always left for the answer."""
        if self.model_calls >= self.limits.model_calls - 1:
            return "model_calls"
        if self.tool_calls >= self.limits.tool_calls:
            return "tool_calls"
        if self.input_tokens + self.output_tokens >= self.limits.tokens:
            return "tokens"
        if now - self.started >= self.limits.seconds:
            return "seconds"
        return "repeats" if self.repeats >= REFUSED_REPEATS else None

    def left_s(self, now: float) -> float:
        return max(0.0, self.limits.seconds - (now - self.started))

    def count_model(self, input_tokens: int, output_tokens: int) -> None:
        self.model_calls += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens

    def take_tool(self, name: str, args: Mapping[str, Any], now: float) -> str:
        """Count a tool call. Why it may not run, for the model; "" when it may."""
        limit = self.reached(now)
        if limit in ("tool_calls", "seconds"):
            return f"Not run: the budget of this turn is used up ({limit}). Answer with what you have seen."
        key = dumps([name, dict(args)], sort_keys=True, default=str)
        self._seen[key] += 1
        if self._seen[key] > IDENTICAL_CALLS:
            self.repeats += 1
            return (
                f"Not run: the same call was made {IDENTICAL_CALLS} times in this turn. Use its result, or ask something else."
            )
        self.tool_calls += 1
        return ""
