"""The Home tab: one person's, made of what they may see. Drawn when it is opened, and anew when something has changed for
whoever opened it within a day."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta

import structlog

from bot.api.cards import approval_view
from bot.api.views import cluster_view
from bot.slack.blocks.groups import view_of
from bot.slack.blocks.home import home, stranger_home
from bot.slack.blocks.limits import Block
from bot.slack.doors.cards import private_value
from bot.slack.doors.commands import waits_for
from bot.slack.doors.rim import Rim
from bot.slack.identity import Person
from bot.slack.linking import PATH
from bot.slack.web_api import SlackBusy, SlackRefused, SlackTrouble
from control_plane.clock import utc_now
from control_plane.errors import ServiceError
from control_plane.principals import Principal
from control_plane.slack.inbox import Received
from control_plane.slack.threads import permalink
from protocol.canonical import canonical_json, sha256_hex
from protocol.events import Language

log = structlog.get_logger(__name__)

OPENED_WITHIN = timedelta(hours=24)
EVERY_S = 30.0
"""So often one person's Home tab changes at most while they look at it."""
LOOK_S = 4.0
"""So often it is drawn at most, to see whether it would change."""
MOST = 100
"""Home tabs that are kept, those that were opened last."""
_REST_S = 1.0

_Who = tuple[str, str]


class Homes:
    def __init__(self, rim: Rim) -> None:
        self._rim = rim
        self._shown: dict[_Who, str] = {}
        """Hash of what they have."""
        self._nobodies: set[_Who] = set()
        """Those whose Home tab tells nothing."""
        self._open: dict[_Who, datetime] = {}
        """When they were opened, the latest last."""
        self._changed_at: dict[_Who, float] = {}
        self._looked_at: dict[_Who, float] = {}

    async def opened(self, item: Received) -> str:
        """Handles kind `home`."""
        if str(item.payload.get("tab", "home")) not in ("home", ""):
            return "another tab"
        who = (item.team, str(item.payload["user"]))
        self._open.pop(who, None)
        self._open[who] = utc_now()
        return await self._publish(*who, always=True)

    async def run(self) -> None:
        """In one term of the lead: keeps them as things change."""
        # What another replica heard of before; from here on it is heard of here.
        before = await self._rim.plane.slack_inbox.homes(utc_now() - OPENED_WITHIN, MOST)
        self._open = dict.fromkeys(reversed(before), utc_now()) | self._open
        self._shown.clear()  # another may have shown them something else since
        async with aclosing(self._rim.plane.conversations.watch_lists()) as news:
            async for _ in news:
                since = utc_now() - OPENED_WITHIN
                self._open = {who: at for who, at in [*self._open.items()][-MOST:] if at > since}
                for times in (self._changed_at, self._looked_at):
                    for who in times.keys() - self._open.keys():
                        del times[who]
                for who in [*self._open]:
                    await self._look(who)
                await asyncio.sleep(_REST_S)

    async def _look(self, who: _Who) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._changed_at.get(who, -EVERY_S) < EVERY_S or now - self._looked_at.get(who, -LOOK_S) < LOOK_S:
            return
        self._looked_at[who] = now
        try:
            if await self._publish(*who) == "published":
                self._changed_at[who] = now
        except SlackBusy as busy:
            await asyncio.sleep(min(busy.after_s, EVERY_S))
        except (SlackTrouble, ServiceError) as error:
            log.warning("slack.home", user=who[1], why=str(error)[:300])
        except Exception:  # one person's fault must not stop the others'
            log.exception("slack.home_failed", user=who[1])
            self._changed_at[who] = now

    async def _publish(self, team: str, user: str, *, always: bool = False) -> str:
        person = await self._rim.identity.who(team, user)
        if person.principal is None and not always and (team, user) in self._nobodies:
            return "nobody"
        language = person.language or "en"
        # Who has just become nobody gets no offer unasked: each one takes that of before away.
        view = await self._view(person, language) if person.principal is not None or always else stranger_home(language, "")
        look = sha256_hex(canonical_json(view))
        if not always and self._shown.get((team, user)) == look:
            return "as it was"
        api = await self._rim.clients.of(team)
        try:
            await api.call("views.publish", user_id=user, view=view)
        except SlackRefused as error:
            log.warning("slack.home_refused", user=user, why=error.code)
            return error.code
        self._shown[team, user] = look
        (self._nobodies.discard if person.principal is not None else self._nobodies.add)((team, user))
        return "published"

    async def _view(self, person: Person, language: Language) -> Block:
        if person.principal is None:
            return stranger_home(language, await self._offer(person))
        return await self._of(person.principal, person, language)

    async def _offer(self, person: Person) -> str:
        """A link for this person alone; the same as long as it is on its way."""
        people = self._rim.plane.slack_people
        if not self._rim.url or not person.may_link or await people.is_taken(person.team, person.user):
            return ""
        return f"{self._rim.url}{PATH}/{await people.offer(person.team, person.user, person.name)}"

    async def _of(self, principal: Principal, person: Person, language: Language) -> Block:
        rim, plane = self._rim, self._rim.plane
        groups = await plane.alerts.list(principal, state="firing")
        links = {one.id: await self._link(person.team, one.conversation) for one in groups}
        waiting = await waits_for(plane, principal)
        values = {one.id: private_value(rim, person.team, person.user, one) for one in waiting}
        return home(
            clusters=[cluster_view(one) for one in await plane.fleet.list(principal)],
            alerts=[view_of(one) for one in groups],
            approvals=[approval_view(one, principal, utc_now(), language=language) for one in waiting],
            language=language,
            public_url=rim.url,
            alert_url=lambda view: links[view.id],
            approval_url=lambda view: rim.approval_page(str(view["id"])),
            details=lambda view: values[str(view["id"])],
        )

    async def _link(self, team: str, conversation: str | None) -> str:
        """Its thread, else its page."""
        rim = self._rim
        if conversation is None:
            return rim.url
        thread = await rim.plane.slack_threads.of_conversation(conversation)
        if thread is not None and thread.team == team and thread.thread_ts:
            place = permalink((await rim.clients.me(team)).url, thread.channel, thread.thread_ts)
            if place:
                return place
        return f"{rim.url}/c/{conversation}" if rim.url else ""
