"""A Diagnosis said in English, Chinese or Japanese, as Markdown. The texts are data: en.py, zh.py, ja.py.

Evidence is quoted verbatim in code spans, whatever it holds; only our own sentences are in the reader's language.
"""

from knowledge.wording.codes import explanation, texts_of, title
from knowledge.wording.localize import localized
from knowledge.wording.say import action_text, language, remedy_text, say
from knowledge.wording.translate import Language, translate

__all__ = [
    "Language",
    "action_text",
    "explanation",
    "language",
    "localized",
    "remedy_text",
    "say",
    "texts_of",
    "title",
    "translate",
]
