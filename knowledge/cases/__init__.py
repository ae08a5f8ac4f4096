"""Cases: closed incidents as knowledge, found again by meaning, by words, and by their cause."""

from knowledge.cases.asking import asks
from knowledge.cases.case import Case, Outcome, tidy
from knowledge.cases.seeds import SEED, SEEDS_VERSION, seeds
from knowledge.cases.store import CaseStore, CasesUnavailable

__all__ = ["SEED", "SEEDS_VERSION", "Case", "CaseStore", "CasesUnavailable", "Outcome", "asks", "seeds", "tidy"]
