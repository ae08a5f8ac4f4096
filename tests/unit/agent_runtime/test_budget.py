"""Budgets: which limit is reached when, and that the last model call is always kept for the answer."""

import pytest

from agent_runtime.turns.budget import IDENTICAL_CALLS, REFUSED_REPEATS, Budget, Limit, Limits

LIMITS = Limits(model_calls=3, tool_calls=2, tokens=100, seconds=10)


def budget() -> Budget:
    return Budget(LIMITS, started=100.0)


def test_nothing_is_reached_at_the_start() -> None:
    assert budget().reached(100.0) is None


@pytest.mark.parametrize(
    ("limit", "model_calls", "tokens", "tools", "now"),
    [
        ("model_calls", 2, 0, 0, 100.0),
        ("tokens", 1, 100, 0, 100.0),
        ("tool_calls", 1, 0, 2, 100.0),
        ("seconds", 0, 0, 0, 110.0),
    ],
)
def test_each_limit_ends_the_looking_around(limit: Limit, model_calls: int, tokens: int, tools: int, now: float) -> None:
    used = budget()
    for n in range(model_calls):
        used.count_model(tokens if n == 0 else 0, 0)
    for n in range(tools):
        assert used.take_tool("kubectl", {"command": str(n)}, 100.0) == ""
    assert used.reached(now) == limit


def test_one_model_call_is_left_for_the_answer() -> None:
    used = budget()
    used.count_model(0, 0)
    used.count_model(0, 0)
    assert used.reached(100.0) == "model_calls"
    assert used.model_calls < LIMITS.model_calls


def test_a_tool_call_over_the_limit_is_refused_with_words() -> None:
    used = budget()
    used.take_tool("kubectl", {"command": "a"}, 100.0)
    used.take_tool("kubectl", {"command": "b"}, 100.0)
    assert "Answer with what you have seen" in used.take_tool("kubectl", {"command": "c"}, 100.0)


def test_the_same_call_is_refused_after_a_few_times_and_then_the_tools_go() -> None:
    used = Budget(Limits(model_calls=50, tool_calls=50, tokens=100, seconds=10), started=0.0)
    for _ in range(IDENTICAL_CALLS):
        assert used.take_tool("kubectl", {"command": "get pods", "x": 1}, 0.0) == ""
    for _ in range(REFUSED_REPEATS):
        assert "same call" in used.take_tool("kubectl", {"x": 1, "command": "get pods"}, 0.0)
    assert used.reached(0.0) == "repeats"
    assert used.take_tool("kubectl", {"command": "get nodes"}, 0.0) == ""


def test_arguments_that_are_no_json_numbers_are_counted_all_the_same() -> None:
    assert budget().take_tool("prometheus", {"minutes": float("nan")}, 100.0) == ""
