"""What every door needs: who somebody is, what they are told, and in which language."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

from bot.slack.blocks.parts import Message
from bot.slack.clients import Clients
from bot.slack.identity import FromSlack, Person
from bot.slack.linking import Linking, Wish
from bot.slack.nonces import key_of
from bot.slack.work.telling import Place, Telling
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from control_plane.slack.inbox import Received
from protocol.events import Language


@dataclass(frozen=True)
class Rim:
    plane: ControlPlane
    clients: Clients
    identity: FromSlack
    telling: Telling
    linking: Linking
    url: str
    """How people's browsers reach us, without a slash at its end."""

    @property
    def key(self) -> bytes:
        return key_of(self.plane.grant_key)

    def approval_page(self, approval: str) -> str:
        return f"{self.url}/approvals/{approval}" if self.url else ""

    async def language(self, place: Place, person: Person | None = None) -> Language:
        """The person's own; that of the channel for one that we have no words in."""
        if person is not None and person.language is not None:
            return person.language
        channel = None if place.direct or not place.channel else await self.plane.slack_channels.get(place.team, place.channel)
        return channel.language if channel is not None else "en"

    async def tell(self, place: Place, message: Message) -> None:
        """For their eyes alone. From where there is no channel (a window, the Home tab) it goes to them directly."""
        await self.telling.show(place, message)

    async def somebody(self, place: Place, *, fresh: bool, wish: Wish | None = None) -> tuple[Principal | None, Language, str]:
        """Who acts, as they stand now. Nobody is told why they are nobody; who wants to be linked gets that done instead. The
        last is what the inbox notes where there is nobody. Raises SlackTrouble."""
        person = await self.identity.who(place.team, place.user, fresh=fresh)
        language = await self.language(place, person)
        if wish is not None:
            return None, language, await self.linking.do(place, wish, language)
        if person.principal is None:
            where = place if place.channel else replace(place, channel=place.user)
            await self.linking.refuse(where, person, language)
        return person.principal, language, person.code


def typed_in(item: Received, name: str) -> str:
    """What somebody wrote into, or chose in, a field of a window."""
    values = cast(Mapping[str, str], item.payload.get("values") or {})
    return values.get(f"{name}/{name}", "").strip()
