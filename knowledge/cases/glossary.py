"""Chinese and Japanese questions in the English that local vectors understand: a term at a time, from terms.yaml. Pure.

MiniLM has read English: for other scripts its vectors say next to nothing. A case is found by the terms that a question hangs
on; a translation is not needed.
"""

import re
from functools import cache
from importlib.resources import files
from typing import cast

from knowledge.wording.codes import texts_of

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LATIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/%-]*")
_OF_TITLES = 4
"""Characters that a catalogue title must have to count as a term of its own."""


def in_english(text: str) -> str:
    """The terms of `text` in English, in their order, with its Latin words and numbers as they are. English text is itself."""
    if not _CJK.search(text):
        return text
    terms = _terms()
    words: list[str] = []
    at = 0
    while at < len(text):
        latin = _LATIN.match(text, at)
        if latin:
            words.append(latin[0])
            at = latin.end()
            continue
        term = next((text[at : at + size] for size in _sizes(text, at) if text[at : at + size] in terms), "")
        if term:
            words.append(terms[term])
        at += max(1, len(term))
    return " ".join(dict.fromkeys(words))


@cache
def _terms() -> dict[str, str]:
    import yaml

    raw = cast(
        dict[str, dict[str, str]], yaml.safe_load(files("knowledge.cases").joinpath("terms.yaml").read_text(encoding="utf-8"))
    )
    found: dict[str, str] = {}
    english = texts_of("en").codes
    for language in ("zh", "ja"):
        for code, row in texts_of(language).codes.items():
            if len(row.title) >= _OF_TITLES and code in english:
                found[row.title] = english[code].title
    for rows in raw.values():
        found |= {str(term): str(words) for term, words in rows.items()}
    return found


@cache
def _longest() -> int:
    return max(map(len, _terms()), default=0)


def _sizes(text: str, at: int) -> range:
    return range(min(_longest(), len(text) - at), 0, -1)
