"""What people do in Slack: they write, mention, press, fill in, open."""

from tests.fake_slack.courier import Courier
from tests.fake_slack.deliveries import Delivery, Kind
from tests.fake_slack.payloads import envelope_of, message_event, typed_text
from tests.fake_slack.records import Channel, Json, Message
from tests.fake_slack.world import World


class People:
    """Actions of people; each returns what it made."""

    def __init__(self, world: World, courier: Courier) -> None:
        self._world = world
        self._courier = courier

    async def write(self, channel: str, user: str, text: str, thread_ts: str = "") -> Message:
        """A person writes; the events that Slack would send to the app go out."""
        world = self._world
        place, person = world.channel(channel), world.user(user)
        message = world.add(
            Message(place.id, world.new_ts(), person.team_id, user, text, blocks=typed_text(text), thread_ts=thread_ts)
        )
        event = message_event(message, place, person, place.team_id)
        for bot in self._bots_in(place):
            if f"<@{bot}>" in text and not place.is_im:
                mention = {key: value for key, value in event.items() if key != "channel_type"} | {"type": "app_mention"}
                self._tell("app_mention", mention, place, bot, message)
            self._tell(_subscription(place), event, place, bot, message)
        return message

    async def mention(self, channel: str, user: str, text: str, thread_ts: str = "") -> Message:
        """A person mentions the bot in a channel."""
        home = self._world.channel(channel).team_id
        bot = next(one.id for one in self._world.users.values() if one.bot_id and one.team_id == home)
        return await self.write(channel, user, f"<@{bot}> {text}", thread_ts)

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

    def _tell(self, subscription: str, event: Json, place: Channel, bot: str, message: Message) -> None:
        if subscription in self._world.app.events:
            delivery = self.event(event, self._world.user(bot).team_id, bot, place.is_ext_shared)
            message.deliveries.append(delivery.id)

    def _bots_in(self, place: Channel) -> list[str]:
        return [one for one in sorted(place.members) if one in self._world.users and self._world.users[one].bot_id]


def _subscription(place: Channel) -> str:
    return {"im": "message.im", "group": "message.groups", "channel": "message.channels"}[place.kind]
