"""The small pure parts of the API: cursors, paging, throttling, languages, durations, paths, event shapes."""

import pytest

from bot.api.commands import seconds
from bot.api.cursors import encode, parse
from bot.api.events import event_views, severity_of
from bot.api.language import language_of
from bot.api.paging import page_after
from bot.api.throttle import Throttle
from bot.web.render import local_path
from bot.web.thread import turns_of
from control_plane.errors import Invalid, TooMany, Unavailable
from protocol.events import Language

A, B = "a" * 16, "b" * 16


def test_a_cursor_map_survives_its_encoding() -> None:
    assert parse([f"{A}:1", f"{B}:0"], encode({A: 12, B: 3})) == {A: 12, B: 3}


def test_last_event_id_never_goes_back_and_never_adds_a_conversation() -> None:
    assert parse([f"{A}:20"], encode({A: 12, B: 3})) == {A: 20}


@pytest.mark.parametrize("given", ["", "%%%", "bm90IGpzb24", "e30", encode({A: -1}), "x" * 5000])
def test_a_strange_last_event_id_resumes_from_the_parameters(given: str) -> None:
    assert parse([f"{A}:7"], given) == {A: 7}


@pytest.mark.parametrize("given", ["../etc:1", f"{A}:x", f"{A}:-1", ":1", f"{A}:{'9' * 13}", "A" * 16 + ":1"])
def test_a_strange_parameter_is_refused(given: str) -> None:
    with pytest.raises(Invalid):
        parse([given], None)


def test_a_stream_follows_eight_conversations_at_most() -> None:
    with pytest.raises(Invalid):
        parse([f"{A}:0"] * 9, None)


def test_pages_follow_each_other() -> None:
    items = [{"id": str(n)} for n in range(5)]
    first, cursor = page_after(items, None, 2)
    second, following = page_after(items, cursor, 2)
    third, end = page_after(items, following, 2)
    assert [i["id"] for i in (*first, *second, *third)] == ["0", "1", "2", "3", "4"]
    assert end is None


def test_an_unknown_cursor_is_past_the_end() -> None:
    assert page_after([{"id": "1"}], "gone", 5) == ([], None)


def test_the_throttle_opens_again() -> None:
    now = [0.0]
    throttle = Throttle(2, 60, clock=lambda: now[0])
    throttle.take("here")
    throttle.take("here")
    with pytest.raises(TooMany, match="61 seconds"):
        throttle.take("here")
    throttle.take("there")
    now[0] = 60.0
    throttle.take("here")


def test_the_throttle_forgets_the_oldest_key() -> None:
    throttle = Throttle(1, 60, keys=2, clock=lambda: 0.0)
    for key in ("a", "b", "c"):
        throttle.take(key)
    throttle.take("a")
    with pytest.raises(TooMany):
        throttle.take("c")


@pytest.mark.parametrize(
    ("text", "otherwise", "language"),
    [
        ("why does payments keep restarting?", "ja", "en"),
        ("payments 为什么一直重启?", "en", "zh"),
        ("payments はなぜ再起動するの?", "en", "ja"),
        ("再起動 原因", "ja", "ja"),
        ("???", "zh", "zh"),
    ],
)
def test_the_language_of_a_question(text: str, otherwise: Language, language: Language) -> None:
    assert language_of(text, otherwise) == language


@pytest.mark.parametrize(("text", "value"), [("30s", 30.0), ("500ms", 0.5), ("2m", 120.0), (15, 15.0), ("15", 15.0)])
def test_durations(text: str | int, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "-1s", "3h", "0s", "121s", "1e3", "10 s", "99999"])
def test_strange_durations(text: str) -> None:
    with pytest.raises(Invalid):
        seconds(text)


FOREIGN = ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "", "/a\r\nSet-Cookie: x"]


@pytest.mark.parametrize("path", FOREIGN)
def test_only_our_own_paths_are_gone_to(path: str) -> None:
    assert local_path(path) == "/"


def test_our_own_path_is_kept() -> None:
    assert local_path("/c/abc") == "/c/abc"


def test_an_event_in_the_shape_of_the_agent_manager() -> None:
    (event,) = event_views(
        A,
        '{"kind":"List","items":[{"metadata":{"name":"p.1","namespace":"shop"},"type":"Warning","reason":"OOMKilling",'
        '"message":"killed","count":3,"involvedObject":{"kind":"Pod","namespace":"shop","name":"p"},'
        '"lastTimestamp":"2026-11-20T12:00:00Z"}]}',
    )
    assert event["cluster_id"] == A
    assert (event["severity"], event["object"], event["count"]) == ("critical", "Pod/shop/p", 3)
    assert event["timestamp"] == "2026-11-20T12:00:00Z"


def test_events_that_were_cut_say_what_to_do() -> None:
    with pytest.raises(Unavailable, match="Name a namespace"):
        event_views(A, '{"items":[{"metadata"')


@pytest.mark.parametrize(
    ("reason", "kind", "severity"),
    [
        ("CrashLoopBackOff", "Warning", "critical"),
        ("FailedMount", "Warning", "high"),
        ("Unhealthy", "Warning", "medium"),
        ("Pulled", "Normal", "low"),
    ],
)
def test_severity(reason: str, kind: str, severity: str) -> None:
    assert severity_of(reason, kind) == severity


def test_a_log_as_turns() -> None:
    def entry(seq: int, **event: object) -> dict[str, object]:
        return {"seq": seq, "turn": "t1", "event": event, "tree": ["done"] if event["type"] == "model_message" else None}

    (turn,) = turns_of(
        [
            entry(1, type="user_message", text="why?", by_name="Dana"),
            entry(2, type="turn_started", offline=True, model="offline"),
            entry(3, type="tool_started", call="c1", title="kubectl get pods"),
            entry(4, type="tool_finished", call="c1", status="ok", text="NAME"),
            entry(5, type="model_message", text="", tool_calls=["x"], final=False),
            entry(6, type="approval_requested", approval="a1"),
            entry(7, type="approval_requested", approval="a1"),
            entry(8, type="model_message", text="done", tool_calls=[], final=True),
            entry(9, type="something_new"),
            entry(10, type="turn_finished"),
        ]
    )
    assert (turn["state"], turn["answer"], turn["approvals"]) == ("finished", ["done"], ["a1"])
    assert turn["steps"] == [{"call": "c1", "title": "kubectl get pods", "status": "ok", "text": "NAME"}]
