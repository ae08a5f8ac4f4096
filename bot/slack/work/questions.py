"""Messages become questions: who asks, about which cluster, within what; then the conversation and its turn.

Everything here may be done twice: the thread is one by its place, the turn by the item's id.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from bot.api.language import language_of
from bot.api.throttle import Throttle
from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.parts import actions, button, section
from bot.slack.clients import Clients
from bot.slack.identity import Identity, Person
from bot.slack.linking import Linking, wish_of
from bot.slack.mrkdwn import escape
from bot.slack.sharing import covers
from bot.slack.web_api import SlackTrouble
from bot.slack.work.asked import Said, Wish, clusters_named, people_in, said
from bot.slack.work.contents import asked_by_command
from bot.slack.work.telling import Place, Telling, place_of
from bot.slack.work.words import tell
from control_plane.errors import Forbidden, Invalid, NotFound, NotSignedIn, TooMany
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.channels import Channel
from control_plane.slack.inbox import Received
from control_plane.slack.outbox import Content
from control_plane.slack.threads import Thread, ThreadKind
from knowledge.wording import translate
from protocol.events import Language

CHOOSE = "choose_cluster"
"""action_id, with `:<n>` after it. The value names the item that asked and the cluster."""
_MOST_CHOICES = 25
_MOST_NAMES = 10
"""People in a message who are named to the model as people call them; of others it reads the ids."""
NAMES_A_MINUTE = 60
"""Of a workspace: Slack answers about a hundred such questions a minute."""
STRANGERS_ASK, STRANGERS_WINDOW_S = 20, 600.0
"""Questions of one person without an account."""
_SHORTCUTS: dict[str, Wish] = {"follow": "follow", "unfollow": "unfollow"}
"""By callback_id, as the manifest names them."""


@dataclass(frozen=True)
class Question:
    """Something that somebody wrote to us, as far as it is known."""

    item: str
    """Id in the inbox: what makes asking it twice asking once."""
    place: Place
    said: Said
    mention: bool
    language: Language
    channel: Channel | None
    thread: Thread | None
    files: int = 0
    by_app: bool = False
    """Another app said it, perhaps by the token of a person: it is nobody here, whoever that is."""


class _Told(Exception):
    """It ends with words to the person (a key of `words`)."""

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self.values = values
        super().__init__(key)


class _Nobody(Exception):
    """Who asks is nobody here, and the channel lets no stranger read."""

    def __init__(self, person: Person) -> None:
        self.person = person
        super().__init__(person.code)


class Questions:
    def __init__(
        self, plane: ControlPlane, clients: Clients, identity: Identity, telling: Telling, linking: Linking, url: str = ""
    ) -> None:
        """`url` is how people's browsers reach us; "" makes no links."""
        self._url = url
        self._linking = linking
        self._plane = plane
        self._clients = clients
        self._identity = identity
        self._telling = telling
        self._lookups = Throttle(NAMES_A_MINUTE, 60.0)
        self._strangers = Throttle(STRANGERS_ASK, STRANGERS_WINDOW_S)

    async def message(self, item: Received) -> str:
        """Handles kind `message`."""
        question = await self._read(item)
        if not _for_us(question):
            return "said to somebody else"
        return await self._answer(question, item)

    async def command(self, item: Received) -> str:
        """Handles `ask` of the slash command."""
        return await self._answer(await self._read(item), item)

    async def shortcut(self, item: Received) -> str:
        """Handles kind `shortcut`: follow or unfollow, from the menu of any message of a thread."""
        wish: Wish | None = _SHORTCUTS.get(str(item.payload.get("callback_id", "")))
        if wish is None:
            return "nothing is done with these"
        place = place_of(item.team, item.payload)
        channel = None if place.direct else await self._plane.slack_channels.get(item.team, place.channel)
        thread = await self._plane.slack_threads.find(item.team, place.channel, place.thread)
        usual: Language = thread.language if thread is not None else channel.language if channel is not None else "en"
        question = Question(
            item=item.id, place=place, said=Said("", wish), mention=True, language=usual, channel=channel, thread=thread
        )
        return await self._answer(question, item)

    async def chosen(self, item: Received) -> str:
        """Handles the buttons of `which_cluster`."""
        asked, _, cluster = str(item.payload.get("value", "")).partition(".")
        original = await self._plane.slack_inbox.get(asked)
        if original is None or original.kind not in ("message", "command") or original.team != item.team:
            return "the question is not there any more"
        question = await self._read(original)
        if question.place.user != item.payload.get("user"):
            await self._telling.say(place_of(item.team, item.payload), tell(question.language, "not_yours"))
            return "somebody else's question"
        return await self._answer(question, original, cluster=cluster)

    async def assistant_started(self, item: Received) -> str:
        """Somebody opened the assistant: what can be asked, in words to press."""
        place = Place(
            item.team, str(item.payload["channel"]), str(item.payload["user"]), thread_ts=str(item.payload["thread_ts"])
        )
        person = await self._identity.who(place.team, place.user)
        language = person.language or "en"
        await self._telling.say(place, tell(language, "hello"))
        asks = [tell(language, key) for key in ("prompt.wrong", "prompt.changed")]
        await self._telling.prompts(place, [(ask, ask) for ask in asks])
        return "greeted"

    async def give_up(self, item: Received, _why: str) -> None:
        if item.kind in ("message", "action", "command"):
            await self._telling.say(
                place_of(item.team, item.payload), tell(language_of(str(item.payload.get("text", ""))), "not_done")
            )

    async def _commanded(self, item: Received) -> Question:
        """What nobody has seen yet: the thread begins with a message of ours that says who asks what."""
        place = place_of(item.team, item.payload)
        words = said(str(item.payload["text"]).strip().partition(" ")[2], "")
        channel = None if place.direct else await self._plane.slack_channels.get(item.team, place.channel)
        begun = await self._plane.slack_outbox.thread_of(item.team, f"asked:{item.id}")
        return Question(
            item=item.id,
            place=place,
            said=words,
            mention=True,
            language=language_of(words.text, channel.language if channel is not None else "en"),
            channel=channel,
            thread=await self._plane.slack_threads.get(begun) if begun is not None else None,
        )

    async def _read(self, item: Received) -> Question:
        if item.kind == "command":
            return await self._commanded(item)
        payload, place = item.payload, place_of(item.team, item.payload)
        me = await self._clients.me(item.team)
        text = str(payload["text"])
        names = await self._names(item.team, [user for user in people_in(text) if user != me.user][:_MOST_NAMES])
        thread = await self._plane.slack_threads.find(item.team, place.channel, place.thread)
        channel = None if place.direct else await self._plane.slack_channels.get(item.team, place.channel)
        usual: Language = thread.language if thread is not None else channel.language if channel is not None else "en"
        words = said(text, me.user, names)
        return Question(
            item=item.id,
            place=place,
            said=words,
            mention=bool(payload.get("mention")) and f"<@{me.user}" in text,
            language=language_of(words.text, usual),
            channel=channel,
            thread=thread,
            files=int(payload.get("files") or 0),
            by_app=bool(payload.get("by_app")),
        )

    async def _names(self, team: str, users: list[str]) -> dict[str, str]:
        """Display names, as far as they can be had: Slack says so many a minute, and approvals need them more."""
        found: dict[str, str] = {}
        with suppress(TooMany, SlackTrouble):
            for user in users:
                self._lookups.take(team)
                found[user] = await self._identity.name_of(team, user)
        return found

    async def _answer(self, question: Question, item: Received, cluster: str = "") -> str:
        place, language = question.place, question.language
        for_us = (place.direct or question.mention) and not question.by_app
        wish = wish_of(question.said.text) if for_us else None
        if wish is not None:
            return await self._linking.do(place, wish, language)
        try:
            principal = await self._who(question)
            note = await self._do(question, principal, cluster)
        except _Nobody as nobody:
            if not question.mention and not place.direct:
                return "a stranger in a thread that is followed"
            await self._linking.refuse(place, nobody.person, language)
            return nobody.person.code
        except _Told as ended:
            await self._telling.say(place, tell(language, ended.key, **ended.values))
            return ended.key
        except (Forbidden, NotFound, Invalid, TooMany) as error:
            await self._telling.say(place, translate(error.message, language))
            return error.message
        for key, count in (("files", item.payload.get("files")), ("redacted", item.payload.get("redacted"))):
            if count:
                await self._telling.say(place, tell(language, key, n=count))
        return note

    async def _who(self, question: Question) -> Principal:
        place, channel = question.place, question.channel
        person = await self._identity.who(place.team, place.user)
        if question.by_app:
            person = replace(person, principal=None, code="bot")
        if person.principal is not None:
            return person.principal
        # Strangers read: how the bot behaves in a thread is not theirs to say.
        reads = person.stranger and question.said.wish not in ("follow", "unfollow")
        if reads and channel is not None and channel.stranger_account is not None:
            try:
                principal = await self._plane.accounts.principal(channel.stranger_account)
            except NotSignedIn:  # unbound a moment ago
                raise _Nobody(person) from None
            self._strangers.take(f"{person.team}/{person.user}")
            return principal.model_copy(update={"name": f"{principal.name}: {person.name} ({person.user})"})
        raise _Nobody(person)

    async def _do(self, question: Question, principal: Principal, cluster: str) -> str:
        if question.said.wish in ("follow", "unfollow") and not question.place.direct:
            return await self._follow(question, principal, on=question.said.wish == "follow")
        if question.said.wish == "help" or not question.said.text:
            raise _Told("files" if question.files and not question.said.text else "help")
        thread = question.thread
        if thread is None:
            scope = await self._scope(question, principal, cluster)
            if scope is None:
                return "asked which cluster"
            thread = await self._start(question, principal, *scope)
            if thread.kind == "assistant":
                await self._telling.title(question.place, question.said.text)
        await self._may(question, thread, principal)
        if thread.recipient != question.place.user:
            await self._plane.slack_threads.recipient(thread.id, question.place.user)
        await self._plane.conversations.ask(
            thread.conversation,
            principal,
            question.said.text,
            door="slack",
            language=question.language,
            client_id=question.item,
        )
        if question.thread is None:
            await self._fuller(question, thread, principal)
        return thread.conversation

    async def _fuller(self, question: Question, thread: Thread, principal: Principal) -> None:
        """Who may see more than this channel does is told where."""
        if question.place.direct or not self._url:
            return
        conversation = await self._plane.conversations.get(thread.conversation)
        if covers(conversation.scope, principal.scope_limit(conversation.cluster)):
            return
        words = tell(question.language, "fuller", namespaces=", ".join(conversation.scope.namespaces or ()))
        press = button(tell(question.language, "fuller.button"), OPEN_WEB, url=f"{self._url}/?cluster={conversation.cluster}")
        await self._telling.say(question.place, words, [section(escape(words)), actions(press)])

    async def _may(self, question: Question, thread: Thread, principal: Principal) -> None:
        """Whoever asks in a thread holds all that it may show, and so does its channel, as it is bound now."""
        try:
            conversation = await self._plane.conversations.get(thread.conversation, principal)
        except NotFound:
            raise _Told("narrower") from None
        if question.place.direct:
            return
        over = question.channel.over(conversation.cluster) if question.channel is not None else None
        if over is None or not covers(over, conversation.scope):
            raise _Told("channel_narrowed" if question.channel is not None else "unbound")

    async def _follow(self, question: Question, principal: Principal, *, on: bool) -> str:
        thread = question.thread
        if thread is None:
            raise _Told("no_thread")
        await self._may(question, thread, principal)
        await self._plane.slack_threads.follow(thread.id, on)
        key = "follows" if on else "unfollows"
        await self._plane.slack_outbox.put_now(
            team=thread.team,
            channel=thread.channel,
            thread=thread.id,
            key=f"note:{question.item}",
            content=Content(text=escape(tell(question.language, key))),
        )
        return key

    async def _scope(self, question: Question, principal: Principal, cluster: str) -> tuple[str, tuple[str, ...] | None] | None:
        """(cluster, namespaces) of a new conversation; None when the person was asked which cluster. Raises _Told."""
        seen = await self._plane.fleet.list(principal)
        named = (cluster,) if cluster else clusters_named(question.said.text, [(one.id, one.name) for one in seen])
        if question.place.direct:
            ids = [one.id for one in seen]
            wanted = [one for one in named if one in ids] or ids
            if not wanted:
                raise _Told("no_cluster")
            if len(wanted) > 1 and (near := await self._beside(question, wanted)) is not None:
                return near, None
            if len(wanted) > 1:
                await self._which(question, [(one.id, one.name) for one in seen if one.id in wanted])
                return None
            return wanted[0], None
        channel = question.channel
        if channel is None or not channel.reach:
            raise _Told("unbound")
        reached = [one.cluster for one in channel.reach]
        elsewhere = [one.name for one in seen if one.id in named and one.id not in reached]
        if elsewhere and not any(one in reached for one in named):
            raise _Told("not_here", cluster=elsewhere[0])
        for one in [near for near in reached if near in named] or reached:
            scope = self._plane.slack_channels.scope(channel, principal, one)
            if scope is not None:
                return one, scope.namespaces
        raise _Told("nothing_yours")

    async def _beside(self, question: Question, wanted: list[str]) -> str | None:
        """Of these clusters the one that the channel means which is open beside the assistant."""
        place = question.place
        if not place.thread_ts:
            return None
        channel = await self._plane.slack_inbox.beside(place.team, f"{place.team}/{place.channel}/{place.thread_ts}")
        bound = await self._plane.slack_channels.get(place.team, channel) if channel else None
        return next((one.cluster for one in bound.reach if one.cluster in wanted), None) if bound is not None else None

    async def _which(self, question: Question, clusters: list[tuple[str, str]]) -> None:
        words = tell(question.language, "which_cluster")
        buttons = [
            button(name, f"{CHOOSE}:{n}", value=f"{question.item}.{cluster}")
            for n, (cluster, name) in enumerate(clusters[:_MOST_CHOICES])
        ]
        await self._telling.say(question.place, words, [section(escape(words)), actions(*buttons)])

    async def _start(
        self, question: Question, principal: Principal, cluster: str, namespaces: tuple[str, ...] | None
    ) -> Thread:
        place, channel = question.place, question.channel
        kind: ThreadKind = "channel" if not place.direct else "assistant" if place.thread_ts else "direct"
        thread = await self._plane.slack_threads.start_with(
            principal,
            cluster=cluster,
            namespaces=namespaces,
            team=place.team,
            channel=place.channel,
            thread_ts=place.thread or None,
            kind=kind,
            follow=channel.follow if channel is not None else False,
            language=question.language,
            started_by=place.user,
            recipient=place.user,
            once="" if place.thread else question.item,
        )
        if not place.thread:
            who = await self._identity.name_of(place.team, place.user)
            key, content = asked_by_command(question.item, who, question.said.text, question.language)
            await self._plane.slack_outbox.put_now(
                team=place.team, channel=place.channel, thread=thread.id, key=key, content=content
            )
        return thread


def _for_us(question: Question) -> bool:
    """Talks over nobody: in channels it is named, or somebody asked it to follow and nobody else is spoken to."""
    if question.place.direct or question.mention:
        return True
    return question.thread is not None and question.thread.follow and not question.said.to_another
