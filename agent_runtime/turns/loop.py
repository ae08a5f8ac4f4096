"""The agent loop: LangChain's create_agent over our tools, without a checkpointer; the log is the transcript."""

from collections.abc import Sequence
from typing import Any, cast

from langchain import agents
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from agent_runtime.turns.middleware import TurnMiddleware

STEPS_PER_CALL = 4
"""LangGraph counts steps; our budgets are the limit, so its own is only kept above them."""


async def run_loop(
    *,
    model: BaseChatModel,
    tools: Sequence[BaseTool],
    system_prompt: str,
    messages: Sequence[BaseMessage],
    middleware: TurnMiddleware,
    model_calls: int,
) -> None:
    """Run until the model answers without a tool call. What happened is in the log. Raises TurnStopped."""
    create_agent = cast(Any, agents).create_agent
    agent = create_agent(model, tools, system_prompt=system_prompt, middleware=[middleware])
    await agent.ainvoke({"messages": list(messages)}, {"recursion_limit": STEPS_PER_CALL * (model_calls + 2)})
