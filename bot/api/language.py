"""Which of our languages: the one a question is written in, from its script alone, and the one that a reader reads."""

import re
from typing import Annotated, get_args

from fastapi import Depends, Request

from protocol.events import Language

LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_COOKIE = "opsthread_language"

_KANA = re.compile("[\u3040-\u30ff]")
_HAN = re.compile("[\u4e00-\u9fff]")


def language_of(text: str, otherwise: Language = "en") -> Language:
    """Kana is Japanese; Han without kana is Chinese unless the reader's language is Japanese; else `otherwise` for text
    without letters, English for the rest."""
    if _KANA.search(text):
        return "ja"
    if _HAN.search(text):
        return "ja" if otherwise == "ja" else "zh"
    return "en" if any(c.isalpha() for c in text) else otherwise


def choose(chosen: str | None, accept: str) -> Language:
    """What the person chose, else the first of ours that the browser accepts, else English."""
    for language in LANGUAGES:
        if chosen == language:
            return language
    for part in accept.split(","):
        wanted = part.split(";")[0].strip().lower()[:2]
        for language in LANGUAGES:
            if wanted == language:
                return language
    return "en"


def language_of_reader(request: Request) -> Language:
    """`?lang=`, else the page's cookie, else Accept-Language; English for a program that says nothing."""
    chosen = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE)
    return choose(chosen, request.headers.get("Accept-Language", ""))


Reader = Annotated[Language, Depends(language_of_reader)]
"""The language that our own sentences in the answer are in. Names, commands and quotes stay as they are."""
