"""The pieces that find a case: terms in English, ranks that become one, seeds that are sound."""

import re

import pytest

from knowledge.cases import SEED, asks, seeds, tidy
from knowledge.cases.glossary import in_english
from knowledge.cases.ranking import Lists, fuse
from knowledge.cases.seed_vectors import digest, known
from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.embeddings import choose_embedder
from protocol.diagnosis import Diagnosis, Finding, RootCause, Severity, SimilarCase
from protocol.objects import ObjectRef


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("why is it down?", "why is it down?"),
        ("内存不足", "out of memory"),
        ("payments-v2 无法解析", "payments-v2 cannot be resolved, no such host"),
        ("証明書が期限切れ", "certificate expired"),
        ("リソースクォータ", "resources quota"),
        ("你好", ""),
        ("内" * 20_000, ""),
    ],
)
def test_questions_become_english_terms(text: str, english: str) -> None:
    assert in_english(text) == english


@pytest.mark.parametrize(
    ("lists", "best"),
    [
        (Lists(meaning={"a": 0.9, "b": 0.5}), ["a", "b"]),
        (Lists(meaning={"a": 0.6, "b": 0.59}, words={"b": 0.9}), ["b", "a"]),
        (Lists(meaning={"a": 0.6, "b": 0.5, "c": 0.4}, words={"c": 0.9}, exact=True), ["c", "a", "b"]),
        (Lists(meaning={"a": 0.6, "b": 0.5}, code=frozenset({"b"})), ["b", "a"]),
        (Lists(meaning={"a": 0.1}), []),
        (Lists(words={"a": 0.05, "b": 0.3}), ["b"]),
        (Lists(meaning={"a": 0.1, "b": 0.5}, words={"a": 0.9}), ["b"]),
        (Lists(code=frozenset({"a"})), ["a"]),
        (Lists(), []),
    ],
)
def test_lists_become_one(lists: Lists, best: list[str]) -> None:
    assert [key for key, _ in fuse(lists, 5)] == best
    assert all(0 < score <= 1 for _, score in fuse(lists, 5))


def test_seeds_are_sound() -> None:
    ids = {case.id for case in seeds()}
    assert len(ids) == len(seeds()) == 30
    for case in seeds():
        assert case.id.startswith(SEED)
        assert SimilarCase(id=case.id, title="t", root_cause=case.code, outcome="held", score=1).example
        assert case.code in CATALOGUE
        ObjectRef.parse(case.object)
        assert len(case.symptoms) >= 2
        assert case.evidence
        assert case.fix
        assert case.took_s
        assert case.outcome in ("held", "relapsed")
        assert (case.cluster, case.namespace) == ("", "")
        assert tidy(case) == case, "what is stored is what is in the file: nothing reads like a secret"
        near = [tag.removeprefix("near:") for tag in case.tags if tag.startswith("near:")]
        assert near
        assert set(near) <= ids - {case.id}


async def test_the_vectors_that_come_with_the_seeds_are_the_models() -> None:
    """After a seed was changed: scripts/seed-vectors."""
    embedder = choose_embedder()
    assert embedder is not None
    made = known(embedder.name)
    assert {digest(case.text()) for case in seeds()} == set(made)
    some = seeds()[::10]
    fresh = await embedder.embed([case.text() for case in some])
    for case, vector in zip(some, fresh, strict=True):
        kept = made[digest(case.text())]
        assert sum(a * b for a, b in zip(kept, vector, strict=True)) > 0.9999
    assert known("another model") == {}
    await embedder.close()


def test_near_misses_look_alike_and_differ_in_their_cause_or_their_end() -> None:
    by_id = {case.id: case for case in seeds()}
    for case in seeds():
        for tag in case.tags:
            if tag.startswith("near:"):
                other = by_id[tag.removeprefix("near:")]
                assert (case.code, case.outcome) != (other.code, other.outcome), (case.id, other.id)


def test_a_diagnosis_asks_without_the_names_of_its_objects() -> None:
    here = ObjectRef.parse("Deployment/shop/very-own-name")
    found = Diagnosis(
        summary="very-own-name is down",
        healthy=False,
        root_causes=(RootCause(code="disk-full", object=here, explanation="No space is left.", confidence=0.9),),
        symptoms=(Finding(code="crash-on-start", object=here, title="It crashes", severity=Severity.HIGH),),
    )
    text, code = asks(found)
    assert code == "disk-full"
    assert not re.search("very-own-name", text)
    assert "No space is left." in text
    assert asks(Diagnosis(summary="all is well", healthy=True)) == ("", "")
