"""Which of our languages a question is written in, from its script alone."""

import re

from protocol.events import Language

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
