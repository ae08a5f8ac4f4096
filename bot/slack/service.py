"""Slack in one process: every replica receives, one of them works. Imported only where Slack is configured."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from slack_bolt.async_app import AsyncApp

from bot.charts.drawer import Drawer
from bot.slack.clients import Clients
from bot.slack.doors.alerts import alert_doors
from bot.slack.doors.build import doors as all_doors
from bot.slack.doors.registry import Doors
from bot.slack.doors.rim import Rim
from bot.slack.front.app import build
from bot.slack.front.socket import CONNECTIONS, PING_S, Socket
from bot.slack.identity import FromSlack
from bot.slack.linking import Linking
from bot.slack.names import Names
from bot.slack.work.alerts import AlertShow
from bot.slack.work.drawing import Drawing
from bot.slack.work.files import Files
from bot.slack.work.flood import Flood
from bot.slack.work.inbox import Handler, Worker
from bot.slack.work.installed import Installed
from bot.slack.work.lead import Lead, Term, Work, forever
from bot.slack.work.pace import Pace
from bot.slack.work.pictures import Pictures
from bot.slack.work.questions import CHOOSE, Questions
from bot.slack.work.renderer import Renderer
from bot.slack.work.sender import Sender, Shelf
from bot.slack.work.sight import Late, Sight
from bot.slack.work.streams import Progress, TurnShow
from bot.slack.work.telling import Telling
from control_plane.services import ControlPlane
from control_plane.slack.inbox import Received
from control_plane.slack.lead import JOB
from control_plane.slack.outbox import Outgoing
from control_plane.slack.threads import Thread
from protocol.events import Language

log = structlog.get_logger(__name__)


@dataclass
class Slack:
    """Slack as it runs here. `app` is what HTTP hands its requests to."""

    app: AsyncApp
    clients: Clients
    lead: Lead
    sockets: list[Socket] = field(default_factory=list[Socket])

    @property
    def names(self) -> Names:
        return Names(self.clients)

    @property
    def connected(self) -> int:
        """Open connections of socket mode."""
        return sum(socket.connected for socket in self.sockets)


@asynccontextmanager
async def slack(
    plane: ControlPlane, drawer: Drawer, *, url: str, doors: Doors | None = None, ping_s: float = PING_S
) -> AsyncGenerator[Slack]:
    """From here on what comes in is kept; and, in one replica, worked on. `url` is how people's browsers reach us."""
    settings = plane.settings
    clients = Clients(settings, plane.slack_workspaces)
    await clients.start()
    tasks: list[asyncio.Task[None]] = []
    try:
        rim = _rim(plane, clients, url)
        questions = Questions(plane, clients, rim.identity, rim.telling, rim.linking, rim.url)
        added = all_doors(rim, questions) | alert_doors(rim) | (doors or Doors())
        app = build(plane, clients, secret=settings.slack_secret() or "", doors=added.install)
        works = _Works(rim, questions, drawer, added)
        here = Slack(app, clients, _lead(plane, works.term))
        app_token = settings.slack_app()
        if settings.slack_in_use() == "socket" and app_token:
            here.sockets = [Socket(app, app_token, clients.client, ping_s=ping_s, name=str(n)) for n in range(CONNECTIONS)]
        parts = [(here.lead.run, "lead"), *((socket.run, "socket") for socket in here.sockets)]
        tasks += [asyncio.create_task(forever(name, run), name=f"slack {name}") for run, name in parts]
        yield here
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await clients.close()


def _lead(plane: ControlPlane, work: Work) -> Lead:
    ttl_s = plane.settings.lease_seconds
    return Lead(lambda: plane.replica.job(JOB, ttl_s), plane.replica.leases, ttl_s, work)


def _rim(plane: ControlPlane, clients: Clients, url: str) -> Rim:
    telling, identity = Telling(clients), FromSlack(clients, plane)
    return Rim(plane, clients, identity, telling, Linking(plane, identity, telling, url), url.rstrip("/"))


class _Works:
    """Builds and starts what works, for each term of the lead anew."""

    def __init__(self, rim: Rim, questions: Questions, drawer: Drawer, doors: Doors) -> None:
        plane = self._plane = rim.plane
        self._clients = rim.clients
        self._doors = doors
        self._telling = rim.telling
        self._url = rim.url
        self._pictures = Pictures(plane, drawer)
        self._drawing = Drawing(plane, rim.url, self._pictures)
        self._identity = rim.identity
        self._installed = Installed(plane, rim.clients)
        self._questions = questions

    @asynccontextmanager
    async def term(self, term: Term) -> AsyncGenerator[None]:
        plane, clients, pace = self._plane, self._clients, Pace()

        def show(thread: Thread, turn: str, language: Language, progress: Progress, streams: bool) -> TurnShow:
            return TurnShow(plane, clients, self._telling, term, pace, thread, turn, language, progress, streams=streams)

        worker = Worker(plane.slack_inbox, term, self._handlers(), self._questions.give_up)
        sight = Sight(plane, self._identity)
        renderer = Renderer(plane, term, self._drawing, sight, show)
        shelf = Shelf(plane.slack_outbox, plane.slack_posts, plane.slack_workspaces)
        sender = Sender(shelf, term, clients, pace, Files(self._pictures), self._link_of, still=Late(plane, sight))
        parts = (
            ("inbox", worker.run),
            ("renderer", renderer.run),
            ("sender", sender.run),
            ("alerts", AlertShow(plane, term, self._url).run),
            ("groups", self._identity.keep_groups),
            *self._doors.parts,
        )
        tasks = [asyncio.create_task(forever(name, run), name=f"slack {name}") for name, run in parts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _handlers(self) -> dict[str, Handler]:
        actions: dict[str, Handler] = {CHOOSE: self._questions.chosen, **self._doors.actions}

        async def action(item: Received) -> str:
            handler = actions.get(str(item.payload.get("action_id", "")).partition(":")[0])
            return await handler(item) if handler is not None else "nothing is done with these"

        async def view(item: Received) -> str:
            handler = self._doors.views.get(str(item.payload.get("callback_id", "")))
            return await handler(item) if handler is not None else "nothing is done with these"

        by_people: dict[str, Handler] = {
            "message": self._questions.message,
            "assistant_started": self._questions.assistant_started,
            "action": action,
            "view": view,
            **self._doors.kinds,
        }
        flood = Flood(self._telling)
        return {
            "group": self._identity.group_changed,
            "joined": self._installed.joined,
            "gone": self._installed.gone,
            **{kind: flood.held(handler) for kind, handler in by_people.items()},
        }

    async def _link_of(self, outgoing: Outgoing) -> str:
        thread = await self._plane.slack_threads.get(outgoing.thread) if outgoing.thread else None
        return self._drawing.page(thread.conversation) if thread is not None else ""
