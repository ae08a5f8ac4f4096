"""How a case is found: three lists (by meaning, by words, by cause) become one by their ranks. Pure.

Ranks, because cosines, BM25 and "the same code" are no numbers of one kind (reciprocal rank fusion, Cormack et al. 2009).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

K = 60
BY_WORDS, BY_IDENTIFIER, BY_CODE = 1.0, 2.0, 2.0
LEXICAL_FLOOR = 0.2
WORDS_FLOOR = 0.1
"""Where there are no vectors, words must do."""
VECTOR_FLOOR = 0.25
CODE_FLOOR = 0.5
"""What a case of the same cause is alike at least."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Case id to how much alike, 0 to 1. A list that was not made is empty."""

    meaning: Mapping[str, float] = field(default_factory=dict[str, float])
    words: Mapping[str, float] = field(default_factory=dict[str, float])
    code: frozenset[str] = frozenset()
    """Those with the cause that was asked for."""
    exact: bool = False
    """The question holds a name, code or number: words count for more."""


def fuse(lists: Lists, limit: int) -> list[tuple[str, float]]:
    """(id, how much alike), best first. What is below every floor is left out."""
    rank: dict[str, float] = {}
    for weight, scores in (
        (1.0, lists.meaning),
        (BY_IDENTIFIER if lists.exact else BY_WORDS, {key: score for key, score in lists.words.items() if score > 0}),
        (BY_CODE, dict.fromkeys(lists.code, 1.0)),
    ):
        for key, place in _places(scores).items():
            rank[key] = rank.get(key, 0.0) + weight / (K + place)
    alike = {key: likeness(lists, key) for key in rank}
    best = sorted((key for key in rank if alike[key] > 0), key=lambda key: (-rank[key], -alike[key], key))
    return [(key, alike[key]) for key in best[:limit]]


def likeness(lists: Lists, key: str) -> float:
    """What is shown: the best of the lists; 0 for a case that none of them really finds."""
    meaning, words = lists.meaning.get(key, 0.0), lists.words.get(key, 0.0)
    found = [meaning if meaning >= VECTOR_FLOOR else 0.0]
    if words >= (LEXICAL_FLOOR if lists.meaning else WORDS_FLOOR) and (lists.exact or not lists.meaning):
        found.append(words)
    if key in lists.code:
        found.append(max(meaning, CODE_FLOOR))
    return min(1.0, max(found))


def _places(scores: Mapping[str, float]) -> dict[str, int]:
    """1 for the best; equals share a place."""
    order = sorted(scores.values(), reverse=True)
    first: dict[float, int] = {}
    for place, score in enumerate(order, 1):
        first.setdefault(score, place)
    return {key: first[score] for key, score in scores.items()}
