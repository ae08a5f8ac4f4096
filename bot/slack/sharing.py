"""The same conversation on the web and in Slack: where its thread is, where one may be begun, and beginning it.

Needs none of Slack's libraries: what is begun here is shown by whichever replica works for Slack.
"""

from dataclasses import dataclass

from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.parts import actions, button, section
from bot.slack.mrkdwn import line
from bot.slack.words import say
from bot.slack.work.words import tell
from control_plane.audit import Entry, record
from control_plane.clock import utc_now
from control_plane.conversations import Conversation
from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.channels import Channel
from control_plane.slack.outbox import Content
from control_plane.slack.threads import Thread, ThreadKind, permalink
from protocol.approval import Role, role_at_least
from protocol.commands import ScopeLimit
from protocol.events import Language, LogEntry, UserMessage
from protocol.text import one_line

QUESTIONS = 3
"""So many of the last ones are told in the new thread, with their answers; the rest is a link."""


@dataclass(frozen=True)
class Place:
    team: str
    channel: str
    name: str
    """"" for a direct message."""
    kind: ThreadKind
    user: str = ""
    """Of a direct message: whose."""


async def places(plane: ControlPlane, conversation: Conversation, principal: Principal) -> tuple[Place, ...]:
    """Where this person may begin a thread of it: channels that may see all of it, and what they said to the bot directly."""
    if not plane.settings.slack_in_use() or not _may_begin(conversation, principal):
        return ()
    found = [
        Place(one.team, one.channel, f"#{one.name or one.channel}", "channel")
        for one in await plane.slack_channels.list(principal)
        if _covers(one, conversation)
    ]
    return (*found, *await _direct(plane, principal))


async def link(plane: ControlPlane, thread: Thread, principal: Principal) -> str:
    """Its address in Slack, for whom it leads somewhere; "" while it is not posted."""
    if not thread.thread_ts or (thread.kind in ("direct", "assistant") and not await _is_theirs(plane, thread, principal)):
        return ""
    workspace = await plane.slack_workspaces.get(thread.team)
    return permalink(workspace.url, thread.channel, thread.thread_ts) if workspace is not None else ""


async def begin(
    plane: ControlPlane,
    conversation: Conversation,
    principal: Principal,
    *,
    team: str,
    channel: str,
    language: Language,
    door: str,
) -> Thread:
    """Its thread: the one that it has, or a new one there. The same again changes nothing. Raises Conflict (Slack is not used
    here), Forbidden, NotFound (the channel is not bound, or may not see all of this conversation)."""
    if not plane.settings.slack_in_use():
        raise Conflict("Slack is not connected here; docs/slack.md says how to connect it", code="no_slack")
    there = await plane.slack_threads.of_conversation(conversation.id)
    if there is not None and there.thread_ts is not None:
        return there
    place = next(
        (one for one in await places(plane, conversation, principal) if (one.team, one.channel) == (team, channel)), None
    )
    if not _may_begin(conversation, principal):
        raise Forbidden("only who began this conversation, or an operator of all that it is about, begins its thread in Slack")
    if place is None:
        raise NotFound(
            f"there is no channel {one_line(channel, 40)!r} that may see all of this conversation; `opsthread slack channels` "
            "lists what each may see"
        )
    thread = there or await plane.slack_threads.start(
        team=place.team,
        channel=place.channel,
        thread_ts=None,
        conversation=conversation.id,
        kind=place.kind,
        language=language,
        started_by=place.user,
        recipient=place.user,
        # Nothing is told before the first message is put: then what is to be told goes with it.
        rendered=conversation.last_seq,
    )
    await _open(plane, thread, conversation, principal, language, door)
    return await plane.slack_threads.get(thread.id) or thread


async def _open(
    plane: ControlPlane,
    thread: Thread,
    conversation: Conversation,
    principal: Principal,
    language: Language,
    door: str,
) -> None:
    log: list[LogEntry] = []
    while entries := await plane.conversations.log(conversation.id, after=log[-1].seq if log else 0, limit=1_000):
        log += entries
    asked = [entry.seq for entry in log if isinstance(entry.event, UserMessage) and entry.event.door != "action"]
    since = asked[-QUESTIONS] - 1 if len(asked) > QUESTIONS else 0
    said = tell(language, "shared", who=line(principal.name, 80), title=line(conversation.title or "…", 200))
    # Never an address that a request named: people press it.
    url = (plane.settings.public_url or "").rstrip("/")
    press = [actions(button(say(language, "open_web"), OPEN_WEB, url=f"{url}/c/{conversation.id}"))] if url else []
    content = Content(text=said, blocks=[section(said), *press])
    key = f"shared:{conversation.id}"
    async with plane.database.transaction() as session:
        await plane.slack_outbox.put(
            session, team=thread.team, channel=thread.channel, thread=thread.id, key=key, content=content
        )
        if since < thread.rendered:
            await plane.slack_threads.advance(session, thread.id, thread.rendered, since)
        record(
            session,
            Entry(
                principal.account, "slack.thread_begun", f"conversation:{conversation.id}", utc_now(),
                actor_name=principal.name, door=door, cluster=conversation.cluster,
                detail={"channel": thread.channel, "team": thread.team}, tenant=principal.tenant,
            ),
        )  # fmt: skip


async def _direct(plane: ControlPlane, principal: Principal) -> list[Place]:
    """Slack tells us the channel of a direct message only when somebody writes in it."""
    mine = [one for one in await plane.slack_people.list(principal) if one.account == principal.account]
    found: list[Place] = []
    for one in mine:
        channel = await plane.slack_threads.direct_channel(one.team, one.user)
        if channel is not None:
            found.append(Place(one.team, channel, "", "direct", one.user))
    return found


async def _is_theirs(plane: ControlPlane, thread: Thread, principal: Principal) -> bool:
    return any(one.channel == thread.channel for one in await _direct(plane, principal))


def _may_begin(conversation: Conversation, principal: Principal) -> bool:
    """In a channel it is read by people who have no account here."""
    if conversation.created_by == principal.account:
        return True
    roles = [principal.role_in(conversation.cluster, one) for one in conversation.scope.namespaces or (None,)]
    return all(role is not None and role_at_least(role, Role.OPERATOR) for role in roles)


def _covers(channel: Channel, conversation: Conversation) -> bool:
    over = channel.over(conversation.cluster)
    return over is not None and covers(over, conversation.scope)


def covers(over: ScopeLimit, scope: ScopeLimit) -> bool:
    """All of `scope` is in `over`. Pure."""
    if over.namespaces is None:
        return True
    return scope.namespaces is not None and set(scope.namespaces) <= set(over.namespaces)
