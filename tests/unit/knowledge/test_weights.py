"""How far votes move a weight: a table."""

import pytest

from knowledge.diagnosis import diagnose
from knowledge.remedies import recommend
from knowledge.weights import LEAST, MOST, PERSON_MOST, Vote, remedy_key, weigh
from protocol.commands import Diagnose
from protocol.diagnosis import Diagnosis
from tests.unit.knowledge.test_engine import both
from tests.unit.knowledge.test_remedies import cause

FACTS: dict[str, str | int] = {"container": "app", "key": "URL", "previous": "http://a", "revision": 2, "current_revision": 3}


def people(value: int, *names: str) -> list[Vote]:
    return [Vote("cause", "disk-full", value, name) for name in names]


@pytest.mark.parametrize(
    ("votes", "weight"),
    [
        ([], None),
        (people(1, "ann"), 1.091),
        (people(-1, "ann"), 0.917),
        (people(1, "ann") + people(-1, "bob"), None),
        (people(1, *["ann"] * 1000), 2.0 ** (PERSON_MOST / 8)),
        (people(-1, *["ann"] * 1000), 2.0 ** (-PERSON_MOST / 8)),
        (people(1, *["ann"] * 1000) + people(-1, "bob", "carol"), None),
        (people(1, *(f"p{n}" for n in range(1000))), MOST),
        (people(-1, *(f"p{n}" for n in range(1000))), LEAST),
        (people(10**6, "ann"), 1.091),
        ([Vote("cause", "disk-full", 1)] * 8, 2.0),
        ([Vote("remedy", "disk-full/expand_pvc", 1)], None),
    ],
)
def test_a_weight_follows_votes_within_bounds(votes: list[Vote], weight: float | None) -> None:
    found = weigh(votes).get(("cause", "disk-full"))
    assert found == (pytest.approx(weight, abs=1e-3) if weight is not None else None)


def test_a_remedy_is_overtaken_only_by_one_that_is_clearly_better() -> None:
    one = cause("env-wrong-value", "Deployment/shop/a", **FACTS)
    found = Diagnosis(summary="s", healthy=False, root_causes=(one,))
    plain = [r.remediation.type for r in recommend(found) if r.remediation]
    assert len(plain) >= 2, plain
    first, second = (remedy_key(one.code, name) for name in plain[:2])
    assert [r.remediation.type for r in recommend(found, {second: 1.2}) if r.remediation] == plain
    swapped = [r.remediation.type for r in recommend(found, {second: 1.5, first: 0.9}) if r.remediation]
    assert swapped[:2] == [plain[1], plain[0]]
    assert recommend(found, {"disk-full/restart": 2.0}) == recommend(found)


def test_a_weight_reorders_causes_and_says_so() -> None:
    world = both()
    plain = diagnose(world.view(), Diagnose(namespace="shop"))
    codes = [one.code for one in plain.root_causes]
    assert len(codes) >= 2
    moved = diagnose(world.view(), Diagnose(namespace="shop", weights={codes[0]: LEAST, codes[-1]: MOST}))
    assert moved.root_causes[0].code == codes[-1]
    assert sorted(one.code for one in moved.root_causes) == sorted(codes)
    first = moved.root_causes[0]
    before = next(one for one in plain.root_causes if one.code == first.code)
    assert "weight 2 from feedback" in first.reasons
    assert 0 < first.confidence - before.confidence <= 0.05


@pytest.mark.parametrize("weight", [1000.0, -1000.0, 0.0])
def test_a_weight_out_of_bounds_is_bounded_where_it_is_used(weight: float) -> None:
    code = diagnose(both().view(), Diagnose(namespace="shop")).root_causes[0].code
    one = diagnose(both().view(), Diagnose(namespace="shop", weights={code: weight}))
    other = diagnose(both().view(), Diagnose(namespace="shop", weights={code: MOST if weight > 1 else LEAST}))
    assert one == other


def test_the_votes_of_many_years_are_a_weight_too() -> None:
    assert weigh([Vote("remedy", "disk-full/expand_pvc", 1)] * 9000) == {("remedy", "disk-full/expand_pvc"): MOST}
    assert weigh([Vote("cause", "disk-full", -1)] * 9000) == {("cause", "disk-full"): LEAST}
