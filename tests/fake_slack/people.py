"""What people do in Slack by writing and opening; each action sends the events that Slack would send for it."""

from tests.fake_slack.courier import Courier
from tests.fake_slack.deliveries import Delivery, Kind
from tests.fake_slack.methods_views import view_json
from tests.fake_slack.payloads import changed_event, deleted_event, envelope_of, message_event, message_json, typed_text
from tests.fake_slack.records import AssistantThread, Channel, Edit, Json, Message
from tests.fake_slack.world import World


class People:
    """Actions of people; each returns what it made. Its deliveries stand in `message.deliveries` and `slack.deliveries`."""

    def __init__(self, world: World, courier: Courier) -> None:
        self._world = world
        self._courier = courier
        world.echo = self._echo

    async def write(
        self, channel: str, user: str, text: str, thread_ts: str = "", subtype: str = "", bot_id: str = ""
    ) -> Message:
        """A person writes: `app_mention` when the bot is named and a member, and the `message` event if it is subscribed to.
        With `bot_id` an app does, by a token that the person has given it."""
        world = self._world
        place, person = world.channel(channel), world.user(user)
        assert not person.deleted, f"{user} is deactivated"
        made = Message(place.id, world.new_ts(), person.team_id, user, text, blocks=typed_text(text), thread_ts=thread_ts)
        made.subtype, made.bot_id = subtype, bot_id
        message = world.add(made)
        event = message_event(message, place, person, place.team_id)
        for bot in self._bots_in(place):
            if f"<@{bot}>" in text and not place.is_im:
                mention = {key: value for key, value in event.items() if key != "channel_type"} | {"type": "app_mention"}
                self._tell("app_mention", mention, place, bot, message)
            self._tell(_subscription(place), event, place, bot, message)
        return message

    async def mention(self, channel: str, user: str, text: str, thread_ts: str = "") -> Message:
        """A person mentions the bot in a channel."""
        bot = self._world.bot_of(self._world.channel(channel).team_id)
        return await self.write(channel, user, f"<@{bot.id}> {text}", thread_ts)

    async def direct_message(self, user: str, text: str, thread_ts: str = "") -> Message:
        """A person writes to the bot in their direct message, which is opened at the first time."""
        bot = self._world.bot_of(self._world.user(user).team_id)
        place = self._world.direct_message(bot.id, user)
        return await self.write(place.id, user, text, thread_ts)

    async def edit(self, message: Message, text: str) -> None:
        """A person changes what they wrote."""
        message.edits.append(Edit(self._world.clock.now(), message.text, message.blocks))
        message.text, message.blocks = text, typed_text(text)
        self._world.changed()
        self._tell_all(message, "changed")

    async def delete(self, message: Message) -> None:
        """A person takes back what they wrote."""
        message.deleted = True
        self._world.changed()
        self._tell_all(message, "deleted")

    async def assistant_open(self, user: str, channel: str = "") -> AssistantThread:
        """A person opens the assistant, perhaps while looking at a channel; its thread is in the direct message."""
        world = self._world
        bot = world.bot_of(world.user(user).team_id)
        place = world.direct_message(bot.id, user)
        root = Message(place.id, world.new_ts(), bot.team_id, bot.id, "New Assistant Thread", bot_id=bot.bot_id)
        root.app_id, root.subtype = world.app.id, "assistant_app_thread"
        world.add(root)
        context: Json = {"channel_id": channel, "team_id": bot.team_id, "enterprise_id": None} if channel else {}
        thread = AssistantThread(place.id, root.ts, user, context)
        world.assistant_threads[(place.id, root.ts)] = thread
        self._assistant_event("assistant_thread_started", thread, bot.team_id, bot.id)
        return thread

    async def assistant_look(self, thread: AssistantThread, channel: str) -> None:
        """The person goes to another channel with the assistant open."""
        bot = self._world.bot_of(self._world.user(thread.user).team_id)
        thread.context = {"channel_id": channel, "team_id": bot.team_id, "enterprise_id": None}
        self._assistant_event("assistant_thread_context_changed", thread, bot.team_id, bot.id)

    async def assistant_message(self, thread: AssistantThread, text: str) -> Message:
        """The person asks the assistant something."""
        return await self.write(thread.channel, thread.user, text, thread.thread_ts)

    async def open_home(self, user: str, tab: str = "home") -> Delivery | None:
        """The person opens the app's Home (or `messages`) tab."""
        world = self._world
        bot = world.bot_of(world.user(user).team_id)
        place, at = world.direct_message(bot.id, user), world.new_ts()
        event: Json = {"type": "app_home_opened", "user": user, "channel": place.id, "tab": tab, "event_ts": at}
        view = world.homes.get((bot.team_id, user))
        if view is not None and tab == "home":
            event["view"] = view_json(world, view)
        return self.event(event, bot.team_id, bot.id) if "app_home_opened" in world.app.events else None

    async def stop_stream(self, message: Message, user: str) -> None:
        """A reader stops an answer that is being streamed: the next piece is refused with stopped_by_user."""
        assert message.stream is not None, "only a streamed message can be stopped"
        message.stream.stopped_by, message.stream.stopped = user, True
        self._world.changed()

    async def uninstall(self, team_id: str) -> None:
        """An administrator removes the app: tokens die, and the app is told by two events."""
        world = self._world
        bot = world.bot_of(team_id)
        for token in world.tokens.values():
            token.revoked = token.revoked or token.team_id == team_id
        for event in ({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [bot.id]}}, {"type": "app_uninstalled"}):
            if str(event["type"]) in world.app.events:
                self.event({**event, "event_ts": world.new_ts()}, team_id, bot.id)

    def event(self, event: Json, team_id: str, bot: str, shared: bool = False) -> Delivery:
        """Send any event, wrapped as Slack wraps it."""
        world = self._world
        payload = envelope_of(
            event,
            event_id=world.new_id("Ev"),
            at=world.clock.now(),
            team_id=team_id,
            app_id=world.app.id,
            bot_user=bot,
            shared=shared,
        )
        return self._courier.send(Kind.EVENT, payload, team_id)

    def _assistant_event(self, kind: str, thread: AssistantThread, team_id: str, bot: str) -> None:
        if kind not in self._world.app.events:
            return
        about = {"user_id": thread.user, "context": thread.context, "channel_id": thread.channel, "thread_ts": thread.thread_ts}
        self.event({"type": kind, "assistant_thread": about, "event_ts": self._world.new_ts()}, team_id, bot)

    def _echo(self, what: str, message: Message) -> None:
        if self._world.app.echoes:
            self._tell_all(message, what)

    def _tell_all(self, message: Message, what: str) -> None:
        world, place = self._world, self._world.channel(message.channel)
        for bot in self._bots_in(place):
            if what == "posted":
                event = message_event(message, place, world.user(message.user), place.team_id)
                event |= {"blocks": message_json(world, message).get("blocks", [])}
            else:
                event = (changed_event if what == "changed" else deleted_event)(world, message, place, world.new_ts())
            self._tell(_subscription(place), event, place, bot, message)

    def _tell(self, subscription: str, event: Json, place: Channel, bot: str, message: Message) -> None:
        if subscription in self._world.app.events:
            delivery = self.event(event, self._world.user(bot).team_id, bot, place.is_ext_shared)
            message.deliveries.append(delivery.id)

    def _bots_in(self, place: Channel) -> list[str]:
        return [one for one in sorted(place.members) if one in self._world.users and self._world.users[one].bot_id]


def _subscription(place: Channel) -> str:
    return {"im": "message.im", "group": "message.groups", "channel": "message.channels"}[place.kind]
