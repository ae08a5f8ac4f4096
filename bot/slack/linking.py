"""A person of Slack says who they are: `link`, `link 123456`, `unlink`, in three languages, to the bot alone or by a mention.

Why it takes both an address that only they are given and a code that only the web page shows: control_plane.slack.people.
"""

import re
from dataclasses import dataclass
from typing import Literal

from bot.slack.blocks.answer import OPEN_WEB
from bot.slack.blocks.parts import actions, button, section
from bot.slack.identity import Identity, Person
from bot.slack.mrkdwn import escape
from bot.slack.work.telling import Place, Telling
from bot.slack.work.words import tell
from control_plane.errors import Conflict, Forbidden, NotFound
from control_plane.services import ControlPlane
from knowledge.wording import translate
from protocol.events import Language

PATH = "/slack/link"
"""Of the web page; an offer's token follows."""
_SAID = re.compile(
    r"(?P<unlink>(?:please )?unlink(?: me)?(?: please)?|解除(?:关联|连接)|取消关联|(?:連携|リンク)(?:を)?解除(?:して)?)"
    r"|(?:(?:please )?link(?: me)?(?: please)?|关联|(?:連携|リンク)(?:して)?)"
    r"(?:[ :：]*(?P<code>[0-9０-９][0-9０-９ -]{3,10}))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Wish:
    what: Literal["offer", "confirm", "unlink"]
    code: str = ""


def wish_of(text: str) -> Wish | None:
    """None: it is about something else. Pure."""
    found = _SAID.fullmatch(text.strip(" \t\n.!。！`"))
    if found is None:
        return None
    if found["unlink"]:
        return Wish("unlink")
    digits = "".join(str(int(sign)) for sign in found["code"] or "" if sign.isdecimal())
    return Wish("confirm", digits) if digits else Wish("offer")


class Linking:
    """`url` is how people's browsers reach us."""

    def __init__(self, plane: ControlPlane, identity: Identity, telling: Telling, url: str) -> None:
        self._people = plane.slack_people
        self._identity = identity
        self._telling = telling
        self._url = url.rstrip("/")

    async def do(self, place: Place, wish: Wish, language: Language) -> str:
        """Gives a note for the inbox. Raises SlackTrouble."""
        person = await self._identity.who(place.team, place.user, fresh=True)
        if person.code not in ("", "unlinked", "unconfirmed", "disabled"):
            await self.refuse(place, person, language)
            return person.code
        match wish.what:
            case "offer":
                return await self._offer(place, person, language)
            case "confirm":
                return await self._confirm(place, wish.code, language)
            case "unlink":
                return await self._unlink(place, language)

    async def refuse(self, place: Place, person: Person, language: Language) -> None:
        """Why somebody is nobody here; with an offer where that helps."""
        if person.may_link and not await self._people.is_taken(person.team, person.user):
            await self._give(place, person, tell(language, f"who.{person.code}"), language)
            return
        key = "link.waiting" if person.may_link else f"who.{person.code}"
        await self._telling.say(place, tell(language, key))

    async def _offer(self, place: Place, person: Person, language: Language) -> str:
        linked = await self._people.get(person.team, person.user)
        if linked is not None and linked.how == "link":
            await self._telling.say(place, tell(language, "link.already", account=linked.account_name))
            return "linked already"
        await self._give(place, person, tell(language, "link.offer"), language)
        return "offered"

    async def _give(self, place: Place, person: Person, words: str, language: Language) -> None:
        token = await self._people.offer(person.team, person.user, person.name)
        press = button(tell(language, "link.button"), OPEN_WEB, url=f"{self._url}{PATH}/{token}", style="primary")
        await self._telling.say(place, words, [section(escape(words)), actions(press)])

    async def _confirm(self, place: Place, code: str, language: Language) -> str:
        try:
            linked = await self._people.confirm(place.team, place.user, code)
        except (Forbidden, NotFound, Conflict) as error:
            await self._telling.say(place, translate(error.message, language))
            return error.code
        await self._telling.say(place, tell(language, "link.done", account=linked.account_name))
        return "linked"

    async def _unlink(self, place: Place, language: Language) -> str:
        try:
            was = await self._people.unlink_from_slack(place.team, place.user)
        except NotFound as error:
            await self._telling.say(place, translate(error.message, language))
            return error.code
        key = "link.ended" if was.how == "link" else "link.ended_email"
        await self._telling.say(place, tell(language, key, account=was.account_name))
        return "unlinked"
