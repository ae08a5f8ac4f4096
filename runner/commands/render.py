"""kubectl's own looks: columns, ages, quantities. Pure; the clock comes in by parameter."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from knowledge.diagnosis.fields import rows, sub, texts

_GAP = "   "
MAX_CELL = 2000


def columns(headers: Sequence[str], rows: Iterable[Sequence[Any]], *, headings: bool = True) -> str:
    """Aligned columns, three spaces between, nothing after the last: what kubectl prints for a table."""
    lines = [[cell_text(cell) for cell in row] for row in rows]
    if headings:
        lines.insert(0, [header.upper() for header in headers])
    if not lines:
        return ""
    widths = [max(len(line[at]) for line in lines if at < len(line)) for at in range(max(map(len, lines)))]
    return "".join(
        _GAP.join(cell.ljust(widths[at]) if at + 1 < len(line) else cell for at, cell in enumerate(line)).rstrip() + "\n"
        for line in lines
    )


def cell_text(value: Any) -> str:
    """One cell on one line: null is blank, booleans as Go prints them, text is cut at its first line break."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    head, newline, _ = text.partition("\n")
    return head[:MAX_CELL] + ("..." if newline else "")


def parse_time(text: Any) -> datetime | None:
    """An RFC 3339 time of the API; None for anything else."""
    if not isinstance(text, str) or not text:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def age(since: Any, now: datetime) -> str:
    """How long ago, as kubectl's duration.HumanDuration: 5m10s, 3h, 2d4h, 1y20d."""
    moment = parse_time(since)
    return "<unknown>" if moment is None else duration((now - moment).total_seconds())


def duration(seconds: float) -> str:
    """apimachinery's HumanDuration."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86_400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    if days < 365 * 8:
        return f"{days // 365}y{days % 365}d" if days % 365 else f"{days // 365}y"
    return f"{days // 365}y"


def labels_text(labels: Any, separator: str = ",") -> str:
    """`a=1,b=2` in key order, or `<none>`."""
    if not isinstance(labels, dict) or not labels:
        return "<none>"
    return separator.join(f"{key}={value}" for key, value in sorted(cast(dict[str, Any], labels).items()))


def selector_text(selector: Any) -> str:
    """A metav1.LabelSelector, or a plain map, in words."""
    if not isinstance(selector, dict) or not selector:
        return "<none>"
    fields = cast(dict[str, Any], selector)
    if "matchLabels" not in fields and "matchExpressions" not in fields:
        return labels_text(fields)
    parts = [f"{key}={value}" for key, value in sorted(sub(fields, "matchLabels").items())]
    parts.extend(_expression(row) for row in rows(fields, "matchExpressions"))
    return ",".join(parts) or "<none>"


def selector_query(selector: Any) -> str:
    """A metav1.LabelSelector as a labelSelector query; "" when it selects by nothing."""
    text = selector_text(selector)
    return "" if text == "<none>" else text


def _expression(row: Mapping[str, Any]) -> str:
    key, operator, values = row.get("key", ""), row.get("operator", ""), ",".join(texts(row, "values"))
    if operator == "Exists":
        return key
    if operator == "DoesNotExist":
        return f"!{key}"
    return f"{key} {'in' if operator == 'In' else 'notin'} ({values})"
