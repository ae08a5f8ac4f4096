"""Descriptions are label and value pairs in nested sections. Pure."""

from collections.abc import Iterable
from typing import Any, cast

from runner.commands.render import labels_text

NONE = "<none>"


class Lines:
    """Collects a description: values of one block line up, as in `kubectl describe`."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, str, str | None]] = []

    def field(self, label: str, value: Any, depth: int = 0) -> None:
        """`Label:   value`; further lines of the value line up under the first."""
        first, *more = str(NONE if value in (None, "", [], {}) else value).splitlines() or [NONE]
        self._rows.append((depth, f"{label}:", first))
        for line in more:
            self._rows.append((depth, "", line))

    def fields(self, pairs: Iterable[tuple[str, Any]], depth: int = 0, *, skip_empty: bool = False) -> None:
        for label, value in pairs:
            if not (skip_empty and value in (None, "", [], {})):
                self.field(label, value, depth)

    def heading(self, label: str, depth: int = 0) -> None:
        self._rows.append((depth, f"{label}:", None))

    def text(self, line: str, depth: int = 0) -> None:
        self._rows.append((depth, line, None))

    def map(self, label: str, values: Any) -> None:
        """A map, one pair a line."""
        self.field(label, labels_text(values, "\n"))

    def table(self, label: str, headers: list[str], rows: list[list[Any]], depth: int = 0) -> None:
        if not rows:
            self.field(label, NONE, depth)
            return
        self.heading(label, depth)
        widths = [max(len(str(row[at])) for row in [headers, *rows]) for at in range(len(headers))]
        for row in [headers, ["-" * len(header) for header in headers], *rows]:
            self.text("  ".join(str(cell).ljust(widths[at]) for at, cell in enumerate(row)).rstrip(), depth + 1)

    def render(self) -> str:
        widths: dict[int, int] = {}
        for depth, label, value in self._rows:
            if value is not None:
                widths[depth] = max(widths.get(depth, 0), len(label))
        lines: list[str] = []
        for depth, label, value in self._rows:
            pad = "  " * depth
            lines.append(f"{pad}{label}" if value is None else f"{pad}{label.ljust(widths[depth])}  {value}")
        return "".join(line.rstrip() + "\n" for line in lines)


def dig(obj: Any, *path: str) -> Any:
    """The value at a path of keys, or None."""
    for key in path:
        if not isinstance(obj, dict):
            return None
        obj = cast(dict[str, Any], obj).get(key)
    return obj
