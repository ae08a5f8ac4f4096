"""What the model is told: one Markdown file a prompt, in English, Chinese and Japanese, and a small loader.

A prompt is `<language>/<name>.md` beside this file; `${word}` stands for a value.
"""

import re
from functools import cache
from importlib.resources import files
from typing import Literal

LANGUAGES: tuple[Literal["en", "zh", "ja"], ...] = ("en", "zh", "ja")
NAMES: tuple[Literal["system", "budget", "conclude", "rejected", "relapsed"], ...] = (
    "system",
    "budget",
    "conclude",
    "rejected",
    "relapsed",
)
"""system: who the model is and how it works. budget: the turn's budget is used up, answer now. conclude: the message that
opens the turn after an action; rejected: after a rejection; relapsed: when a fix did not hold."""

_PLACE = re.compile(r"\$\{([a-z_]+)\}")


def prompt(name: str, language: str, **values: str) -> str:
    """The prompt with its places filled. Raises KeyError for an unknown prompt, language or a place without a value.

    A value is put in as it is: what looks like a place inside it stays text.
    """
    return _PLACE.sub(lambda place: values[place.group(1)], _text(name, language))


def places(name: str, language: str) -> frozenset[str]:
    """The names of the values that a prompt needs."""
    return frozenset(_PLACE.findall(_text(name, language)))


@cache
def _text(name: str, language: str) -> str:
    if name not in NAMES or language not in LANGUAGES:
        raise KeyError(f"there is no prompt {name!r} in {language!r}")
    return files(__name__).joinpath(language, f"{name}.md").read_text(encoding="utf-8").strip()
