"""The words of the Slack bot in three languages. What a card here and a card on the web both say comes from the web's own
catalogue, so that it is said once; what only Slack says is in the JSON files beside this one."""

from functools import cache
from importlib.resources import files

import orjson

from bot.web.words import catalogue as web_words
from knowledge.wording import texts_of
from protocol.events import Language

__all__ = ["Language", "catalogue", "colon", "duration", "say", "say_or", "sentences", "told"]


@cache
def catalogue(language: Language) -> dict[str, str]:
    """What only Slack says."""
    return dict(orjson.loads((files("bot.slack.words") / f"{language}.json").read_bytes()))


def say(language: Language, key: str, **values: object) -> str:
    """The words for `key` with `{name}` replaced. Raises KeyError for a key that neither catalogue has."""
    own = catalogue(language)
    text = own[key] if key in own else web_words(language)[key]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def say_or(language: Language, key: str, otherwise: str) -> str:
    """For codes that a newer part may send."""
    try:
        return say(language, key)
    except KeyError:
        return otherwise


def sentences(language: Language, *parts: str | None) -> str:
    """Sentences one after another. Chinese and Japanese end each with their own stop and put no space between."""
    said = [part for part in parts if part]
    if language == "en":
        return " ".join(said)
    return "".join(part if part.endswith(("。", "！", "？")) else f"{part}。" for part in said)


def told(language: Language, label: str, words: str) -> str:
    """A label and what it says."""
    return f"{label}{colon(language)}{words}"


def colon(language: Language) -> str:
    """As the language writes it, with the space after it where it has one."""
    return texts_of(language).phrases["colon"]


def duration(language: Language, ms: float) -> str:
    if ms < 1_000:
        return say(language, "unit.ms", n=max(1, round(ms)))
    if ms < 60_000:
        seconds = ms / 1_000
        return say(language, "unit.s", n=f"{seconds:.1f}" if seconds < 10 else round(seconds))
    return say(language, "unit.min", m=int(ms // 60_000), s=round(ms % 60_000 / 1_000))
