"""A whole round: what can be seen from here, with a running serve and without one."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.doctor.keys import look_at_keys
from bot.doctor.living import look_at_clusters, look_at_plane
from bot.doctor.models import look_at_embeddings, look_at_models
from bot.doctor.place import look_at_place, read_settings
from bot.doctor.storage import look_at_database
from bot.doctor.wire import look_at_bus
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from protocol.base import Value
from protocol.checkup import CheckRow, Health


class Checkup(Value):
    """The rows in the order in which they are best mended."""

    at: datetime
    serving: bool
    rows: tuple[CheckRow, ...]

    @property
    def healthy(self) -> bool:
        return all(row.health is not Health.FAIL for row in self.rows)

    def counted(self) -> dict[str, int]:
        return {str(health): sum(row.health is health for row in self.rows) for health in Health}


async def round_of_serving(
    plane: ControlPlane, runtime: Any, principal: Principal, *, ask_model: bool, slack: Any = None
) -> Checkup:
    """Everything, from inside of a running serve, as `principal`. `slack` is the bot.slack.service.Slack that runs in it."""
    settings = plane.settings
    parts = await asyncio.gather(
        asyncio.to_thread(_amiss_in_settings),
        asyncio.to_thread(look_at_place, settings, serving=True),
        asyncio.to_thread(look_at_keys, settings),
        look_at_database(settings),
        look_at_plane(plane, runtime),
        look_at_clusters(plane, principal),
        look_at_models(settings, ask=ask_model),
        look_at_embeddings(settings, ask=ask_model),
        _slack(plane, principal, slack),
    )
    return checkup([row for part in parts for row in part], serving=True)


async def slack_of_serving(plane: ControlPlane, principal: Principal, slack: Any) -> Checkup:
    """Slack alone, set up or not."""
    from bot.slack.check import Serving, look_at_slack  # with Slack's libraries, which others don't pay for

    open_now = slack.connected if slack is not None else None
    return checkup(await look_at_slack(plane.settings, Serving(plane, principal, open_now)), serving=True)


async def round_alone(
    settings: Settings | None, said: Sequence[CheckRow], *, ask_model: bool, serving: bool = False
) -> Checkup:
    """What can be seen without the help of a serve; without settings only what was `said`. `serving`: one is up, and silent."""
    rows = list(said)
    if settings is not None:
        parts = await asyncio.gather(
            asyncio.to_thread(look_at_place, settings, serving=serving),
            asyncio.to_thread(look_at_keys, settings),
            look_at_database(settings),
            look_at_bus(settings, serving=serving),
            look_at_models(settings, ask=ask_model),
            look_at_embeddings(settings, ask=ask_model),
            _slack_alone(settings),
        )
        # Which port a serve has that doesn't tell us, these settings need not know.
        rows += [row for part in parts for row in part if not (serving and row.name == "port")]
    return checkup(rows, serving=False)


def _amiss_in_settings() -> list[CheckRow]:
    """Names that nothing reads, and what the next start would refuse."""
    _, rows = read_settings(os.environ, Path.cwd(), {})
    return [row for row in rows if row.health is not Health.OK]


async def _slack(plane: ControlPlane, principal: Principal, slack: Any) -> Sequence[CheckRow]:
    return (await slack_of_serving(plane, principal, slack)).rows if plane.settings.slack_begun else ()


async def _slack_alone(settings: Settings) -> list[CheckRow]:
    if not settings.slack_begun:
        return []
    from bot.slack.check import look_at_slack

    return await look_at_slack(settings)


def checkup(rows: Sequence[CheckRow], *, serving: bool) -> Checkup:
    """What was found at this moment."""
    return Checkup(at=datetime.now(UTC), serving=serving, rows=tuple(rows))
