"""The model, when it is asked for: two short questions that cost a little, and say what they cost."""

import asyncio
import time
from typing import Any

from control_plane.settings import Settings
from protocol.checkup import CheckRow, fail, ok, skip, warn
from protocol.text import one_line

_WITHIN_S = 25.0
"""For each question: both together stay below what the command line waits for."""
_TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "report_ready",
        "description": "Say that you are ready.",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string", "description": "the word ready"}},
            "required": ["word"],
        },
    },
}
_SEVERAL = "Write the numbers from one to fifteen as English words, each on its own line, and nothing else."


async def look_at_models(settings: Settings, *, ask: bool) -> list[CheckRow]:
    """`ask` False says only what is configured. Loads LangChain in a thread when it asks."""
    try:
        key = await asyncio.to_thread(settings.api_key)
        await asyncio.to_thread(settings.fallback_key)
    except (OSError, UnicodeDecodeError) as error:
        mend = "ls -l the files that OPSTHREAD_OPENAI_API_KEY_FILE and OPSTHREAD_FALLBACK_API_KEY_FILE name"
        return [fail("model", "key", f"its file can't be read: {one_line(str(error), 300)}", mend)]
    if key is None:
        return [ok("model", "none", "no key is set: answers come from the rules")]
    if not ask:
        return [skip("model", settings.model, "not asked, because that costs money: opsthread doctor --model")]
    return await _asked(settings)


async def look_at_embeddings(settings: Settings, *, ask: bool) -> list[CheckRow]:
    from knowledge.embeddings import EmbeddingFailed, choose_embedder

    mend = "uv pip sync requirements.lock   # it holds the embeddings extra; or set OPSTHREAD_EMBEDDINGS_MODEL"
    try:
        embedder = await asyncio.to_thread(
            lambda: choose_embedder(
                base_url=settings.openai_base_url, api_key=settings.api_key(), model=settings.embeddings_model or None
            )
        )
    except (OSError, UnicodeDecodeError):
        return [skip("embeddings", "embeddings", "not looked at, because the model's key can't be read")]
    if embedder is None:
        return [warn("embeddings", "none", "past cases are found by words alone", mend)]
    if settings.embeddings_model and not ask:
        return [skip("embeddings", settings.embeddings_model, "not asked, because that costs money: opsthread doctor --model")]
    try:
        async with asyncio.timeout(_WITHIN_S):
            (vector,) = await embedder.embed(["memory limit too low"])
    except (EmbeddingFailed, TimeoutError, OSError, ValueError) as error:
        return [
            fail(
                "embeddings",
                embedder.name,
                one_line(str(error) or "no answer in time", 300),
                "Past cases are found by words alone until it answers.",
            )
        ]
    finally:
        await embedder.close()
    return [ok("embeddings", embedder.name, f"vectors of {len(vector)} numbers")]


async def _asked(settings: Settings) -> list[CheckRow]:
    from agent_runtime.models.endpoint import Endpoint, endpoints

    async def one(endpoint: Endpoint) -> list[CheckRow]:
        try:
            rows = await _tools(endpoint)
            return rows if rows[-1].health == "fail" else rows + await _stream(endpoint, wanted=settings.model_stream)
        finally:
            await endpoint.line.close()

    found = await asyncio.gather(*(one(endpoint) for endpoint in await asyncio.to_thread(endpoints, settings)))
    return [row for rows in found for row in rows]


async def _tools(endpoint: Any) -> list[CheckRow]:
    from langchain_core.messages import HumanMessage

    said = await _respond(endpoint, [HumanMessage("Call the tool report_ready with the word ready.")], [_TOOL])
    if isinstance(said, CheckRow):
        return [said]
    message, took = said
    name = f"{endpoint.spec.name}: tools"
    if [call["name"] for call in message.tool_calls] == ["report_ready"]:
        return [ok("model", name, f"called in {took:.1f} s; {_cost(endpoint, message)}")]
    mend = "Choose a model that calls tools (OPSTHREAD_MODEL); with this one most answers come from the rules."
    return [warn("model", name, f"it did not call the tool that it was told to; {_cost(endpoint, message)}", mend)]


async def _stream(endpoint: Any, *, wanted: bool) -> list[CheckRow]:
    from langchain_core.messages import HumanMessage

    from agent_runtime.models.endpoint import Hooks

    name = f"{endpoint.spec.name}: streaming"
    if not wanted:
        return [skip("model", name, "turned off by OPSTHREAD_MODEL_STREAM")]
    came: list[float] = []
    began = time.monotonic()
    hooked = endpoint.with_hooks(Hooks(shown=lambda _: came.append(time.monotonic() - began)))
    said = await _respond(hooked, [HumanMessage(_SEVERAL)], [])
    if isinstance(said, CheckRow):
        return [said]
    message, took = said
    if len(came) > 2:
        return [
            ok(
                "model",
                name,
                f"first words after {came[0]:.1f} s of {took:.1f} s, in {len(came)} pieces; {_cost(endpoint, message)}",
            )
        ]
    mend = (
        "A proxy before it may collect the answer; people wait for the whole. OPSTHREAD_MODEL_STREAM=false if it never streams."
    )
    return [warn("model", name, f"the answer came in {len(came)} piece(s); {_cost(endpoint, message)}", mend)]


async def _respond(endpoint: Any, messages: list[Any], tools: list[dict[str, Any]]) -> tuple[Any, float] | CheckRow:
    from agent_runtime.models.trouble import KNOWN, trouble_of

    began = time.monotonic()
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await endpoint.respond(messages, tools), time.monotonic() - began
    except KNOWN as error:
        trouble = trouble_of(error, waited_s=time.monotonic() - began)
        return fail(
            "model",
            endpoint.spec.name,
            f"{endpoint.line.url}: {one_line(trouble.why, 400)}",
            "Check OPENAI_BASE_URL, the key and OPSTHREAD_MODEL.",
        )


def _cost(endpoint: Any, message: Any) -> str:
    used: dict[str, int] = message.usage_metadata or {}
    tokens_in, tokens_out = int(used.get("input_tokens", 0)), int(used.get("output_tokens", 0))
    money = endpoint.spec.cost(tokens_in, tokens_out)
    price = f", {money:.6f} of its currency" if endpoint.spec.price is not None else ", price not configured"
    return f"{tokens_in} + {tokens_out} tokens{price}"
