"""A chart in a terminal: blocks, what it spans, its address, and nothing that a label could do to the screen."""

from typing import Any

from bot.cli.step_charts import chart_line

CHART: dict[str, Any] = {
    "sparkline": "▁▄█",
    "alt": "memory of web: 1 MiB – 9 MiB, limit 16 MiB",
    "png": "/api/v1/c/0/chart.png",
}


def test_a_chart_is_two_lines() -> None:
    first, second = chart_line(CHART, "http://127.0.0.1:8080").plain.split("\n")
    assert first == "    ▁▄█  memory of web: 1 MiB – 9 MiB, limit 16 MiB"
    assert second == "    http://127.0.0.1:8080/api/v1/c/0/chart.png"


def test_a_label_does_nothing_to_the_screen() -> None:
    text = chart_line({**CHART, "alt": "\x1b[2Jgone\n\u202e[bold]x" * 99}, "http://h").plain
    assert text.count("\n") == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold]" in text, "markup of Rich is text here"
    assert len(text) < 300
