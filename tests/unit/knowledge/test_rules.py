"""All rules together: every code is covered, a healthy cluster has no hit, every hit brings evidence."""

import pytest

from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.engine import run_rules
from knowledge.diagnosis.rules import RULES
from knowledge.diagnosis.scope import scope_of_cluster
from tests.unit.knowledge import test_rules_platform, test_rules_pods
from tests.unit.knowledge.faults import Row, hits
from tests.unit.knowledge.shop import shop

ROWS = [*test_rules_pods.TABLE, *test_rules_platform.TABLE]


def test_every_code_has_a_row() -> None:
    assert {row.code for row in ROWS} == CATALOGUE.keys()


def test_a_healthy_shop_has_no_hit() -> None:
    assert hits(shop()) == set()


@pytest.mark.parametrize("row", ROWS, ids=[f"{n}-{row.code}" for n, row in enumerate(ROWS)])
def test_hits_carry_evidence(row: Row) -> None:
    found, _ = run_rules(Context(row.make().view()), scope_of_cluster(), RULES)
    for hit in found:
        assert hit.evidence, hit.code
        assert hit.code in CATALOGUE
        assert all(quote.evidence().excerpt for quote in hit.evidence)
