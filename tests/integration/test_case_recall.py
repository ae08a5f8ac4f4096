"""Questions in three languages find their case among near-misses: floors below what tests/bench/bench_cases.py measured."""

from pathlib import Path

from knowledge.cases import CaseStore, seeds
from knowledge.embeddings import choose_embedder
from tests.bench.bench_cases import LANGUAGES, by_diagnosis, places, questions, recall


async def test_questions_find_their_case(tmp_path: Path) -> None:
    embedder = choose_embedder()
    assert embedder is not None, "the local model is in requirements.lock"
    store = CaseStore(tmp_path / "cases", embedder)
    await store.add_many(seeds())
    asked = questions()
    assert len(asked) == 120
    for language in LANGUAGES:
        assert sum(q.language == language and q.part != "fresh" for q in asked) == 30
    found = await places(store, asked)
    missed = [(one.question.text, one.place) for one in found if one.place != 0]
    assert recall(found, 1) >= 0.88, missed
    assert recall(found, 3) >= 0.95, missed
    for language in LANGUAGES:
        assert recall(found, 1, lambda q, language=language: q.language == language) >= 0.83, (language, missed)
    assert recall(found, 3, lambda q: q.part == "fresh") >= 0.85, missed
    assert await by_diagnosis(store) == 1.0
    await store.close()
    await embedder.close()


async def test_words_alone_find_most(tmp_path: Path) -> None:
    """Without the local model's files."""
    store = CaseStore(tmp_path / "cases")
    await store.add_many(seeds())
    found = await places(store, questions())
    assert recall(found, 3) >= 0.85, [(one.question.text, one.place) for one in found if one.place not in (0, 1, 2)]
    for nothing_to_do_with_it in ("今日の天気は？", "今天天气怎么样", "what is for lunch"):
        assert await store.search(nothing_to_do_with_it) == []
    await store.close()
