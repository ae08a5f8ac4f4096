"""What the bot says about the talk itself: whom it can't answer, and why. Answers and cards have their words elsewhere.

The rows of words.json: a key, English, Chinese, Japanese.
"""

from functools import cache
from importlib.resources import files

import orjson

from protocol.events import Language

_PLACE: dict[Language, int] = {"en": 0, "zh": 1, "ja": 2}


@cache
def rows() -> dict[str, tuple[str, str, str]]:
    found: list[list[str]] = orjson.loads((files("bot.slack.work") / "words.json").read_bytes())
    return {key: (en, zh, ja) for key, en, zh, ja in found}


def tell(language: Language, key: str, **values: object) -> str:
    """The words for `key`, with `{name}` replaced."""
    text = rows()[key][_PLACE[language]]
    for name, value in values.items():
        text = text.replace("{" + name + "}", str(value))
    return text
