"""Weights from votes: how far outcomes and people's feedback may move what is suspected and what is advised first. Pure.

A vote is one source's word for or against one key: a catalogue code, or `code/remediation`. Whatever the votes, a weight stays
between LEAST and MOST, and one person moves a key by no more than PERSON_MOST votes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["cause", "remedy"]

LEAST, MOST = 0.5, 2.0
TO_DOUBLE = 8
"""Votes for, and none against, that double a weight."""
PERSON_MOST = 2


@dataclass(frozen=True, slots=True)
class Vote:
    kind: Kind
    key: str
    value: int
    """+1 or -1."""
    by: str = ""
    """The account; "" for an outcome that was seen in a cluster."""


def weigh(votes: Iterable[Vote]) -> dict[tuple[Kind, str], float]:
    """Every weight that is not 1, rounded to thousandths."""
    of_people: dict[tuple[Kind, str], dict[str, int]] = {}
    seen: dict[tuple[Kind, str], int] = {}
    for vote in votes:
        key = (vote.kind, vote.key)
        value = max(-1, min(1, vote.value))
        if vote.by:
            mine = of_people.setdefault(key, {})
            mine[vote.by] = mine.get(vote.by, 0) + value
        else:
            seen[key] = seen.get(key, 0) + value
    found: dict[tuple[Kind, str], float] = {}
    for key in (*of_people, *seen):
        said = sum(max(-PERSON_MOST, min(PERSON_MOST, net)) for net in of_people.get(key, {}).values())
        # Beyond the bounds nothing is gained, and the power of many years' votes is no number.
        net = max(-TO_DOUBLE, min(TO_DOUBLE, said + seen.get(key, 0)))
        weight = bounded(2.0 ** (net / TO_DOUBLE))
        if weight != 1.0:
            found[key] = weight
    return found


def bounded(weight: float) -> float:
    return round(min(MOST, max(LEAST, weight)), 3)


def remedy_key(code: str, remediation: str) -> str:
    """`remediation` is the action's type; "" for what a person does by hand."""
    return f"{code}/{remediation}" if remediation else ""


def of_kind(weights: Mapping[tuple[Kind, str], float], kind: Kind) -> dict[str, float]:
    return {key: weight for (which, key), weight in weights.items() if which == kind}
