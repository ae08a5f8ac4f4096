"""What Slack says of somebody: a full member of the workspace where the app is installed, or why not. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from control_plane.addresses import normal_address
from protocol.events import Language
from protocol.text import one_line

Standing = Literal["", "deleted", "bot", "guest", "foreign", "unknown"]
"""\"\": a full member."""


@dataclass(frozen=True)
class Told:
    """What `users.info` says, as far as it matters."""

    user: str
    name: str
    language: Language | None
    """Of the person's Slack; None for one that we have no words in."""
    standing: Standing
    address: str | None
    """Normalised, of a full member, verified by Slack."""
    unconfirmed: bool = False
    """There is an address that Slack does not say to be verified. What it does not say is not so."""


def told(answer: Mapping[str, Any], *, user: str, team: str, enterprise: str) -> Told:
    """`answer` is Slack's user object; empty when Slack knows nobody of this id. `team` and `enterprise` are where the app is
    installed; "" for no Enterprise Grid."""
    profile = _of(answer, "profile")
    named = (profile.get("display_name"), profile.get("real_name"), answer.get("real_name"), answer.get("name"))
    name = one_line(str(next((one for one in named if one), user)), 80)
    language = _LANGUAGES.get(str(answer.get("locale", ""))[:2])
    standing = _standing(answer, user=user, team=team, enterprise=enterprise)
    address = normal_address(str(profile.get("email") or "")) if not standing else None
    confirmed = answer.get("is_email_confirmed") is True
    return Told(user, name, language, standing, address if confirmed else None, address is not None and not confirmed)


def _standing(answer: Mapping[str, Any], *, user: str, team: str, enterprise: str) -> Standing:
    if not user or answer.get("id") != user:
        return "unknown"
    if _away(answer, team=team, enterprise=enterprise):
        return "foreign"
    said: list[Standing] = [standing for standing, signs in _SIGNS if any(_set(answer, sign) for sign in signs)]
    return said[0] if said else ""


def _away(answer: Mapping[str, Any], *, team: str, enterprise: str) -> bool:
    """Somebody of another workspace, met in a channel that is shared with it. In an Enterprise Grid a person belongs to every
    workspace that they are a member of, whichever is named as theirs."""
    if _set(answer, "is_stranger"):
        return True
    if answer.get("team_id") == team:
        return False
    grid = _of(answer, "enterprise_user")
    teams = cast(list[Any], grid.get("teams")) if isinstance(grid.get("teams"), list) else []
    return not (enterprise and grid.get("enterprise_id") == enterprise and team in teams)


def _set(answer: Mapping[str, Any], sign: str) -> bool:
    """Whatever is there and not plainly false counts as said."""
    return answer.get(sign) not in (None, False)


_SIGNS: tuple[tuple[Standing, tuple[str, ...]], ...] = (
    ("deleted", ("deleted",)),
    ("bot", ("is_bot", "is_workflow_bot", "is_connector_bot")),
    ("guest", ("is_restricted", "is_ultra_restricted", "is_invited_user")),
)
_LANGUAGES: dict[str, Language] = {"en": "en", "zh": "zh", "ja": "ja"}


def _of(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = value.get(name)
    return cast(Mapping[str, Any], found) if isinstance(found, Mapping) else {}
