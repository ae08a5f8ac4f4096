"""From the log to the messages that a model is given: earlier turns in short, this one exactly as it was. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import ToolCall as ToolCallDict
from langchain_core.messages.tool import tool_call

from agent_runtime.models.view import ALERT_KEY, CONCLUDE_KEY, DIAGNOSIS_KEY
from agent_runtime.turns.turn_log import LoggedCall, TurnLog
from protocol.approval import ApprovalState
from protocol.diagnosis import Diagnosis
from protocol.events import ActionFinished, ApprovalDecided, DiagnosisMade, LogEntry, ModelMessage, ToolStarted, UserMessage
from protocol.text import cap, clean, one_line
from tools.answer import GOOD, ToolAnswer, fenced_words, own_words
from tools.names import DIAGNOSE
from tools.pasted import asked

EARLIER_TURNS = 6
EARLIER_TEXT = 900
"""Characters of each question and answer of an earlier turn."""
OLD_TURNS = 14
OLD_TEXT = 140
"""Of turns before those."""
QUOTED = 3
"""Pieces of evidence of an earlier diagnosis, each with how to read its source again."""

_NOT_RUN = frozenset({ApprovalState.REJECTED, ApprovalState.EXPIRED, ApprovalState.CANCELLED, ApprovalState.SUPERSEDED})


def history(entries: Iterable[LogEntry], *, before: str) -> list[BaseMessage]:
    """The turns before turn `before`: question, final answer, diagnosis in one line, what became of actions."""
    order: list[str] = []
    by_turn: dict[str, list[LogEntry]] = {}
    for entry in entries:
        if entry.turn == before:
            break
        if entry.turn is not None:
            if entry.turn not in by_turn:
                order.append(entry.turn)
            by_turn.setdefault(entry.turn, []).append(entry)
        elif order and isinstance(entry.event, ActionFinished | ApprovalDecided):
            by_turn[order[-1]].append(entry)
    messages: list[BaseMessage] = []
    for turn in order[-EARLIER_TURNS - OLD_TURNS : -EARLIER_TURNS]:
        messages += _earlier(by_turn[turn], OLD_TEXT)
    for turn in order[-EARLIER_TURNS:]:
        messages += _earlier(by_turn[turn], EARLIER_TEXT)
    return messages


def _earlier(entries: Sequence[LogEntry], limit: int) -> list[BaseMessage]:
    question = next((e.event for e in entries if isinstance(e.event, UserMessage)), None)
    answer = next((e.event for e in reversed(entries) if isinstance(e.event, ModelMessage) and e.event.final), None)
    if question is None or answer is None:
        return []
    diagnosis = _remembered([e.event for e in entries if isinstance(e.event, DiagnosisMade)])
    lines = [cap(clean(answer.text), limit)]
    if diagnosis is not None:
        causes = ", ".join(f"{c.code} at {c.object} ({c.confidence:.2f})" for c in diagnosis.root_causes[:2])
        lines.append(f"[diagnosis: {causes or ('healthy' if diagnosis.healthy else 'not known')}]")
        lines += _quoted(diagnosis, entries, QUOTED if limit == EARLIER_TEXT else 1)
    lines += [line for e in entries if (line := _became_of(e)) is not None]
    metadata: dict[str, Any] = {DIAGNOSIS_KEY: diagnosis.model_dump(mode="json")} if diagnosis is not None else {}
    return [
        HumanMessage(asked(cap(clean(question.text), limit))),
        AIMessage("\n".join(lines), response_metadata=metadata),
    ]


def _quoted(diagnosis: Diagnosis, entries: Sequence[LogEntry], most: int) -> list[str]:
    """The evidence of an earlier diagnosis, and the call that it came from. To be quoted again it must be read again."""
    titles = {e.event.call: e.event.title for e in entries if isinstance(e.event, ToolStarted)}
    first = diagnosis.root_causes[0].evidence[:most] if diagnosis.root_causes else ()
    return [
        f"[evidence then: {fenced_words(one_line(piece.excerpt, 160))} at {piece.object}"
        + (f"; read it again with {one_line(titles[piece.tool_result], 160)}]" if piece.tool_result in titles else "]")
        for piece in first
    ]


def _became_of(entry: LogEntry) -> str | None:
    """What people and the cluster made of a proposal, as an observation: a rejection's reason is what to think about next."""
    match entry.event:
        case ActionFinished(state=state, message=message):
            return f"[action: {state}: {fenced_words(one_line(message, 200))}]"
        case ApprovalDecided(state=state, by_name=by_name, reason=reason) if state in _NOT_RUN:
            who = f" by {fenced_words(one_line(by_name, 80))}" if by_name else ""
            why = fenced_words(one_line(reason, 400)) if reason else "no reason was given"
            return f"[proposal {state}{who}, so nothing was changed: {why}]"
        case _:
            return None


def _remembered(made: Sequence[DiagnosisMade]) -> Diagnosis | None:
    """The first of the rules with something to recommend (the question was about that one), else the last."""
    useful = next((m.diagnosis for m in made if m.stage == "rules" and m.diagnosis.recommendations), None)
    return useful or (made[-1].diagnosis if made else None)


def this_turn(log: TurnLog, *, opening: str, conclude: dict[str, str] | None = None) -> list[BaseMessage]:
    """The question, the opening diagnosis as a call of its own, then each model message with its tool results.

    A message whose calls are not all finished is left out by its caller finishing them first: no call stays without a result.
    """
    text = clean(log.question.text) if log.question else ""
    if log.question is not None and log.question.door != "action":
        text = asked(text)
    if conclude and conclude.get("message"):
        # What the check saw is the cluster's text, in a question that is ours.
        text = text.replace(conclude["message"], fenced_words(conclude["message"]), 1)
    told: dict[str, object] = {CONCLUDE_KEY: conclude} if conclude else {}
    if log.question is not None and log.question.door == "alert":
        told[ALERT_KEY] = True
    messages: list[BaseMessage] = [HumanMessage(text, additional_kwargs=told)]
    first = log.calls.get(opening)
    if first is not None and first.finished is not None:
        messages += opening_messages(first)
    for message in log.messages:
        calls: list[ToolCallDict] = [tool_call(name=c.name, args=c.args, id=c.id) for c in message.tool_calls]
        messages.append(AIMessage(message.text, tool_calls=calls))
        messages += [tool_message(log.calls[c.id]) for c in message.tool_calls]
    return messages


def opening_messages(call: LoggedCall) -> list[BaseMessage]:
    return [AIMessage("", tool_calls=[tool_call(name=DIAGNOSE, args={}, id=call.id)]), tool_message(call)]


def tool_message(call: LoggedCall) -> ToolMessage:
    """The result as the model saw it, with what the offline model reads beside it."""
    done, title = call.finished, call.started.title if call.started else call.name
    status = done.status if done else "interrupted"
    answer = ToolAnswer(
        title, status, note=own_words(done.text if done else ""), diagnosis=call.diagnosis, approval=call.approval
    )
    return ToolMessage(
        done.text if done else "interrupted",
        tool_call_id=call.id,
        name=call.name,
        artifact=answer,
        status="success" if status in GOOD else "error",
    )
