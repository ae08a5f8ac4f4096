"""/opsthread ask | status | clusters | approvals | help: answered for the eyes of whoever asks, within what they and the
channel may both see."""

from collections.abc import Awaitable, Callable

from bot.api.cards import approval_view
from bot.api.views import cluster_view
from bot.slack.blocks import help as helped
from bot.slack.blocks import notices
from bot.slack.blocks.groups import view_of
from bot.slack.blocks.parts import Message
from bot.slack.doors.rim import Rim
from bot.slack.linking import wish_of
from bot.slack.work.questions import Questions
from bot.slack.work.telling import Place, place_of
from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.slack.channels import Channel
from control_plane.slack.inbox import Received
from protocol.approval import ApprovalState
from protocol.events import Language

COMMAND = "/opsthread"
_MORE_IT_TAKES = frozenset({"step_up", "frozen"})
"""Refusals of what still waits for this person."""

Answer = Callable[[Principal, Language], Awaitable[Message]]


class Commands:
    """Handles kind `command`."""

    def __init__(self, rim: Rim, questions: Questions) -> None:
        self._rim = rim
        self._questions = questions
        self._answers: dict[str, Answer] = {
            "status": self._status,
            "clusters": self._clusters,
            "approvals": self._approvals,
        }

    async def handle(self, item: Received) -> str:
        rim, place = self._rim, place_of(item.team, item.payload)
        text = str(item.payload.get("text", "")).strip()
        verb, _, rest = text.partition(" ")
        verb = verb.casefold()
        if verb == "ask" and rest.strip():
            return await self._questions.command(item)
        principal, language, code = await rim.somebody(place, fresh=False, wish=wish_of(text))
        if principal is None:
            return code
        answer = self._answers.get(verb)
        if answer is None:
            await self._tell(place, helped.help_message(language, command=COMMAND, public_url=rim.url))
            return "help"
        seen = await self._within(place, principal)
        if seen is None:
            await self._tell(place, notices.notice("unbound", language))
            return "unbound"
        await self._tell(place, await answer(seen, language))
        return verb

    async def _tell(self, place: Place, message: Message) -> None:
        """For their eyes alone in a direct message as well."""
        if not await self._rim.clients.respond(place.response_url, message.text, message.blocks):
            await self._rim.tell(place, message)

    async def _within(self, place: Place, principal: Principal) -> Principal | None:
        """As somebody who may see what this person and the channel both may. None: the channel may see nothing."""
        if place.direct:
            return principal
        channel = await self._rim.plane.slack_channels.get(place.team, place.channel)
        return both(principal, channel) if channel is not None and channel.reach else None

    async def _status(self, principal: Principal, language: Language) -> Message:
        plane = self._rim.plane
        clusters = [cluster_view(one) for one in await plane.fleet.list(principal)]
        alerts = [view_of(one) for one in await plane.alerts.list(principal, state="firing")]
        waiting = len(await waits_for(plane, principal))
        page = self._rim.url
        return helped.status_message(clusters, alerts, waiting, language, url=lambda _: page)

    async def _clusters(self, principal: Principal, language: Language) -> Message:
        views = [cluster_view(one) for one in await self._rim.plane.fleet.list(principal)]
        return helped.clusters_message(views, language)

    async def _approvals(self, principal: Principal, language: Language) -> Message:
        found = await waits_for(self._rim.plane, principal)
        views = [approval_view(one, principal, utc_now(), language=language) for one in found]
        all_of_mine = f"{self._rim.url}/approvals" if self._rim.url else ""
        return helped.approvals_message(views, language, lambda view: self._rim.approval_page(str(view["id"])), all_of_mine)


async def waits_for(plane: ControlPlane, principal: Principal) -> tuple[Approval, ...]:
    """What this person could decide now, here or on the web; newest first."""
    found: list[Approval] = []
    for one in await plane.approvals.list(principal, states=(ApprovalState.PENDING,), limit=100):
        refusal = plane.approvals.refusal(one, principal)
        if refusal is None or refusal.code in _MORE_IT_TAKES:
            found.append(one)
    return tuple(found)


def both(principal: Principal, channel: Channel) -> Principal:
    """The same person with only as much of their roles as the channel may see. Pure."""
    grants: list[ScopedRole] = []
    for grant in principal.roles:
        for reach in channel.reach:
            if "*" not in grant.clusters and reach.cluster not in grant.clusters:
                continue
            names = _both(grant.namespaces, ("*",) if reach.namespaces is None else reach.namespaces)
            if names:
                grants.append(ScopedRole(role=grant.role, clusters=(reach.cluster,), namespaces=names))
    return principal.model_copy(update={"roles": tuple(grants), "admin": False})


def _both(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    if "*" in one:
        return other
    return one if "*" in other else tuple(sorted(set(one) & set(other)))
