"""kubectl's looks: columns, ages, selectors, jsonpath, sorting, cutting."""

from datetime import UTC, datetime

import pytest

from runner.commands.answer import Answer, cut_text, result_of, safe_tree
from runner.commands.get import render_jsonpath, sort_key
from runner.commands.lines import Lines
from runner.commands.prometheus import choose_step, number
from runner.commands.render import age, columns, duration, selector_text


def test_columns_line_up_and_trail_nothing() -> None:
    text = columns(["Name", "Ready", "Age"], [["web-1", "1/1", "5d"], ["a", None, "10s"]])
    assert text == "NAME    READY   AGE\nweb-1   1/1     5d\na               10s\n"


def test_cells_stay_on_one_line() -> None:
    assert columns(["A"], [["first\nsecond"]], headings=False) == "first...\n"
    assert columns(["A", "B"], [[True, 3]], headings=False) == "true   3\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (600, "10m"), (10_800, "3h"), (11_100, "3h5m"),
        (86_400, "24h"), (86_400 * 2, "2d"), (86_400 * 3 + 3600, "3d1h"), (86_400 * 10, "10d"), (86_400 * 800, "2y70d"),
    ],
)  # fmt: skip
def test_durations_are_kubectls(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_that_is_not_known() -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert age("2026-11-19T23:59:00Z", now) == "60s"
    assert age(None, now) == "<unknown>"


def test_selectors_in_words() -> None:
    selector = {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["x", "y"]}]}
    assert selector_text(selector) == "a=1,b=2,c in (x,y)"
    assert selector_text({"app": "web"}) == "app=web"
    assert selector_text({}) == "<none>"


def test_jsonpath_writes_values_as_kubectl_does() -> None:
    document = {"items": [{"n": "a", "ok": True}, {"n": "b", "ok": False}]}
    assert render_jsonpath('{.items[*].n}{"\\n"}', document) == "a b\n"
    assert render_jsonpath("{.items[0].ok}", document) == "true"
    assert render_jsonpath("{.items[0]}", document) == '{"n":"a","ok":true}'
    assert render_jsonpath("{.nothing}", document) == ""


def test_numbers_sort_as_numbers() -> None:
    rows = [{"n": 10}, {"n": 9}, {}]
    assert sorted(rows, key=lambda row: sort_key(".n", row)) == [{}, {"n": 9}, {"n": 10}]


def test_descriptions_line_up() -> None:
    out = Lines()
    out.field("Name", "web")
    out.field("Labels", "a=1\nb=2")
    out.table("Rules", ["Host"], [["*"]])
    assert out.render() == "Name:    web\nLabels:  a=1\n         b=2\nRules:\n  Host\n  ----\n  *\n"


def test_what_is_cut_is_said_and_ends_at_a_line() -> None:
    text = "".join(f"line {n}\n" for n in range(100))
    head, cut = cut_text(text, 50)
    assert head.endswith("\n")
    assert len(head) <= 50
    assert cut == "7 of 100 lines shown"
    assert cut_text("short\n", 50) == ("short\n", "")


def test_a_cut_never_splits_a_character() -> None:
    head, cut = cut_text("é" * 100, 51)
    assert head == "é" * 25
    assert cut == "50 of 200 bytes shown"


def test_results_are_cleaned_before_they_are_redacted() -> None:
    result = result_of("c", Answer(text="pass\x00word: hunt\x1b[0mer2hunter2\u202e\n"), 1000)
    assert "hunter2" not in result.text
    assert result.redacted == 1


def test_every_text_of_a_tree_is_safe() -> None:
    tree, count = safe_tree({"a": ["token=abcdefgh12345678", {"b": "x\x07"}], "n": 1})
    assert tree == {"a": ["token=[redacted]", {"b": "x"}], "n": 1}
    assert count == 1


def test_steps_give_at_most_300_points() -> None:
    start, end = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
    step, note = choose_step(start, end, 15)
    assert 86_400 / step < 1200
    assert "instead of 15 s" in note
    assert choose_step(start, end, 3600) == (3600, "")


def test_bytes_stay_exact() -> None:
    assert number(339970255.0) == "339970255"
    assert number(0.123456789) == "0.123457"
