"""Words, for queries that an embedding reads badly: exact names, codes, numbers. BM25 over a scope's texts."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r"[a-z0-9]+(?:[._:/-][a-z0-9]+)*|[\u3040-\u30ff\u3400-\u9fff]+", re.IGNORECASE)
_PART = re.compile(r"[a-z]+|[0-9]+", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[a-z0-9]+[._:/-][a-z0-9]|[a-z]\d|\d[a-z]|[a-z][A-Z]|[A-Z]{2,}_[A-Z]|\b\d{3,}\b")
_STOP_WORDS = """
a an and are as at be by for from has have in is it its no not of on or that the this to was were will with
"""
_STOP = frozenset(_STOP_WORDS.split())


def tokens(text: str) -> list[str]:
    """Lower-case words; an identifier whole and in parts; Chinese and Japanese runs as pairs of characters."""
    found: list[str] = []
    for match in _TOKEN.finditer(text[:20_000]):
        word = match[0].lower()
        if word[0] > "\u3000":
            found.extend(word[n : n + 2] for n in range(max(1, len(word) - 1)))
            continue
        if word not in _STOP:
            found.append(word)
        parts = _PART.findall(word)
        if len(parts) > 1:
            found.extend(part for part in parts if part not in _STOP)
    return found


def looks_like_identifier(query: str) -> bool:
    """Does the query hold a name, code or number that must match exactly?"""
    return _IDENTIFIER.search(query) is not None


class LexicalIndex:
    """BM25 over fixed texts. Built once; empty texts are fine."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._corpus = [tokens(text) for text in texts]
        self._sets = [frozenset(words) for words in self._corpus]
        self._bm25 = _bm25(self._corpus) if any(self._corpus) else None

    def scores(self, query: str) -> list[float]:
        """For each text 0 to 1: how much of the query's weight it holds. Texts that share no word score 0.

        BM25's own numbers have no upper bound, so each is divided by the best possible share of this query.
        """
        words = list(dict.fromkeys(tokens(query)))
        if self._bm25 is None or not words:
            return [0.0] * len(self._corpus)
        raw = _scores(self._bm25, words)
        top = max(raw, default=0.0)
        if top <= 0:
            return [0.0] * len(self._corpus)
        wanted = frozenset(words)
        best = max(range(len(raw)), key=raw.__getitem__)
        share = len(wanted & self._sets[best]) / len(wanted)
        return [share * value / top for value in raw]


def _bm25(corpus: list[list[str]]) -> Any:
    library = _library()
    model = library.BM25()
    model.index(corpus, show_progress=False)
    return model


def _scores(model: Any, words: list[str]) -> list[float]:
    known = [word for word in words if word in model.vocab_dict]
    if not known:
        return [0.0] * int(model.scores["num_docs"])
    return [float(value) for value in model.get_scores(known)]


@lru_cache(maxsize=1)
def _library() -> Any:
    import bm25s

    return bm25s
