"""Live text: pieces are put together, offsets have no gap, a message that begins again begins at 0."""

import asyncio

from agent_runtime.turns.live import LiveNotes, LiveText
from protocol.events import Live, LiveProgress, TextDelta


async def test_pieces_are_coalesced_and_nothing_is_lost() -> None:
    sent: list[TextDelta] = []
    there = asyncio.Event()

    async def publish(live: Live) -> None:
        assert isinstance(live, TextDelta)
        sent.append(live)
        there.set()

    text = LiveText("t", publish, every_s=0.01)
    for piece in ["It ", "is ", "fine"]:
        text.feed(piece)
    await asyncio.wait_for(there.wait(), 5)
    text.feed(".")
    await text.next_message()
    text.feed("Again")
    await text.close()
    assert [(d.offset, d.text) for d in sent] == [(0, "It is fine"), (10, "."), (0, "Again")]


async def test_notes_never_block_and_are_published_in_order() -> None:
    sent: list[str] = []
    done = asyncio.Event()

    async def publish(live: Live) -> None:
        assert isinstance(live, LiveProgress)
        sent.append(live.note)
        if len(sent) == 2:
            done.set()

    notes = LiveNotes("t", publish)
    for n in range(2):
        notes.say("call", f"note {n}")
    await asyncio.wait_for(done.wait(), 5)
    for n in range(1000):
        notes.say("call", f"more {n}")
    await notes.close()
    assert sent[:2] == ["note 0", "note 1"]
