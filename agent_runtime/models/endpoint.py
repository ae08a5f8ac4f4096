"""The configured OpenAI-compatible endpoint as a LangChain chat model."""

from typing import Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_openai import ChatOpenAI
from openai import Timeout
from pydantic import SecretStr

from control_plane.settings import Settings

CONNECT_S = 5.0
CLIENT_RETRIES = 2
"""By the client itself, with Retry-After: connect errors, 408, 409, 429, 5xx. A question is safe to repeat."""


class Endpoint(ChatOpenAI):
    """ChatOpenAI whose transcript and tools go past the client's own transformation of typed arguments.

    That walks every message of every request through the type system (20 ms at 30 rounds, a quarter of a round's time) and
    leaves plain dictionaries as they are. `extra_body` is merged into the request as it is.
    """

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        payload = cast(dict[str, Any], cast(Any, super())._get_request_payload(input_, stop=stop, **kwargs))
        past = {key: payload[key] for key in ("messages", "tools") if payload.get(key)}
        payload.pop("tools", None)
        extra = cast(dict[str, Any], payload.get("extra_body") or {})
        return {**payload, "messages": [], "extra_body": extra | past}


def endpoint(settings: Settings) -> BaseChatModel | None:
    """None when no key is configured. Builds no connection."""
    key = settings.api_key()
    if key is None:
        return None
    return Endpoint(
        model=settings.model,
        api_key=SecretStr(key),
        base_url=settings.openai_base_url,
        # Compatible servers speak chat completions; langchain-openai would pick the other API by the model's name.
        use_responses_api=False,
        # Off by default for any other URL than OpenAI's; without it there are no token counts to budget.
        stream_usage=True,
        timeout=Timeout(settings.model_timeout_s, connect=CONNECT_S),
        max_retries=CLIENT_RETRIES,
        stream_chunk_timeout=settings.model_timeout_s,
    )
