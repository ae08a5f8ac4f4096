"""Cases: closed incidents as knowledge, found again by meaning, by words, and by their cause."""

from knowledge.cases.case import Case, Outcome, tidy
from knowledge.cases.store import CaseStore, CasesUnavailable

__all__ = ["Case", "CaseStore", "CasesUnavailable", "Outcome", "tidy"]
