"""The pictures that the sender puts into threads: drawn from a stored command, as the person who asked may see it."""

import structlog

from bot.charts.drawer import ChartFailed, Drawer
from bot.charts.of_result import charts_of, described, order_of
from control_plane.errors import Conflict, NotFound, NotSignedIn
from control_plane.services import ControlPlane
from control_plane.slack.outbox import FileRef
from protocol.charts import Chart
from protocol.events import Language

log = structlog.get_logger(__name__)


class Pictures:
    def __init__(self, plane: ControlPlane, drawer: Drawer) -> None:
        self._plane = plane
        self._drawer = drawer

    async def first(self, turn: str, command: str, language: Language) -> tuple[str, str] | None:
        """(title, description) of a command's first chart; None when it has none."""
        charts = await self._charts(turn, command)
        return (charts[0].title, described(charts[0], language)) if charts else None

    async def picture(self, file: FileRef) -> bytes | None:
        """Raises Unavailable when too many are being drawn."""
        _, _, turn, command, number = file.source.split(":")
        charts = await self._charts(turn, command)
        if int(number) >= len(charts):
            return None
        try:
            language = (await self._plane.conversations.turn(turn)).language
            return await self._drawer.draw(order_of(charts[int(number)], form="png", theme="light", language=language))
        except (ChartFailed, NotFound) as error:
            log.warning("slack.chart", source=file.source, why=error.message)
            return None

    async def _charts(self, turn: str, command: str) -> tuple[Chart, ...]:
        try:
            asked = await self._plane.conversations.turn(turn)
            principal = await self._plane.accounts.principal(asked.asked_by)
            row = await self._plane.commands.get(command, principal)
            if row.conversation != asked.conversation:
                return ()
            return charts_of(await self._plane.commands.result(command, principal), row.title)
        except (NotFound, NotSignedIn, Conflict):
            return ()
