"""How often Slack is called, and what a stream is told: pure, on a clock that the test moves."""

from datetime import UTC, datetime

from bot.slack.work.pace import Pace
from bot.slack.work.streams import Shown
from protocol.events import LogEntry, ModelMessage, TextDelta, ToolFinished, ToolStarted


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_so_many_a_minute_and_workspace() -> None:
    clock = Clock()
    pace = Pace(clock, a_minute={"chat.update": 2})
    assert [pace.take("T1", "chat.update") for _ in range(2)] == [0, 0]
    clock.now += 20
    assert pace.take("T1", "chat.update") == 40
    assert pace.spare("T1", "chat.update") == 0
    assert pace.take("T2", "chat.update") == 0, "another workspace has its own"
    assert pace.take("T1", "chat.postMessage") == 0, "what has no limit is not counted"
    clock.now += 40
    assert pace.spare("T1", "chat.update") == 1
    assert pace.take("T1", "chat.update") == 0


def test_what_slack_refused_waits_as_long_as_it_said() -> None:
    clock = Clock()
    pace = Pace(clock, a_minute={})
    pace.refused("T1", "chat.postMessage", 7)
    pace.refused("T1", "chat.postMessage", 3)
    assert pace.take("T1", "chat.postMessage") == 7
    clock.now += 7
    assert pace.take("T1", "chat.postMessage") == 0


def test_what_is_shown_before_it_is_whole_can_be_made_whole_within_the_minute() -> None:
    clock = Clock()
    pace = Pace(clock, a_minute={"chat.update": 10})
    assert [pace.promise("T1") for _ in range(5)] == [True] * 4 + [False], "some are left for cards"
    assert pace.promise("T2")
    assert pace.take("T1", "chat.update") == 0
    pace.kept("T1")
    assert not pace.promise("T1"), "the minute's update is used up"
    clock.now += 60
    assert pace.promise("T1")


def test_a_channel_rests_a_second_between_posts() -> None:
    clock = Clock()
    pace = Pace(clock)
    assert pace.post_wait_s("T1", "C1") == 0
    pace.posted("T1", "C1")
    clock.now += 0.25
    assert pace.post_wait_s("T1", "C1") == 0.75
    assert pace.post_wait_s("T1", "C2") == 0


def entry(seq: int, event: ModelMessage | ToolStarted | ToolFinished) -> LogEntry:
    return LogEntry(conversation="c" * 16, seq=seq, turn="t" * 16, at=datetime.now(UTC), event=event)


def delta(text: str, offset: int) -> TextDelta:
    return TextDelta(turn="t" * 16, text=text, offset=offset)


def said(shown: Shown) -> str:
    draft = shown.draft()
    if draft is None:
        return ""
    shown.has(draft)
    return "".join(str(chunk["text"]) for chunk in draft.chunks if chunk["type"] == "markdown_text")


def tasks(shown: Shown) -> list[tuple[str, str]]:
    draft = shown.draft()
    if draft is None:
        return []
    shown.has(draft)
    return [(str(chunk["title"]), str(chunk["status"])) for chunk in draft.chunks if chunk["type"] == "task_update"]


def test_a_stream_is_told_each_thing_once() -> None:
    shown = Shown()
    shown.take(entry(1, ToolStarted(call="c1", name="kubectl", title="kubectl get pods")))
    assert tasks(shown) == [("kubectl get pods", "in_progress")]
    assert tasks(shown) == []
    shown.take(entry(2, ToolFinished(call="c1", name="kubectl", status="ok", text="")))
    assert tasks(shown) == [("kubectl get pods", "complete")]
    shown.write(delta("It re", 0))
    shown.write(delta("starts", 5))
    assert said(shown) == "It restarts"
    assert said(shown) == ""
    shown.write(delta(" often.", 11))
    assert said(shown) == " often."


def test_what_slack_did_not_take_is_told_again() -> None:
    shown = Shown()
    shown.write(delta("words", 0))
    lost = shown.draft()
    assert lost is not None
    again = shown.draft()
    assert again is not None
    assert again.chunks == lost.chunks


def test_text_that_was_missed_comes_with_the_whole_message_and_the_next_one_below() -> None:
    shown = Shown()
    shown.write(delta("Let me ", 0))
    assert said(shown) == "Let me "
    shown.write(delta("look closer", 99))  # something between was lost
    shown.take(entry(1, ModelMessage(text="Let me see.")))
    assert said(shown) == "see.\n\n"
    shown.write(delta("It is fine.", 0))
    assert said(shown) == "It is fine."


def test_a_stream_never_holds_more_than_slack_takes_nor_anything_that_pings() -> None:
    shown = Shown()
    shown.write(delta("<!channel> <@U1> " + "wörter " * 5_000, 0))
    whole = said(shown)
    assert 4_000 < len(whole.encode()) <= 9_000
    assert "<!channel>" not in whole
    assert "<@U1>" not in whole
    shown.take(entry(1, ToolStarted(call="c1", name="kubectl", title="x" * 200)))
    assert said(shown) == ""
