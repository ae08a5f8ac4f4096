"""Sentence vectors: an OpenAI-compatible endpoint if one is configured, else MiniLM if its files are installed, else none.

Without an embedder the cases are searched by words alone. Nothing is downloaded.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

MAX_CHARS = 8000
BATCH = 64


class EmbeddingFailed(Exception):
    """The endpoint did not give vectors. Says which endpoint and what happened; the caller searches by words instead."""


class Embedder(Protocol):
    """`name` says which vectors these are: vectors of two names are never compared."""

    name: str

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text, in order. Raises EmbeddingFailed."""
        ...

    async def close(self) -> None: ...


def choose_embedder(
    *, base_url: str | None = None, api_key: str | None = None, model: str | None = None, timeout_s: float = 20
) -> Embedder | None:
    """The configured endpoint (a model must be named), else the local model, else None. Loads nothing yet."""
    if model:
        return EndpointEmbedder(model=model, base_url=base_url, api_key=api_key, timeout_s=timeout_s)
    from knowledge.minilm import model_directory

    directory = model_directory()
    return LocalEmbedder(directory) if directory is not None else None


class LocalEmbedder:
    """MiniLM in one thread of its own, loaded at the first text."""

    def __init__(self, directory: Path) -> None:
        self.name = "all-minilm-l6-v2"
        self._directory = directory
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embeddings")
        self._model: Any = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed, [text[:MAX_CHARS] for text in texts])

    def _embed(self, texts: list[str]) -> list[list[float]]:
        if self._model is None:
            from knowledge.minilm import MiniLm

            self._model = MiniLm(self._directory)
        return self._model.embed(texts)

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class EndpointEmbedder:
    """An OpenAI-compatible /embeddings endpoint; the client is made at the first text and retries twice."""

    def __init__(self, *, model: str, base_url: str | None, api_key: str | None, timeout_s: float = 20) -> None:
        self.name = f"{model}@{base_url or 'default'}"
        self._model = model
        self._base_url = base_url
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._client: Any = None

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors: list[list[float]] = []
        for start in range(0, len(texts), BATCH):
            vectors += await self._batch([text[:MAX_CHARS] or " " for text in texts[start : start + BATCH]])
        return vectors

    async def _batch(self, texts: list[str]) -> list[list[float]]:
        import openai

        if self._client is None:
            self._client = openai.AsyncOpenAI(
                base_url=self._base_url, api_key=self._api_key or "none", timeout=self._timeout_s, max_retries=2
            )
        try:
            answer: Any = await self._client.embeddings.create(model=self._model, input=texts, encoding_format="float")
        except openai.OpenAIError as error:
            raise EmbeddingFailed(
                f"the embedding endpoint {self._base_url or 'of OpenAI'} failed: {type(error).__name__}"
            ) from error
        rows = sorted(answer.data or [], key=lambda row: row.index)
        if len(rows) != len(texts):
            raise EmbeddingFailed(
                f"the embedding endpoint {self._base_url or 'of OpenAI'} gave {len(rows)} vectors for {len(texts)} texts"
            )
        return [[float(x) for x in row.embedding] for row in rows]

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
