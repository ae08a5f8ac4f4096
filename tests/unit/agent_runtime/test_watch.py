"""Watching a plan after it ran: healthy and worse have to be seen twice; silence is not health."""

from collections.abc import Sequence
from typing import Literal

import pytest

from agent_runtime.actions.watch import Watched, watch
from protocol.commands import REVERTED, CheckOutcome

Seen = Literal["healthy", "waiting", "worse", "unknown", "silence"]


async def watched(*seen: Seen, timeout_s: float = 5) -> tuple[Watched, list[str]]:
    """The last one is seen for ever."""
    left: list[Seen] = list(seen)
    said: list[str] = []

    async def check() -> CheckOutcome | None:
        now = left.pop(0) if len(left) > 1 else left[0]
        return None if now == "silence" else CheckOutcome(outcome=now, message=f"it is {now}")

    async def progress(note: str) -> None:
        said.append(note)

    return await watch(check, timeout_s=timeout_s, progress=progress, every_s=0.001), said


@pytest.mark.parametrize(
    ("seen", "end"),
    [
        (("waiting", "healthy", "healthy"), "healthy"),
        (("healthy", "waiting", "healthy", "healthy"), "healthy"),
        (("worse", "worse"), "worse"),
        (("worse", "healthy", "healthy"), "healthy"),
        (("silence", "silence", "healthy", "healthy"), "healthy"),
    ],
)
async def test_an_end_is_seen_twice_in_a_row(seen: Sequence[Seen], end: str) -> None:
    assert (await watched(*seen))[0].end == end


@pytest.mark.parametrize(("seen", "end"), [("waiting", "timeout"), ("silence", "unanswered"), ("unknown", "unanswered")])
async def test_when_its_time_is_over_it_says_what_was_seen_last(seen: Seen, end: str) -> None:
    found, _ = await watched(seen, timeout_s=0.02)
    assert found.end == end
    assert found.message


@pytest.mark.parametrize("seen", ["healthy", "worse"])
async def test_after_a_crash_that_took_all_its_time_what_is_seen_twice_counts(seen: Seen) -> None:
    assert (await watched(seen, timeout_s=0))[0].end == seen
    assert (await watched(seen, "waiting", timeout_s=0))[0].end == "timeout"


async def test_progress_is_said_when_it_changes_only() -> None:
    _, said = await watched("waiting", "waiting", "waiting", "healthy", "healthy")
    assert said == ["it is waiting", "it is healthy"]


async def test_what_was_taken_back_is_its_own_end() -> None:
    """Nothing is left to undo: an undo would be refused, and the card would tell of a failure that was none."""

    async def check() -> CheckOutcome:
        return CheckOutcome(outcome="worse", code=REVERTED, message="it was taken back")

    async def progress(_: str) -> None:
        return

    found = await watch(check, timeout_s=5, progress=progress, every_s=0.001)
    assert found == Watched("reverted", "it was taken back")
