"""assistant.threads.*: what an assistant shows beside its messages."""

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError, invalid
from tests.fake_slack.limits import LIMITS
from tests.fake_slack.records import AssistantThread, Json
from tests.fake_slack.world import World


def set_status(world: World, call: Call) -> Json:
    """Shows `… is thinking` for two minutes or until the bot's next message; an empty status takes it away."""
    if len(call.words("loading_messages")) > LIMITS["loading messages"]:
        raise invalid("invalid_arguments", ["no more than 10 items allowed [json-pointer:/loading_messages]"])
    thread = _thread(world, call)
    # The time is one of its own, so that what is posted later is later on a clock that stands still too.
    thread.statuses.append((float(world.new_ts()), call.text("status")))
    world.changed()
    return {"ok": True}


def set_title(world: World, call: Call) -> Json:
    thread = _thread(world, call, only_direct=True)
    thread.title = call.need("title")
    world.changed()
    return {"ok": True}


def set_suggested_prompts(world: World, call: Call) -> Json:
    prompts = call.objects("prompts")
    if not 1 <= len(prompts) <= LIMITS["suggested prompts"] or not all(
        one.get("title") and one.get("message") for one in prompts
    ):
        raise invalid("invalid_arguments", ["1 to 4 prompts with title and message [json-pointer:/prompts]"])
    thread = _thread(world, call, only_direct=True)
    thread.prompts = prompts
    world.changed()
    return {"ok": True}


def _thread(world: World, call: Call, only_direct: bool = False) -> AssistantThread:
    channel = world.channel(call.need("channel_id", "channel_not_found"))
    if call.token.user_id not in channel.members:
        raise SlackError("not_in_channel")
    if only_direct and not channel.is_im:
        raise SlackError("channel_type_not_supported")
    ts = call.need("thread_ts")
    if (channel.id, ts) not in world.messages:
        raise SlackError("thread_not_found")
    made = AssistantThread(channel.id, ts, channel.user, {})
    return world.assistant_threads.setdefault((channel.id, ts), made)
