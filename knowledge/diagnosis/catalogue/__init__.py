"""The published catalogue: every code that a rule may report, what it means, how bad it is and what can bring it about.

Codes are kebab-case and never renamed; docs, remedies, wording, weights and exams refer to them.
"""

from knowledge.diagnosis.catalogue.code import Channel, Code, Tier
from knowledge.diagnosis.catalogue.platform import PLATFORM
from knowledge.diagnosis.catalogue.pods import PODS

__all__ = ["CATALOGUE", "Channel", "Code", "Tier", "entry"]

CATALOGUE: dict[str, Code] = {row.code: row for row in (*PODS, *PLATFORM)}


def entry(code: str) -> Code:
    """Raises KeyError for a code that is not published."""
    return CATALOGUE[code]
