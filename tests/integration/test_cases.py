"""Cases in a real ChromaDB: written, found by meaning and by words, kept over a restart, seen only within a scope."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from knowledge.cases import Case, CaseStore, CasesUnavailable
from knowledge.cases.store import SCOPES_KEPT
from knowledge.embeddings import EmbeddingFailed, choose_embedder

CASES = [
    Case(
        id="oom",
        title="payments keeps restarting",
        cluster="demo",
        namespace="shop",
        symptoms=("pods restart again and again",),
        code="memory-limit-too-low",
        object="Deployment/shop/payments",
        explanation="The container is killed by the kernel because its memory limit is too low.",
        fix="limits.memory 96Mi → 256Mi",
        outcome="held",
        opened_at=datetime(2026, 3, 1, tzinfo=UTC),
        took_s=340,
    ),
    Case(
        id="config",
        title="checkout answers 503",
        cluster="demo",
        namespace="shop",
        code="configmap-wrong-value",
        object="ConfigMap/shop/checkout-config",
        explanation="PAYMENTS_URL named a Service that does not exist: payments-v2.",
        fix="PAYMENTS_URL=http://payments:8080",
        outcome="relapsed",
    ),
    Case(
        id="image",
        title="roll-out of reports is stuck",
        cluster="other",
        namespace="data",
        code="image-tag-not-found",
        object="Deployment/data/reports",
        explanation="The registry does not have the image tag.",
        outcome="provisional",
    ),
]


@pytest.fixture(params=["vectors", "words"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CaseStore]:
    made = CaseStore(tmp_path / "cases", choose_embedder() if request.param == "vectors" else None)
    for case in CASES:
        await made.add(case)
    yield made
    await made.close()


async def test_a_case_is_found_again(store: CaseStore) -> None:
    found = await store.search("payments container killed, memory limit too low")
    assert found[0].id == "oom"
    assert found[0].outcome == "held"
    assert found[0].root_cause == "memory-limit-too-low @ Deployment/shop/payments"
    assert 0 < found[0].score <= 1
    assert found[0].at == datetime(2026, 3, 1, tzinfo=UTC)


async def test_an_exact_name_finds_its_case(store: CaseStore) -> None:
    assert (await store.search("payments-v2"))[0].id == "config"


async def test_scopes_bound_what_is_seen(store: CaseStore) -> None:
    everything = "payments checkout reports restarting stuck image tag memory limit"
    assert {case.id for case in await store.search(everything, namespaces=["data"])} <= {"image"}
    assert {case.id for case in await store.search(everything, cluster="demo")} <= {"oom", "config"}
    assert await store.search(everything, namespaces=[]) == []
    assert await store.search(everything, cluster="demo", namespaces=["data"]) == []
    assert await store.search(everything, tenant="another") == []


async def test_outcomes_change_and_cases_are_forgotten(store: CaseStore) -> None:
    await store.add(CASES[0].model_copy(update={"outcome": "relapsed"}))
    assert (await store.search("payments keeps restarting memory"))[0].outcome == "relapsed"

    assert await store.count() == 3
    assert await store.forget("oom")
    assert not await store.forget("oom")
    assert await store.get("oom") is None
    assert await store.count() == 2
    assert "oom" not in {case.id for case in await store.search("payments keeps restarting memory")}


async def test_writing_again_replaces(store: CaseStore) -> None:
    await store.add(
        CASES[0].model_copy(update={"title": "ledger loses its leader", "explanation": "", "symptoms": (), "fix": None})
    )
    assert await store.count() == 3
    kept = await store.get("oom")
    assert kept is not None
    assert kept.title == "ledger loses its leader"
    assert (await store.search("ledger leader"))[0].id == "oom"


async def test_text_is_cleaned_redacted_and_capped(store: CaseStore) -> None:
    stored = await store.add(
        Case(
            id="evil",
            title="\x1b[31mboom\x00\u202e",
            explanation="password=hunter2-hunter2 " + "x" * 9000,
            evidence=("Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789",) * 50,
        )
    )
    assert stored.title == "boom"
    assert "hunter2" not in stored.model_dump_json()
    assert "abcdefghijklmnopqrstuvwxyz" not in stored.model_dump_json()
    assert len(stored.explanation) <= 4000
    assert len(stored.evidence) == 20
    assert await store.get("evil") == stored


async def test_words_of_many_scopes_take_bounded_memory(store: CaseStore) -> None:
    for n in range(SCOPES_KEPT * 3):
        await store.search("payments", namespaces=[f"team-{n}", "shop"])
    assert len(cast(dict[str, object], vars(store)["_lexical"])) <= SCOPES_KEPT
    assert (await store.search("payments keeps restarting", namespaces=["team-0", "shop"]))[0].id == "oom"


async def test_nothing_like_it_finds_nothing(store: CaseStore) -> None:
    assert await store.search("zebra") == []
    assert await store.search("") == []
    assert await store.search("\x00\x1b[2J") == []


async def test_cases_live_through_a_restart_and_another_embedder(tmp_path: Path) -> None:
    first = CaseStore(tmp_path / "cases")
    for case in CASES:
        await first.add(case)
    await first.close()

    second = CaseStore(tmp_path / "cases", choose_embedder())
    assert await second.count() == 3
    assert await second.get("oom") == CASES[0]
    assert (await second.search("the process was killed because it used more memory than allowed"))[0].id == "oom"
    await second.close()


class Flaky:
    """An endpoint that is down at first."""

    def __init__(self) -> None:
        self.name = "flaky"
        self.down = True

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        if self.down:
            raise EmbeddingFailed("the embedding endpoint is down")
        return [[1.0, float("memory" in text), float("image" in text)] for text in texts]

    async def close(self) -> None:
        return None


async def test_a_case_written_while_the_endpoint_is_down_is_found_by_words_and_later_by_meaning(tmp_path: Path) -> None:
    embedder = Flaky()
    store = CaseStore(tmp_path / "cases", embedder)
    for case in CASES:
        await store.add(case)
    assert (await store.search("checkout answers"))[0].id == "config"

    embedder.down = False
    assert (await store.search("memory"))[0].id == "oom"
    await store.close()


async def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    store = CaseStore(blocked / "cases")
    with pytest.raises(CasesUnavailable, match="case store"):
        await store.count()
    await store.close()

    away = CaseStore("http://127.0.0.1:1")
    with pytest.raises(CasesUnavailable, match="case store"):
        await away.count()
    await away.close()


@pytest.mark.parametrize("bad", ["", "a b", "../x", "x" * 200, "a\nb"])
def test_case_ids_are_plain(bad: str) -> None:
    with pytest.raises(ValueError, match="id"):
        Case(id=bad, title="t")
