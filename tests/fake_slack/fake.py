"""The whole fake: a world, its web server on a free port, and the hands of people and tests."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType
from typing import Self, TypeVar

from aiohttp import web

from tests.fake_slack import methods_files, responses
from tests.fake_slack.calls import Call
from tests.fake_slack.clock import Clock, StillClock
from tests.fake_slack.courier import Courier
from tests.fake_slack.deliveries import Delivery, Kind
from tests.fake_slack.faults import Faults
from tests.fake_slack.http_mode import HttpAnswer, HttpDoor
from tests.fake_slack.people import People
from tests.fake_slack.presses import Presses
from tests.fake_slack.rates import Rates
from tests.fake_slack.records import App, Channel, Grant, Json, Message, Team, Token, User, UserGroup
from tests.fake_slack.sockets import Sockets
from tests.fake_slack.web_api import WebApi
from tests.fake_slack.world import STATUS_LIFE_S, World

Found = TypeVar("Found")

SCOPES = frozenset(
    {
        *("app_mentions:read", "assistant:write", "chat:write", "commands", "reactions:write", "team:read"),
        *("channels:history", "channels:join", "channels:read", "groups:history", "groups:read"),
        *("im:history", "im:read", "im:write", "files:read", "files:write"),
        *("usergroups:read", "users:read", "users:read.email"),
    }
)
"""What the bot may do unless a test takes some away (`slack.bot.scopes.discard(...)`)."""
EVENTS = frozenset(
    {
        *("app_mention", "message.im", "app_home_opened", "tokens_revoked", "app_uninstalled"),
        *("assistant_thread_started", "assistant_thread_context_changed"),
    }
)
"""What the app is subscribed to; `slack.app.events.add("message.channels")` for follow-ups without a mention."""


class FakeSlack(People, Presses):
    """A Slack for tests. `async with FakeSlack() as slack:`; the package's docstring shows what it can do."""

    def __init__(self, clock: Clock | None = None, seed: int = 0) -> None:
        self.clock: Clock = clock or StillClock()
        self.app = App("A0FAKE00001", "1000.2000", "client-secret", "signing-secret", "/opsthread", set(EVENTS))
        self.world = World(self.app, self.clock, seed)
        self.sockets = Sockets(self.world)
        self.courier = Courier(self.world, self.sockets)
        self.web_api = WebApi(self.world)
        People.__init__(self, self.world, self.courier)
        Presses.__init__(self, self.world, self.courier)
        self._runner: web.AppRunner | None = None
        self.app_token = "xapp-1-A0FAKE00001-1000-fake"
        self.world.tokens[self.app_token] = Token(self.app_token, "app", "", "", "", {"connections:write"})
        self.team = self.add_team("Payments", "payments")
        self.bot = self.install(self.team.id)

    async def __aenter__(self) -> Self:
        server = web.Application(client_max_size=64 * 1024 * 1024)
        server.router.add_route("*", "/api/{method}", self.web_api.serve)
        server.router.add_get("/link", self.sockets.serve)
        server.router.add_route("*", "/upload/v1/{ticket}", partial(methods_files.upload, self.world))
        server.router.add_post("/response/{ticket}", partial(responses.answer, self.world))
        self._runner = web.AppRunner(server, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.world.base = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.faults.clear()
        await self.courier.close()
        self.sockets.cut()
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Give `url + "/api/"` to the client as its base_url."""
        return self.world.base

    @property
    def bot_token(self) -> str:
        return self.bot.value

    @property
    def calls(self) -> list[Call]:
        """Every call of the Web API so far, refused ones too; `answer` is empty as long as one is under way."""
        return self.web_api.calls

    @property
    def faults(self) -> Faults:
        return self.web_api.faults

    @property
    def rates(self) -> Rates:
        return self.web_api.rates

    @property
    def deliveries(self) -> list[Delivery]:
        """Every event, interaction and command so far, and how its tries went."""
        return self.courier.deliveries

    def calls_of(self, method: str) -> list[Call]:
        return [one for one in self.calls if one.method == method]

    def thread(self, channel: str, ts: str) -> list[Message]:
        """The messages of a thread that are still there, its root first."""
        return self.world.thread(channel, ts)

    def message(self, channel: str, ts: str) -> Message:
        """A message, deleted ones too; KeyError when there never was one."""
        return self.world.messages[(channel, ts)]

    def ephemerals(self, user: str) -> list[Message]:
        """What only this person sees."""
        return [one for one in self.world.ephemerals if one.only_for == user]

    def status(self, channel: str, ts: str) -> str:
        """What a thread shows as `Opsthread is …` now: gone after two minutes, and with the bot's next message."""
        thread = self.world.assistant_threads.get((channel, ts))
        if thread is None or not thread.statuses:
            return ""
        at, words = thread.statuses[-1]
        said = [one for one in self.thread(channel, ts) if one.bot_id and float(one.ts) > at]
        return "" if said or self.clock.now() - at > STATUS_LIFE_S else words

    async def until(self, look: Callable[[], Found | None], what: str, timeout_s: float = 20) -> Found:
        """Wait until `look` gives something true: asked at each change here, and now and then besides."""
        return await self.world.until(look, what, timeout_s)

    async def advance(self, seconds: float) -> None:
        """Let time go by: retries, expiries and limits go by it."""
        assert isinstance(self.clock, StillClock), "only a clock that stands still can be moved"
        await self.clock.advance(seconds)

    @asynccontextmanager
    async def away(self) -> AsyncGenerator[None]:
        """Slack is away: connections break, and every call too. `async with slack.away(): ...`"""
        fault = self.faults.cut("*", times=1_000_000)
        self.sockets.cut()
        try:
            yield
        finally:
            self.faults.remove(fault)

    async def connected(self, connections: int = 1) -> None:
        """Wait until so many socket mode connections are open."""
        await self.until(lambda: len(self.sockets.open) >= connections, f"{connections} socket mode connections")

    async def delivered(self, sending: Awaitable[Delivery | None]) -> Delivery:
        """Do something and wait until it is acknowledged or given up: `await slack.delivered(slack.click(...))`."""
        delivery = await sending
        assert delivery is not None, "the app didn't ask to hear of this"
        return await self.until(lambda: delivery if delivery.over else None, f"the app's answer to {delivery.kind}")

    def use_http(self, events: str, interactions: str = "", commands: str = "") -> HttpDoor:
        """From now on post signed requests to these URLs instead of socket mode; `door.post` for ones that are signed badly."""
        self.courier.http = HttpDoor(self.world, events, interactions or events, commands or interactions or events)
        return self.courier.http

    async def verify_url(self, door: HttpDoor) -> HttpAnswer:
        """The challenge that Slack sends when an events URL is set; the answer's body must hold it."""
        payload: Json = {"token": "x", "challenge": self.world.chance.hex(), "type": "url_verification"}
        answer = await door.post(Kind.EVENT, payload)
        assert answer.status != 200 or payload["challenge"] in answer.body, "the challenge didn't come back"
        return answer

    def consent(self, user: User, redirect_uri: str = "", scopes: frozenset[str] = SCOPES) -> str:
        """A person lets the app into their workspace: the OAuth code that comes to the redirect URL."""
        token = self.install(user.team_id, scopes)
        del self.world.tokens[token.value]
        code = self.world.chance.hex()
        self.world.codes[code] = Grant(token, user.id, redirect_uri)
        return code

    def install(self, team_id: str, scopes: frozenset[str] = SCOPES) -> Token:
        """Install the app in a workspace: a bot user, unless there is one, and a token."""
        found = [one for one in self.world.users.values() if one.bot_id and one.team_id == team_id]
        bot = found[0] if found else User(self.world.new_id("U"), team_id, "opsthread", "Opsthread", is_bot=True)
        bot.bot_id = bot.bot_id or self.world.new_id("B")
        self.world.users[bot.id] = bot
        token = Token(f"xoxb-{team_id}-{self.world.chance.hex(12)}", "bot", team_id, bot.id, bot.bot_id, set(scopes))
        self.world.tokens[token.value] = token
        return token

    def add_team(self, name: str, domain: str) -> Team:
        team = Team(self.world.new_id("T"), name, domain)
        self.world.teams[team.id] = team
        return team

    def add_user(
        self,
        name: str,
        *,
        email: str = "",
        team: Team | None = None,
        is_admin: bool = False,
        is_restricted: bool = False,
        is_ultra_restricted: bool = False,
        is_bot: bool = False,
        deleted: bool = False,
    ) -> User:
        """A person of our workspace, or of another team: then external, met in shared channels only."""
        home = team or self.team
        person = User(self.world.new_id("U"), home.id, name, name.title(), email or f"{name}@{home.domain}.example")
        person.is_admin, person.is_bot, person.deleted = is_admin, is_bot, deleted
        person.is_restricted, person.is_ultra_restricted = is_restricted or is_ultra_restricted, is_ultra_restricted
        self.world.users[person.id] = person
        return person

    def add_group(self, handle: str, *members: User) -> UserGroup:
        """A user group such as @sre."""
        made = UserGroup(self.world.new_id("S"), self.team.id, handle, handle.title(), [one.id for one in members])
        self.world.groups[made.id] = made
        return made

    def add_channel(
        self,
        name: str,
        *members: User,
        with_bot: bool = True,
        team: Team | None = None,
        is_private: bool = False,
        is_archived: bool = False,
    ) -> Channel:
        """A channel with these people and the bot. With people of another team in it, it is a shared one."""
        home = team or self.team
        ids = {one.id for one in members} | ({self.world.bot_of(home.id).id} if with_bot else set[str]())
        made = Channel(self.world.new_id("C"), home.id, name, ids, is_private=is_private, is_archived=is_archived)
        made.shared_with = sorted({one.team_id for one in members} - {home.id})
        made.is_ext_shared = bool(made.shared_with)
        self.world.channels[made.id] = made
        return made
