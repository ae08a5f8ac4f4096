"""The words of the pages in three languages, from the same JSON catalogues that the browser reads."""

from functools import cache
from importlib.resources import files

import orjson

from protocol.events import Language


@cache
def catalogue(language: Language) -> dict[str, str]:
    return dict(orjson.loads((files("bot.web") / "i18n" / f"{language}.json").read_bytes()))


def say(language: Language, key: str, **values: object) -> str:
    """The words for `key`, with `{name}` replaced. Raises KeyError for a key that the catalogue lacks."""
    text = catalogue(language)[key]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
