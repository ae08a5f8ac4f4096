"""Cases: closed incidents as knowledge, in ChromaDB; found again by meaning, and by words where a query names things.

Each tenant has a collection that holds the cases, and one more for each kind of vector, filled up when it falls behind
(another model, an endpoint that was down); so no case is ever lost for want of a vector. Vectors are always passed, so that
ChromaDB never fetches a model. Case text comes from clusters and people: it is cleaned, redacted and capped when it is
written. ChromaDB is imported at first use.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from knowledge.cases.case import TEXT_LIMIT, Case, tidy
from knowledge.cases.glossary import in_english
from knowledge.cases.ranking import LEXICAL_FLOOR, WORDS_FLOOR, Lists, fuse
from knowledge.cases.seed_vectors import digest, known
from knowledge.embeddings import Embedder, EmbeddingFailed, LocalEmbedder
from knowledge.lexical import LexicalIndex, looks_like_identifier
from protocol.diagnosis import SimilarCase
from protocol.text import cap, clean

log = logging.getLogger(__name__)

T = TypeVar("T")

CATCH_UP = 64
"""Cases without a vector that one search fills in at most."""
NO_VECTOR = [1.0]
"""The cases' own collection is searched by words; ChromaDB wants some vector."""
LEXICAL_MOST = 20_000
SCOPES_KEPT = 16
"""Scopes whose words are kept in memory."""
AT_ONCE = 2
"""Cases that are embedded and written together."""
NEAREST = 20
"""Neighbours by meaning that take part in the ranking at least."""


class CasesUnavailable(Exception):
    """ChromaDB does not answer or its directory cannot be used. Diagnosis goes on without similar cases."""


@dataclass(frozen=True, slots=True)
class _Asked:
    words: tuple[str, ...]
    """The question as it is, and in English: each text counts by the better of both."""
    vector: list[float] | None
    code: str
    exact: bool


class CaseStore:
    """Cases of all tenants. Blocking work runs in one thread of its own, so calls from many tasks are safe.

    `where` is a directory, or the http(s) URL of a ChromaDB server. Without an embedder, search is by words alone.
    """

    def __init__(self, where: str | Path, embedder: Embedder | None = None) -> None:
        self._where = where
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cases")
        self._client: Any = None
        self._collections: dict[str, Any] = {}
        self._lexical: dict[tuple[str, str], tuple[list[Case], LexicalIndex]] = {}

    async def add(self, case: Case, *, tenant: str = "default") -> Case:
        """Write or replace a case; gives back what was stored (cleaned, redacted, capped). Raises CasesUnavailable.

        A failing embedding endpoint does not stop it: the vector is made at a later search.
        """
        stored = tidy(case)
        vectors = await self._vectors([stored.text()])
        await self._run(lambda: self._write(tenant, [stored], vectors))
        return stored

    async def add_many(self, cases: Sequence[Case], *, tenant: str = "default", at_once: int = AT_ONCE) -> None:
        """Like `add`, for many, a few at a time: who searches meanwhile does not wait for all. Raises CasesUnavailable."""
        tidied = [tidy(case) for case in cases]
        made = known(self._embedder.name) if self._embedder is not None else {}
        ready = [case for case in tidied if digest(case.text()) in made]
        if ready:
            await self._run(lambda: self._write(tenant, ready, [made[digest(case.text())] for case in ready]))
        rest = [case for case in tidied if digest(case.text()) not in made]
        for start in range(0, len(rest), at_once):
            stored = rest[start : start + at_once]
            vectors = await self._vectors([case.text() for case in stored])
            await self._run(lambda stored=stored, vectors=vectors: self._write(tenant, stored, vectors))

    async def get(self, case_id: str, *, tenant: str = "default") -> Case | None:
        return await self._run(lambda: self._read(tenant, case_id))

    async def forget(self, case_id: str, *, tenant: str = "default") -> bool:
        """Delete a case. False when there was none."""
        return await self._run(lambda: self._delete(tenant, case_id))

    async def ids(self, *, tenant: str = "default") -> list[str]:
        return await self._run(lambda: list(self._collection(tenant).get(include=[])["ids"]))

    async def some(self, ids: Sequence[str], *, tenant: str = "default") -> list[Case]:
        """The cases of these ids, as the index holds them; those it does not hold are missing."""
        return await self._run(lambda: self._some(tenant, ids))

    async def count(self, *, tenant: str = "default") -> int:
        return await self._run(lambda: int(self._collection(tenant).count()))

    async def search(
        self,
        text: str,
        *,
        tenant: str = "default",
        cluster: str | None = None,
        namespaces: Sequence[str] | None = None,
        code: str = "",
        limit: int = 5,
    ) -> list[SimilarCase]:
        """Cases like `text` (in English, Chinese or Japanese) or with the root cause `code`, best first, within a cluster and
        namespaces (None: all; empty: none may be seen).

        Cases without a namespace belong to the whole cluster: they are given only when all namespaces may be seen. Cases
        without a cluster are everybody's.
        """
        if namespaces is not None and not namespaces:
            return []
        question = cap(clean(text), TEXT_LIMIT)
        query = in_english(question) if self._reads_english_only else question
        vectors = await self._vectors([query]) if query.strip() else None
        if vectors:
            await self._catch_up(tenant)
        vector = vectors[0] if vectors else None
        words = tuple(dict.fromkeys((question, in_english(question))))
        asked = _Asked(words, vector, code, looks_like_identifier(question))
        where = _where(cluster, namespaces)
        return await self._run(lambda: self._search(tenant, asked, where, limit))

    @property
    def _reads_english_only(self) -> bool:
        """The local model; an endpoint's model is asked in the question's own words."""
        return isinstance(self._embedder, LocalEmbedder)

    async def close(self) -> None:
        """Wait for what is being written, and let go of the store."""
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)
        self._client = None
        self._collections.clear()

    async def _vectors(self, texts: list[str]) -> list[list[float]] | None:
        """None without an embedder or when it fails: then words must do."""
        if self._embedder is None:
            return None
        try:
            return await self._embedder.embed(texts)
        except EmbeddingFailed as error:
            log.warning("cases are searched by words only: %s", error)
            return None

    async def _catch_up(self, tenant: str) -> None:
        late = await self._run(lambda: self._without_vector(tenant))
        vectors = await self._vectors([case.text() for case in late]) if late else None
        if vectors:
            await self._run(lambda: self._write_vectors(tenant, late, vectors))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._guarded(work))

    def _guarded(self, work: Callable[[], T]) -> T:
        import httpx
        from chromadb.errors import ChromaError

        try:
            return work()
        except (ChromaError, httpx.HTTPError, OSError) as error:
            raise CasesUnavailable(
                f"the case store at {self._where} failed: {type(error).__name__}: {cap(str(error), 200)}"
            ) from error

    # In the store's thread from here on.

    def _collection(self, tenant: str, kind: str = "words") -> Any:
        name = f"cases-{hashlib.sha256(f'{tenant} {kind}'.encode()).hexdigest()[:32]}"
        known = self._collections.get(name)
        if known is None:
            if self._client is None:
                try:
                    self._client = _open(self._where)
                except ValueError as error:  # what ChromaDB's client makes of a refused connection
                    raise ConnectionError(str(error)) from error
            # No embedding function: with one, ChromaDB would fetch its model at the first text.
            known = self._collections[name] = self._client.get_or_create_collection(
                name,
                embedding_function=None,
                metadata={"tenant": tenant, "vectors": kind},
                configuration={"hnsw": {"space": "cosine"}},
            )
        return known

    def _vector_collection(self, tenant: str) -> Any:
        return self._collection(tenant, self._embedder.name) if self._embedder is not None else None

    def _write(self, tenant: str, cases: list[Case], vectors: list[list[float]] | None) -> None:
        self._collection(tenant).upsert(
            ids=[case.id for case in cases],
            embeddings=[NO_VECTOR for _ in cases],
            documents=[case.text() for case in cases],
            metadatas=[_metadata(case) for case in cases],
        )
        if vectors is not None:
            self._write_vectors(tenant, cases, vectors)
        elif self._embedder is not None:
            self._vector_collection(tenant).delete(ids=[case.id for case in cases])  # they stood for the texts before
        self._forget_index(tenant)

    def _write_vectors(self, tenant: str, cases: list[Case], vectors: list[list[float]]) -> None:
        self._vector_collection(tenant).upsert(
            ids=[case.id for case in cases], embeddings=vectors, metadatas=[_place(case) for case in cases]
        )

    def _without_vector(self, tenant: str) -> list[Case]:
        all_cases, with_vector = self._collection(tenant), self._vector_collection(tenant)
        if with_vector.count() >= all_cases.count():
            return []
        have = set(with_vector.get(include=[])["ids"])
        late = [one for one in all_cases.get(include=[])["ids"] if one not in have][:CATCH_UP]
        return _cases(all_cases.get(ids=late, include=["metadatas"]).get("metadatas"))

    def _read(self, tenant: str, case_id: str) -> Case | None:
        found = self._collection(tenant).get(ids=[case_id], include=["metadatas"])
        cases = _cases(found.get("metadatas"))
        return cases[0] if cases else None

    def _delete(self, tenant: str, case_id: str) -> bool:
        if self._read(tenant, case_id) is None:
            return False
        self._collection(tenant).delete(ids=[case_id])
        if self._embedder is not None:
            self._vector_collection(tenant).delete(ids=[case_id])
        self._forget_index(tenant)
        return True

    def _some(self, tenant: str, ids: Iterable[str]) -> list[Case]:
        wanted = list(ids)
        return _cases(self._collection(tenant).get(ids=wanted, include=["metadatas"]).get("metadatas")) if wanted else []

    def _search(self, tenant: str, asked: "_Asked", where: dict[str, Any] | None, limit: int) -> list[SimilarCase]:
        cases: dict[str, Case] = {}
        meaning: dict[str, float] = {}
        if asked.vector is not None:
            for case, similarity in self._near(tenant, asked.vector, where, max(limit * 4, NEAREST)):
                cases[case.id], meaning[case.id] = case, similarity
        found, index = self._index(tenant, where)
        words: dict[str, float] = {}
        same: set[str] = set()
        floor = LEXICAL_FLOOR if meaning else WORDS_FLOOR
        for case, *scores in zip(found, *(index.scores(text) for text in asked.words), strict=True):
            score = max(scores)
            if score >= floor or case.id in meaning:
                cases[case.id], words[case.id] = case, score
            if asked.code and case.code == asked.code and len(same) < NEAREST:
                cases[case.id] = case
                same.add(case.id)
        lists = Lists(meaning, words, frozenset(same), asked.exact)
        return [_similar(cases[key], score) for key, score in fuse(lists, limit)]

    def _near(self, tenant: str, vector: list[float], where: dict[str, Any] | None, limit: int) -> list[tuple[Case, float]]:
        found: Any = self._vector_collection(tenant).query(
            query_embeddings=[vector], n_results=max(1, limit), where=where, include=["distances"]
        )
        ids = cast(list[list[str]], found["ids"] or [[]])[0]
        distances = cast(list[list[float]], found["distances"] or [[]])[0]
        if not ids:
            return []
        cases = {
            case.id: case for case in _cases(self._collection(tenant).get(ids=ids, include=["metadatas"]).get("metadatas"))
        }
        return [(cases[one], 1.0 - float(distance)) for one, distance in zip(ids, distances, strict=True) if one in cases]

    def _index(self, tenant: str, where: dict[str, Any] | None) -> tuple[list[Case], LexicalIndex]:
        """The words of a scope's cases, kept until a case of the tenant changes, for the scopes that were asked about last."""
        key = (tenant, repr(where))
        known = self._lexical.pop(key, None)
        if known is None:
            found: Any = self._collection(tenant).get(where=where, include=["metadatas"], limit=LEXICAL_MOST)
            cases = _cases(found.get("metadatas"))
            known = (cases, LexicalIndex([case.text() for case in cases]))
        self._lexical[key] = known
        while len(self._lexical) > SCOPES_KEPT:
            self._lexical.pop(next(iter(self._lexical)))
        return known

    def _forget_index(self, tenant: str) -> None:
        self._lexical = {key: value for key, value in self._lexical.items() if key[0] != tenant}


def _open(where: str | Path) -> Any:
    import chromadb
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    text = str(where)
    if text.startswith(("http://", "https://")):
        from urllib.parse import urlsplit

        parts = urlsplit(text)
        return chromadb.HttpClient(
            host=parts.hostname or "localhost",
            port=parts.port or (443 if parts.scheme == "https" else 8000),
            ssl=parts.scheme == "https",
            settings=settings,
        )
    Path(text).mkdir(parents=True, exist_ok=True)
    return chromadb.PersistentClient(path=text, settings=settings)


def _where(cluster: str | None, namespaces: Sequence[str] | None) -> dict[str, Any] | None:
    """Of a scope, and what belongs to no cluster."""
    clauses: list[dict[str, Any]] = []
    if cluster is not None:
        clauses.append({"cluster": {"$eq": cluster}})
    if namespaces is not None:
        clauses.append({"namespace": {"$in": sorted(namespaces)}})
    if not clauses:
        return None
    own = clauses[0] if len(clauses) == 1 else {"$and": clauses}
    return {"$or": [{"cluster": {"$eq": ""}}, own]}


def _metadata(case: Case) -> dict[str, str]:
    return {**_place(case), "code": case.code, "outcome": case.outcome, "case": case.model_dump_json()}


def _place(case: Case) -> dict[str, str]:
    return {"cluster": case.cluster, "namespace": case.namespace}


def _cases(metadatas: object) -> list[Case]:
    rows = cast(list[dict[str, Any]], metadatas) if isinstance(metadatas, list) else []
    return [Case.model_validate_json(str(row["case"])) for row in rows]


def _similar(case: Case, score: float) -> SimilarCase:
    at: datetime | None = case.opened_at
    return SimilarCase(
        id=case.id,
        title=case.title,
        root_cause=f"{case.code} @ {case.object}" if case.object else case.code,
        fix=case.fix,
        outcome=case.outcome,
        score=round(min(1.0, max(0.0, score)), 4),
        at=at,
    )
