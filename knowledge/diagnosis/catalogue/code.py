"""What a catalogue code is."""

from dataclasses import dataclass
from enum import IntEnum

from protocol.diagnosis import Severity


class Tier(IntEnum):
    """How near to the root a code is. On one object a higher tier explains a lower one."""

    SYMPTOM = 10  # what a user sees: never a root cause by itself
    FAILURE = 20  # something fails, the reason is not in the rule
    CHANGE = 25  # it began with a change of its own; which part of it is at fault is not in the rule
    MECHANISM = 30  # how it fails is known; a dependency may be behind it
    CAUSE = 40  # a person can put exactly this right


class Channel(IntEnum):
    """By which relation another object's trouble can bring a code about."""

    CALLS = 1
    CONFIG = 2
    NODE = 3
    STORAGE = 4
    SELECTS = 5
    LIMITS = 6
    TRAFFIC = 7


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    title: str
    meaning: str
    severity: Severity
    tier: Tier
    channels: frozenset[Channel] = frozenset()
    prior: float = 1.0
