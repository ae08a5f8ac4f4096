"""Titles and explanations by catalogue code, from the language's texts and the root cause's facts."""

import re
from functools import lru_cache
from importlib import import_module
from typing import cast

from knowledge.wording.texts import Texts
from knowledge.wording.translate import Language, is_ours, translate
from protocol.diagnosis import RootCause

_FIELD = re.compile(r"\{(\w+)\}")


def title(code: str, lang: Language = "en") -> str:
    """The code's short name; the code itself when it is not known (a newer runner may know more)."""
    row = texts_of(lang).codes.get(code)
    return row.title if row else code


def explanation(cause: RootCause, lang: Language = "en") -> str:
    """The cause in one or two sentences: the rule's own in the language, else what the language says of the code and its
    facts, else the words as they are."""
    row = texts_of(lang).codes.get(cause.code)
    if lang == "en":
        return cause.explanation
    if is_ours(cause.explanation, lang) or row is None:
        return translate(cause.explanation, lang)
    facts = {key: str(value) for key, value in cause.facts.items()}
    facts |= {"name": cause.object.name, "namespace": cause.object.namespace, "kind": cause.object.kind}
    if any(not facts.get(name) for name in _FIELD.findall(row.explanation)):
        return cause.explanation
    return _FIELD.sub(lambda match: facts[match[1]], row.explanation)


@lru_cache(maxsize=3)
def texts_of(lang: Language) -> Texts:
    return cast(Texts, import_module(f"knowledge.wording.{lang}").TEXTS)
