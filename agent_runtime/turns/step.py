"""turn_v1: one turn as one durable step, resumable from the log.

Begin (or take up again), diagnose by rules what the question is about, run the loop, end. Whatever fails ends in an answer
or in a TurnFailed with words; only cancellation of the task, at shutdown, leaves the turn for the next start.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import structlog
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from agent_runtime.evidence import report_answer
from agent_runtime.models.ask import Candidate, Models
from agent_runtime.models.endpoint import Hooks
from agent_runtime.models.intents import intent_of, sees_scope
from agent_runtime.models.offline import OfflineModel
from agent_runtime.models.phrases import phrase
from agent_runtime.pseudonyms import PLAIN, Names
from agent_runtime.spending import TurnLedger, Upkeep
from agent_runtime.turns import reentry
from agent_runtime.turns.budget import Budget, Limits
from agent_runtime.turns.conclusion import facts_of
from agent_runtime.turns.live import LiveNotes, LiveText
from agent_runtime.turns.loop import run_loop
from agent_runtime.turns.middleware import TurnMiddleware, TurnStopped, answer_of
from agent_runtime.turns.naming import NamesUnknown, names_for
from agent_runtime.turns.recorder import Recorder
from agent_runtime.turns.transcript import history, this_turn
from agent_runtime.turns.turn_log import LoggedCall, TurnLog, is_opening, opening_call, read_turn_log
from control_plane.clock import utc_now
from control_plane.conversations import Conversation, Turn
from control_plane.errors import ServiceError, Superseded
from control_plane.fleet import Cluster
from control_plane.reach import summary_within
from control_plane.replica import LeaseLost
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.spending import Spender
from knowledge.cases import CaseStore
from knowledge.wording import language as language_of
from prompts import prompt
from protocol.approval import Role, role_at_least
from protocol.commands import ScopeLimit
from protocol.events import (
    AgentEvent,
    Language,
    Live,
    LogEntry,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    UserMessage,
)
from protocol.text import one_line
from tools.answer import ToolAnswer
from tools.build import build_tools
from tools.context import ToolContext
from tools.names import DIAGNOSE
from tools.reads import diagnose_words
from tools.report import Report

EndedBy = Literal["answer", "budget", "model_error"]

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 4
"""A turn that was interrupted this often is given up: it may be what brings the process down."""
NAMELESS = "the names of this cluster's objects are to be hidden and could not be read"
HISTORY_ENTRIES = 600
OPENING_TEXT = 3000
"""Characters of the opening diagnosis, so that the first request stays under 12 KB."""


@dataclass(frozen=True)
class TurnStep:
    """What turns are run with, one a process. `chain` is empty without a key."""

    plane: ControlPlane
    chain: tuple[Candidate, ...]
    upkeep: Upkeep
    cases: CaseStore | None

    @property
    def model_name(self) -> str:
        return self.chain[0].name if self.chain else "offline"

    async def run(self, turn_id: str) -> None:
        """Never raises but for cancellation of the task."""
        structlog.contextvars.bind_contextvars(turn=turn_id)
        turn: Turn | None = None
        try:
            turn = await self.plane.conversations.claim_turn(turn_id)
            if turn is not None:
                await _OneTurn(self, turn).run()
        except (Superseded, LeaseLost) as error:
            log.warning("the turn is left to another replica", turn=turn_id, why=error.message)
        except Exception:
            log.exception("the turn failed", turn=turn_id)
            await self._fail(turn_id, turn)
        finally:
            structlog.contextvars.unbind_contextvars("turn")

    async def _fail(self, turn_id: str, claim: Turn | None) -> None:
        message = "The turn failed inside Opsthread. Nothing was changed by it; ask again, and look into its log if it repeats."
        failed = TurnFailed(message=message, code="internal")
        try:
            await self.plane.conversations.end_turn(turn_id, "failed", failed, claim=claim)
        except Superseded as error:
            log.warning("the turn is left to another replica", turn=turn_id, why=error.message)
        except Exception:
            log.exception("the failed turn could not be ended; the sweep will", turn=turn_id)


class _OneTurn:
    def __init__(self, step: TurnStep, turn: Turn) -> None:
        self._step = step
        self._plane = step.plane
        self._turn = turn
        self._opening = opening_call(turn.id)
        self._live = LiveText(turn.id, self._publish)
        self._notes = LiveNotes(turn.id, self._publish)
        self._ledger: TurnLedger | None = None
        self._why = ""
        """Why the configured model did not answer."""

    async def run(self) -> None:
        turn = self._turn
        entries = await self._plane.conversations.turn_log(turn.id)
        recorder = Recorder(self._plane.conversations, turn, read_turn_log(entries, opening=self._opening))
        if turn.attempt > MAX_ATTEMPTS:
            words = f"This turn was interrupted {turn.attempt - 1} times and is given up. Ask again, perhaps for less."
            await self._end("failed", TurnFailed(message=words, code="internal"))
            return
        try:
            await self._begin(recorder)
            ended_by = _ended_by(recorder.state) if recorder.state.final else await self._answer(recorder)
            await recorder.flush()
        except TurnStopped:
            await recorder.flush()
            now = await self._plane.conversations.turn(turn.id)
            await self._end("cancelled", TurnCancelled(by_name=now.cancelled_by_name))
            return
        finally:
            await self._live.close()
            await self._notes.close()
            await recorder.close()
            if self._ledger is not None:
                await self._ledger.settled()
        await self._end("finished", _finished(recorder.state, ended_by, self._took_ms(entries), self._currency, self._why))

    async def _begin(self, recorder: Recorder) -> None:
        if not recorder.state.begun:
            recorder.append(TurnStarted(model=self._step.model_name, offline=not self._step.chain))
        elif recorder.state.final is None:
            recorder.append(TurnResumed(note="taken up again after a restart"))
            await reentry.settle(self._plane, recorder)

    async def _answer(self, recorder: Recorder) -> EndedBy:
        settings, turn, state = self._plane.settings, self._turn, recorder.state
        conversation = await self._plane.conversations.get(turn.conversation)
        cluster = await self._plane.fleet.get(conversation.cluster)
        context = ToolContext(self._plane, turn, conversation, self._step.cases, self._notes.say)
        language = _language(turn, state)
        await self._diagnose_first(recorder, context, cluster)
        tools = build_tools(context, _check_report(recorder, language), may_propose=await self._may_propose(context))
        await _run_waiting(recorder, tools)
        offline = OfflineModel(language=language, namespaces=_namespaces(cluster, conversation.scope))
        names, chain = PLAIN, self._step.chain
        try:
            names = await names_for(context, cluster) if chain else PLAIN
        except NamesUnknown as error:
            log.warning("names can't be hidden, so no model is asked", why=str(error))
            chain, offline = (), offline.model_copy(update={"note": NAMELESS})
            self._why = NAMELESS
        models = Models(
            chain,
            offline,
            wait_s=settings.model_wait_s,
            timeout_s=settings.model_timeout_s,
            say=lambda words: self._notes.say("", words),
        )
        middleware = TurnMiddleware(
            turn=turn,
            recorder=recorder,
            models=models,
            budget=_budget(settings, state),
            live=self._live,
            language=language,
            hooks=self._hooks(conversation, names),
        )
        await run_loop(
            model=offline,
            tools=tools,
            system_prompt=_system_prompt(language, cluster, conversation.scope, context.now()),
            messages=[*await self._history(conversation), *await self._this_turn(state)],
            middleware=middleware,
            model_calls=settings.model_calls_per_turn,
        )
        self._why = self._why or models.why
        if models.failed or (self._step.chain and not chain):
            return "model_error"
        return "budget" if middleware.limit else "answer"

    def _hooks(self, conversation: Conversation, names: Names) -> Hooks:
        spender = Spender(
            cluster=conversation.cluster, account=self._turn.asked_by, conversation=conversation.id, turn=self._turn.id
        )
        self._ledger = TurnLedger(self._plane, spender, self._step.upkeep)
        return Hooks(shown=self._live.feed, ledger=self._ledger, names=names)

    async def _diagnose_first(self, recorder: Recorder, context: ToolContext, cluster: Cluster) -> None:
        """The rules before the first model call, where the question is about what is wrong with something."""
        state, question = recorder.state, recorder.state.question
        if question is None or question.door == "action" or self._opening in state.calls or state.messages:
            return
        text = question.text.partition("\n")[0] if question.door == "alert" else question.text
        intent = intent_of(text, namespaces=_namespaces(cluster, context.conversation.scope))
        if not sees_scope(intent, text):
            return
        target = intent.target if "/" in intent.target else ""
        args = {"target": " ".join(intent.words), "namespace": intent.namespace or ""}

        async def run() -> ToolAnswer:
            return await diagnose_words(context, target, intent.words, intent.namespace or "")

        await recorder.tool(self._opening, DIAGNOSE, args, run, limit=OPENING_TEXT)

    async def _may_propose(self, context: ToolContext) -> bool:
        """With the asker's role as it stands now; approvals.open asks again for the object itself."""
        if not self._turn.may_propose:
            return False
        try:
            principal, conversation = await context.principal(), context.conversation
        except ServiceError:
            return False  # the account was disabled since; every tool call says so
        spaces = conversation.scope.namespaces
        roles = [principal.role_in(conversation.cluster, space) for space in (spaces if spaces is not None else (None,))]
        return any(role is not None and role_at_least(role, Role.OPERATOR) for role in roles)

    async def _history(self, conversation: Conversation) -> list[BaseMessage]:
        after = max(0, conversation.last_seq - HISTORY_ENTRIES)
        entries = await self._plane.conversations.log(conversation.id, after=after)
        return history(entries, before=self._turn.id)

    async def _this_turn(self, state: TurnLog) -> list[BaseMessage]:
        conclude = await facts_of(self._plane, state.question)
        return this_turn(state, opening=self._opening, conclude=conclude)

    async def _publish(self, live: Live) -> None:
        await self._plane.conversations.publish_live(self._turn.conversation, live)

    async def _end(self, state: Literal["finished", "failed", "cancelled"], event: AgentEvent) -> None:
        await self._plane.conversations.end_turn(self._turn.id, state, event, claim=self._turn)

    @property
    def _currency(self) -> str:
        return self._plane.settings.currency if self._plane.settings.model_prices else ""

    def _took_ms(self, entries: Sequence[LogEntry]) -> float:
        began = next((e.at for e in entries if isinstance(e.event, UserMessage)), self._turn.created_at)
        return (utc_now() - began).total_seconds() * 1000


def _check_report(recorder: Recorder, language: Language) -> Callable[[Report], ToolAnswer]:
    return lambda report: report_answer(report, recorder.results, rules=recorder.state.found_by_rules, language=language)


def _language(turn: Turn, state: TurnLog) -> Language:
    """The one that the question is written in, where its letters show it; else the one that the surface was in."""
    written = language_of(state.question.text) if state.question else "en"
    return turn.language if written == "en" else written


async def _run_waiting(recorder: Recorder, tools: Sequence[BaseTool]) -> None:
    """Calls that the model had asked for and that a crash kept from starting: they run first, the model is not asked again."""
    by_name = {tool.name: tool for tool in tools}
    for call in recorder.state.waiting:
        tool = by_name.get(call.name)

        async def run(call: LoggedCall = call, tool: BaseTool | None = tool) -> ToolAnswer:
            if tool is None:
                raise LookupError(call.name)
            message = await tool.ainvoke({"type": "tool_call", "id": call.id, "name": call.name, "args": call.args})
            return answer_of(call.name, call.args, message)

        refusal = "" if tool else f"There is no tool {call.name!r} in this turn."
        await recorder.tool(call.id, call.name, call.args, run, refusal=refusal)


def _budget(settings: Settings, state: TurnLog) -> Budget:
    """What an earlier attempt of the turn used counts, but for its seconds."""
    limits = Limits(
        settings.model_calls_per_turn, settings.tool_calls_per_turn, settings.tokens_per_turn, settings.turn_seconds
    )
    asked_for = [call for call in state.calls.values() if call.started and not is_opening(call.id)]
    budget = Budget(limits, started=time.monotonic(), tool_calls=len(asked_for))
    for message in state.messages:
        budget.count_model(message.input_tokens, message.output_tokens)
    return budget


def _namespaces(cluster: Cluster, scope: ScopeLimit) -> tuple[str, ...]:
    """Names that a question may mean: none from outside of the conversation, so that none is told by being understood."""
    return summary_within(cluster.summary, scope).namespaces


def _system_prompt(language: Language, cluster: Cluster, scope: ScopeLimit, now: datetime) -> str:
    names = scope.namespaces
    seen = phrase("scope_all", language) if names is None else phrase("scope_some", language, names=", ".join(names[:30]))
    return prompt("system", language, cluster=one_line(cluster.name, 80), scope=seen, now=f"{now:%Y-%m-%dT%H:%MZ}")


def _ended_by(state: TurnLog) -> EndedBy:
    """Of a turn whose answer was written before a crash."""
    fell_back = state.final is not None and state.final.offline and not state.began_offline
    return "model_error" if fell_back else "answer"


def _finished(state: TurnLog, ended_by: EndedBy, took_ms: float, currency: str, why: str) -> TurnFinished:
    return TurnFinished(
        took_ms=took_ms,
        model_calls=len(state.messages),
        tool_calls=sum(call.started is not None for call in state.calls.values()),
        input_tokens=sum(message.input_tokens for message in state.messages),
        output_tokens=sum(message.output_tokens for message in state.messages),
        ended_by=ended_by,
        estimated=any(message.estimated for message in state.messages),
        money=sum(message.money for message in state.messages),
        currency=currency,
        models=tuple(dict.fromkeys(message.model for message in state.messages)),
        why=why,
    )
