"""Whether a question finds its case, and how long that takes.

    python -m tests.bench.bench_cases

120 questions in three languages for the 30 seeded cases, each of which has near-misses: 45 that search was tuned on, 45 of
the same kind that it was not, and 30 that were written afterwards (`fresh`). Found is: first (recall@1), among three (@3).
As shipped, against what each part does alone. Then the time of a search among 1,000 and 10,000 cases, within a scope.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from knowledge.cases import Case, CaseStore, asks, seeds
from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.embeddings import Embedder, choose_embedder
from knowledge.wording import Language
from protocol.diagnosis import Diagnosis, RootCause
from protocol.objects import ObjectRef
from tests.bench.measure import median, percentile, report

LANGUAGES: tuple[Language, ...] = ("en", "zh", "ja")


@dataclass(frozen=True)
class Question:
    case: str
    language: Language
    text: str
    part: str
    """tuned, untuned or fresh."""


@dataclass(frozen=True)
class Found:
    question: Question
    place: int | None
    """0 is first; None is not among those that were given."""


def questions() -> tuple[Question, ...]:
    rows = cast(list[dict[str, Any]], yaml.safe_load((Path(__file__).parent / "case_questions.yaml").read_text("utf-8")))
    found: list[Question] = []
    for row in rows:
        part = "fresh" if row.get("fresh") else "tuned" if row["tuned"] else "untuned"
        found += [Question(row["case"], language, row[language], part) for language in LANGUAGES if language in row]
    return tuple(found)


async def places(store: CaseStore, asked: Sequence[Question]) -> list[Found]:
    found: list[Found] = []
    for question in asked:
        ids = [case.id for case in await store.search(question.text, limit=10)]
        found.append(Found(question, ids.index(question.case) if question.case in ids else None))
    return found


def recall(found: Sequence[Found], at: int, keep: Callable[[Question], bool] = lambda _: True) -> float:
    kept = [one for one in found if keep(one.question)]
    return sum(one.place is not None and one.place < at for one in kept) / len(kept)


def as_diagnosed(case: Case) -> Diagnosis:
    """The same incident elsewhere: another object, and the catalogue's words instead of the case's."""
    code = CATALOGUE[case.code]
    here = ObjectRef.parse("Deployment/elsewhere/another")
    cause = RootCause(code=case.code, object=here, explanation=code.meaning, confidence=0.9)
    return Diagnosis(summary=code.meaning, healthy=False, root_causes=(cause,))


async def by_diagnosis(store: CaseStore) -> float:
    """How many of the seeds' causes bring a case of that cause first."""
    right = 0
    for case in seeds():
        text, code = asks(as_diagnosed(case))
        found = await store.search(text, code=code, limit=3)
        right += bool(found) and found[0].root_cause.startswith(f"{case.code} @")
    return right / len(seeds())


class AnyVectors:
    """Vectors without a model: what is timed is the store."""

    def __init__(self) -> None:
        self.name = "any"
        self._random = np.random.default_rng(1)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return self._random.standard_normal((len(texts), 384)).tolist()

    async def close(self) -> None:
        return None


class Raw:
    """The local model without the store knowing that it reads English only: questions are embedded as they are."""

    def __init__(self, inner: Embedder) -> None:
        self.name = inner.name
        self._inner = inner

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await self._inner.embed(texts)

    async def close(self) -> None:
        await self._inner.close()


async def seeded(folder: str, embedder: Embedder | None) -> CaseStore:
    store = CaseStore(folder, embedder)
    await store.add_many(seeds())
    return store


async def timed(cases: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = CaseStore(folder, AnyVectors())
        made = [
            Case(
                id=f"c{n}", title=f"incident {n} of service-{n % 97}", code="disk-full", cluster="c", namespace=f"team-{n % 20}"
            )
            for n in range(cases)
        ]
        await store.add_many(made, at_once=500)
        began = time.perf_counter()
        await store.search("warm", cluster="c", namespaces=("team-1",))
        first = time.perf_counter() - began
        took: list[float] = []
        for n in range(50):
            began = time.perf_counter()
            await store.search(f"incident of service-{n}", cluster="c", namespaces=("team-1", "team-2"), limit=5)
            took.append((time.perf_counter() - began) * 1000)
        await store.close()
        return {"first_ms": first * 1000, "p50_ms": median(took[1:]), "p95_ms": percentile(took[1:], 0.95)}


async def measure() -> None:
    asked = questions()
    rows: list[tuple[str, str, str]] = []
    raw: dict[str, Any] = {"questions": len(asked)}
    local = choose_embedder()
    if local is None:
        raise SystemExit("The local model is not installed; see requirements.lock.")
    ways: dict[str, Embedder | None] = {"as shipped": local, "questions as they are": Raw(local), "words alone": None}
    for name, embedder in ways.items():
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            store = await seeded(folder, embedder)
            began = time.perf_counter()
            found = await places(store, asked)
            each = (time.perf_counter() - began) * 1000 / len(asked)
            rows += _rows(name, found)
            raw[name] = {"ms_a_question": each, "missed": [f.question.text for f in found if f.place != 0]}
            if name == "as shipped":
                rows.append(("  a question, model included", f"{each:.0f} ms", ""))
                rows.append(("  from a diagnosis: its cause first", f"{await by_diagnosis(store):.2f}", "1"))
            await store.close()
    for cases in (1_000, 10_000):
        speed = raw[f"{cases} cases"] = await timed(cases)
        figure = f"{speed['p50_ms']:.1f} / {speed['p95_ms']:.1f} ms"
        rows.append((f"search in two namespaces of {cases:,} cases, p50 / p95, without the model", figure, ""))
        rows.append(("  the first search after a change", f"{speed['first_ms']:.0f} ms", ""))
    await local.close()
    report("cases", rows, raw)


def _rows(name: str, found: Sequence[Found]) -> list[tuple[str, str, str]]:
    def both(keep: Callable[[Question], bool] = lambda _: True) -> str:
        return f"{recall(found, 1, keep):.3f} / {recall(found, 3, keep):.3f}"

    rows = [(f"recall@1 / @3, {name}, all {len(found)}", both(), "")]
    rows += [(f"  {language}", both(lambda q, language=language: q.language == language), "") for language in LANGUAGES]
    rows += [(f"  {part}", both(lambda q, part=part: q.part == part), "") for part in ("tuned", "untuned", "fresh")]
    return rows


if __name__ == "__main__":
    asyncio.run(measure())
