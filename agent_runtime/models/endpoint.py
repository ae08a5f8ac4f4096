"""The configured OpenAI-compatible endpoint as a LangChain chat model."""

from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from openai import Timeout
from pydantic import SecretStr

from control_plane.settings import Settings

CONNECT_S = 5.0
CLIENT_RETRIES = 2
"""By the client itself, with Retry-After: connect errors, 408, 409, 429, 5xx. A question is safe to repeat."""


def endpoint(settings: Settings) -> BaseChatModel | None:
    """None when no key is configured. Builds no connection."""
    key = settings.api_key()
    if key is None:
        return None
    return ChatOpenAI(
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
