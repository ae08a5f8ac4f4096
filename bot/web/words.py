"""The words of the pages in three languages, from the same JSON catalogues that the browser reads."""

from functools import cache
from importlib.resources import files
from typing import get_args

import orjson

from protocol.events import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)


@cache
def catalogue(language: Language) -> dict[str, str]:
    return dict(orjson.loads((files("bot.web") / "i18n" / f"{language}.json").read_bytes()))


def say(language: Language, key: str, **values: object) -> str:
    """The words for `key`, with `{name}` replaced. Raises KeyError for a key that the catalogue lacks."""
    text = catalogue(language)[key]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def choose(cookie: str | None, accept: str) -> Language:
    """What the person chose, else the first of ours that the browser accepts, else English."""
    for language in LANGUAGES:
        if cookie == language:
            return language
    for part in accept.split(","):
        wanted = part.split(";")[0].strip().lower()[:2]
        for language in LANGUAGES:
            if wanted == language:
                return language
    return "en"
