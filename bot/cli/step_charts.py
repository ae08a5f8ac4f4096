"""Charts of a step in a terminal: a row of blocks, what it spans, and where the picture is."""

from typing import Any, cast

from rich.text import Text

from bot.cli.client import ApiError, Client
from protocol.events import ToolFinished
from protocol.text import one_line
from tools.names import DIAGNOSE, PROMETHEUS

_GOOD = ("ok", "empty")


async def charts_of_step(client: Client, conversation: str, step: ToolFinished) -> list[dict[str, Any]]:
    """REST's views of them. None where the step has none, or the server can't say: an answer does not hang on a picture."""
    if step.command is None or step.name not in (DIAGNOSE, PROMETHEUS) or step.status not in _GOOD:
        return []
    try:
        found = await client.get(f"/api/v1/conversations/{conversation}/charts/{step.command}")
    except ApiError:
        return []
    return cast(list[dict[str, Any]], found["charts"])


def chart_line(chart: dict[str, Any], url: str) -> Text:
    """`memory of … ▁▂▅█ 80 MiB – 114 MiB, limit 128 MiB`, and below it the address of the picture."""
    line = Text("    ")
    line.append(str(chart["sparkline"]), style="cyan")
    line.append(f"  {one_line(str(chart['alt']), 160)}\n")
    line.append(f"    {url}{chart['png']}", style="dim")
    return line
