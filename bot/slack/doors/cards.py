"""Which approval a button of a card means, and whether the card is ours and current."""

from dataclasses import dataclass, replace

from bot.slack.doors.rim import Rim
from bot.slack.nonces import current, value
from bot.slack.work.drawing import Drawing
from bot.slack.work.sight import Sight
from bot.slack.work.telling import Place
from control_plane.approvals import Approval
from control_plane.errors import NotFound


@dataclass(frozen=True)
class Card:
    approval: Approval
    value: str
    """What its buttons carry."""
    place: Place
    """Where whoever pressed is told something."""


def private(user: str) -> str:
    """In place of a channel, for a card that one person alone was shown."""
    return f"private/{user}"


def private_value(rim: Rim, team: str, user: str, approval: Approval) -> str:
    return value(rim.key, team, private(user), approval.id, approval.plan.plan_hash)


async def card_on(rim: Rim, place: Place, told: str) -> Card | None:
    """Of a button on a message. None for one that is forged, old, or of another place: its nonce is of one plan in one channel,
    and there is one message that shows it."""
    approval = await _named(rim, told)
    if approval is None or not current(rim.key, place.team, place.channel, told, approval.plan.plan_hash):
        return None
    post = await rim.plane.slack_posts.get(place.team, f"approval:{approval.id}")
    # A post whose answer got lost has no time yet, but can be pressed.
    if post is None or post.channel != place.channel or (post.ts and post.ts != place.ts):
        return None
    return Card(approval, told, place)


async def card_in_view(rim: Rim, place: Place, told: str) -> Card | None:
    """Of a button in a window or in the Home tab, and of a window that was submitted: opened for this person, or from the card
    in its thread."""
    approval = await _named(rim, told)
    if approval is None:
        return None
    plan_hash = approval.plan.plan_hash
    if current(rim.key, place.team, private(place.user), told, plan_hash):
        return Card(approval, told, place)
    thread = await rim.plane.slack_threads.of_conversation(approval.conversation) if approval.conversation else None
    if thread is None or not current(rim.key, place.team, thread.channel, told, plan_hash):
        return None
    return Card(approval, told, replace(place, channel=thread.channel, thread_ts=thread.thread_ts or ""))


async def show_again(rim: Rim, place: Place, told: str) -> None:
    """Somebody pressed what is not current here: the card of that approval is made to look as it stands, if it is in this
    channel and may be."""
    approval = await _named(rim, told)
    if approval is None or approval.conversation is None:
        return
    thread = await rim.plane.slack_threads.of_conversation(approval.conversation)
    if thread is None or (thread.team, thread.channel) != (place.team, place.channel):
        return
    if await Sight(rim.plane, rim.identity).reaches(thread):
        key, content = await Drawing(rim.plane, rim.url).card(thread, approval)
        await rim.plane.slack_outbox.put_now(
            team=thread.team, channel=thread.channel, thread=thread.id, key=key, content=content
        )


async def _named(rim: Rim, told: str) -> Approval | None:
    try:
        return await rim.plane.approvals.get(told.partition(".")[0])
    except NotFound:
        return None
