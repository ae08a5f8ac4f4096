"""What waits is tried again later and later, and given up at last."""

from agent_runtime.patience import FIRST_PAUSE_S, GROWTH, MOST_TRIES, Patience


def test_it_is_tried_at_once_then_after_growing_pauses_and_then_no_more() -> None:
    now = 0.0
    patience = Patience(lambda: now)
    tried: list[float] = []
    while now < 200_000:
        if patience.due(["a"]):
            tried.append(now)
        now += 5
    assert len(tried) == MOST_TRIES
    assert tried[:3] == [0, FIRST_PAUSE_S, FIRST_PAUSE_S * (1 + GROWTH)]


def test_what_waits_no_longer_is_forgotten_and_begins_anew() -> None:
    patience = Patience(lambda: 0.0)
    assert patience.due(["a", "b"]) == ("a", "b")
    assert patience.due(["a", "b"]) == ()
    assert patience.due(["b"]) == ()
    assert patience.due(["a", "b"]) == ("a",)
