"""From groups of alerts to threads: what waits is opened with one question, what has grown worse is asked about again, silences
end by time. Every replica does this; the tables see to it that each thing happens once."""

import asyncio
import time
from contextlib import aclosing

import structlog

from agent_runtime.alert_words import further, opening
from control_plane.alerts.routes import Target, covers
from control_plane.alerts.threads import Growth
from control_plane.alerts.values import Group
from control_plane.errors import NotSignedIn, ServiceError
from control_plane.principals import narrower
from control_plane.services import ControlPlane

log = structlog.get_logger("alerts")

RETRY_S = 5.0
UNHEARD_EVERY_S = 600.0


class AlertWork:
    """`run` for ever, beside the sweep; `once` is one look."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._told_off = False
        self._looked: float | None = None

    async def run(self) -> None:
        """At each wake-up, and every 5 s besides. Whatever fails is tried again at the next."""
        while True:
            try:
                async with aclosing(self._plane.alerts.watch()) as wakes:
                    async for _ in wakes:
                        await self.once()
            except Exception:
                log.exception("the look at alerts failed; it begins again")
                await asyncio.sleep(RETRY_S)

    async def once(self) -> None:
        try:
            await self._plane.alerts.end_silences()
            if self._due(UNHEARD_EVERY_S):
                await self._plane.alerts.end_unheard()
            for group in await self._plane.alert_threads.waiting():
                await self._each(group, None)
            for group, why in await self._plane.alert_threads.grown():
                await self._each(group, why)
        except NotSignedIn:
            if not self._told_off:
                log.warning("the account that speaks for alerts is disabled: no threads are opened for them")
            self._told_off = True
        else:
            self._told_off = False

    def _due(self, every_s: float) -> bool:
        now = time.monotonic()
        if self._looked is not None and now - self._looked < every_s:
            return False
        self._looked = now
        return True

    async def _each(self, group: Group, why: Growth | None) -> None:
        """One group's trouble is not the others'."""
        try:
            await (self._open(group) if why is None else self._further(group))
        except NotSignedIn:
            raise
        except ServiceError as error:
            log.warning(
                "nothing was asked about a group of alerts; the next look tries again", group=group.id, why=error.message
            )

    async def _open(self, group: Group) -> None:
        target = await self._plane.alert_routes.target(group.cluster, group.namespace, group.labels, group.severity)
        speaker = await self._plane.alert_threads.speaker(group.cluster)
        opened = await self._plane.alert_threads.open(group.id, target, speaker, opening)
        if opened is not None:
            log.info(
                "a thread was opened for alerts", group=group.id, conversation=opened, route=target.route, fell=target.fell
            )

    async def _further(self, group: Group) -> None:
        speaker = await self._plane.alert_threads.speaker(group.cluster)
        target = await self._target_of(group)
        covered = await self._still_covered(group)

        def ask(told: Group, why: Growth) -> str:
            return further(told, why, target.language)

        await self._plane.alert_threads.ask_again(group.id, speaker, ask, language=target.language, covered=covered)

    async def _target_of(self, group: Group) -> Target:
        route = await self._plane.alert_routes.get(group.route) if group.route else None
        return Target(route=route.id, language=route.language) if route is not None else Target()

    async def _still_covered(self, group: Group) -> bool:
        """Does the channel of the group's thread still see all that the thread may show, and what its alerts are about?"""
        thread = await self._plane.slack_threads.of_conversation(group.conversation or "")
        if thread is None or group.conversation is None:
            return True
        over = covers(await self._plane.slack_channels.get(thread.team, thread.channel), group.cluster, group.namespace)
        if isinstance(over, str):
            return False
        scope = (await self._plane.conversations.get(group.conversation)).scope
        return narrower(scope, over) == scope
