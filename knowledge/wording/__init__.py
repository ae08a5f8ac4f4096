"""A Diagnosis said in English, Chinese or Japanese, as Markdown. The texts are data: en.py, zh.py, ja.py.

Evidence is quoted verbatim in code spans, whatever it holds; only our own sentences are in the reader's language.
"""

from knowledge.wording.say import Language, action_text, explanation, language, remedy_text, say, texts_of, title

__all__ = ["Language", "action_text", "explanation", "language", "remedy_text", "say", "texts_of", "title"]
