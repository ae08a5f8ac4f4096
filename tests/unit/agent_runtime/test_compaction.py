"""Compaction: whatever the transcript, evidence stays, calls keep their results, nothing is invented."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agent_runtime.compaction import BESIDES, compact, shortened, size_of
from agent_runtime.evidence import ToolResult, check
from agent_runtime.models.wire import CHARACTERS_A_TOKEN
from agent_runtime.turns.transcript import EARLIER_TURNS, OLD_TURNS, history
from protocol.diagnosis import Diagnosis, Evidence, RootCause
from protocol.events import AgentEvent, DiagnosisMade, LogEntry, ModelMessage, ToolStarted, UserMessage
from protocol.objects import ObjectRef
from tools.answer import ToolAnswer, body, render
from tools.report import Report

POD = ObjectRef.parse("Pod/shop/x")
LINES = st.lists(
    st.sampled_from(
        ["2026-11-20 INFO served in 12 ms", "ERROR cannot reach db:5432", "x" * 300, "", "  indented: value", "OOMKilled 137"]
    ),
    max_size=60,
)  # fmt: skip


@st.composite
def transcripts(draw: st.DrawFn) -> tuple[list[BaseMessage], list[str]]:
    """Earlier turns, this turn's question, calls with results; and what a diagnosis quotes of them."""
    messages: list[BaseMessage] = []
    for n in range(draw(st.integers(0, 4))):
        messages += [
            HumanMessage(f"question {n} " + "q" * draw(st.integers(0, 300))),
            AIMessage("a" * draw(st.integers(1, 900))),
        ]
    messages.append(HumanMessage("the question"))
    cited: list[str] = []
    for round_number in range(draw(st.integers(0, 6))):
        calls = [f"c{round_number}_{n}" for n in range(draw(st.integers(1, 3)))]
        messages.append(
            AIMessage("", tool_calls=[{"name": "kubectl", "args": {"command": f"logs {c}"}, "id": c} for c in calls])
        )
        for call in calls:
            lines = draw(LINES)
            marked = f"evidence of {call}: memory at 256Mi"
            if draw(st.booleans()):
                lines = [*lines[: len(lines) // 2], f"12:00 {marked} now", *lines[len(lines) // 2 :]]
                cited.append(marked)
            answer = ToolAnswer(f"kubectl logs {call}", body="\n".join(lines))
            messages.append(ToolMessage(f"[r1] {render(answer)}", tool_call_id=call, name="kubectl"))
    return messages, cited


@given(transcripts(), st.integers(400, 12_000))
@settings(max_examples=80, deadline=None)
def test_evidence_stays_and_calls_keep_their_results(told: tuple[list[BaseMessage], list[str]], tokens: int) -> None:
    messages, cited = told
    before = [str(message.text) for message in messages]
    short = compact(messages, tokens=tokens, cited=cited)
    room = max(tokens - BESIDES, 400) * CHARACTERS_A_TOKEN

    assert [str(message.text) for message in messages] == before, "what was given is left as it is"
    assert size_of(short) <= size_of(messages)
    if size_of(messages) <= room:
        assert short == messages
    asked = [str(call["id"]) for message in short if isinstance(message, AIMessage) for call in message.tool_calls]
    answered = [message.tool_call_id for message in short if isinstance(message, ToolMessage)]
    assert asked == answered == [f.tool_call_id for f in messages if isinstance(f, ToolMessage)]
    assert "the question" in [str(m.text) for m in short if isinstance(m, HumanMessage)]
    whole = "\n".join(str(message.text) for message in short)
    assert all(excerpt in whole for excerpt in cited)
    originals = {m.tool_call_id: body(str(m.text)).splitlines() for m in messages if isinstance(m, ToolMessage)}
    for message in short:
        if isinstance(message, ToolMessage):
            assert set(body(str(message.text)).splitlines()) <= set(originals[message.tool_call_id]), "lines stay verbatim"


@given(transcripts())
@settings(max_examples=40, deadline=None)
def test_what_a_model_quotes_from_a_compacted_transcript_holds_against_the_log(
    told: tuple[list[BaseMessage], list[str]],
) -> None:
    messages, cited = told
    log = [
        ToolResult(f"r{n}", m.tool_call_id, "kubectl", "kubectl logs", "ok", str(m.text))
        for n, m in enumerate(m for m in messages if isinstance(m, ToolMessage))
    ]
    short = compact(messages, tokens=400, cited=cited)
    for result, message in zip(log, (m for m in short if isinstance(m, ToolMessage)), strict=True):
        for line in body(str(message.text)).splitlines():
            if len(line.strip()) < 12:
                continue
            item = {"result": result.ref, "excerpt": line, "source": "log", "object": f"Pod/shop/{result.call}"}
            cause = {"code": "x", "object": "Pod/shop/x", "explanation": "", "confidence": 1, "evidence": [item]}
            report = Report.model_validate({"summary": "s", "healthy": False, "root_causes": [cause]})
            reasons = check(report, log).reasons
            assert not [reason for reason in reasons if "does not occur" in reason], reasons


def test_a_shortened_result_says_how_to_read_the_rest_again() -> None:
    text = "[r3] " + render(
        ToolAnswer("kubectl logs x", body="\n".join(["first", *("noise" * 9 for _ in range(99)), "ERROR last"]))
    )
    short = shortened(text, 'kubectl {"command": "logs x"}', frozenset[str]())
    assert body(short).splitlines() == ["first", "ERROR last"]
    assert short.startswith("[r3] kubectl logs x: ok")
    assert '2 of 101 lines are left. To read it again: kubectl {"command": "logs x"}' in short
    assert shortened(short, "again", frozenset[str]()) == short


def test_a_quotation_over_several_lines_keeps_all_of_them() -> None:
    lines = [
        "first",
        *(f"noise {n} {'x' * 50}" for n in range(50)),
        "Last State:  Terminated",
        "  Reason:    OOMKilled now",
        *("y" * 50,) * 9,
    ]
    messages: list[BaseMessage] = [HumanMessage("why?")]
    for n in range(4):
        messages.append(AIMessage("", tool_calls=[{"name": "kubectl", "args": {}, "id": f"c{n}"}]))
        messages.append(ToolMessage(render(ToolAnswer("t", body="\n".join(lines))), tool_call_id=f"c{n}"))
    short = compact(messages, tokens=400, cited=["Last State: Terminated\n Reason: OOMKilled now"])
    assert "Last State:  Terminated\n  Reason:    OOMKilled now" in str(short[2].text)
    assert "noise 7" not in str(short[2].text)


def entry(seq: int, turn: str, event: AgentEvent) -> LogEntry:
    return LogEntry(conversation="v", seq=seq, turn=turn, at=datetime(2026, 11, 20, tzinfo=UTC), event=event)


def earlier_turn(n: int) -> list[LogEntry]:
    evidence = Evidence(source="log", object=POD, excerpt=f"OOMKilled number {n}", tool_result=f"c{n}")
    cause = RootCause(code="memory-limit-too-low", object=POD, explanation="", confidence=0.9, evidence=(evidence,))
    made = DiagnosisMade(stage="model", diagnosis=Diagnosis(summary="", root_causes=(cause,), healthy=False))
    events: list[AgentEvent] = [
        UserMessage(text=f"question {n} " + "q" * 500, by="a", by_name="A"),
        ToolStarted(call=f"c{n}", name="kubectl", title=f"kubectl logs x{n}"),
        made,
        ModelMessage(text=f"answer {n} " + "a" * 500, final=True),
    ]
    return [entry(10 * n + k, f"t{n}", event) for k, event in enumerate(events)]


def test_a_long_conversation_keeps_the_evidence_of_earlier_turns_and_how_to_read_it_again() -> None:
    messages = history([e for n in range(30) for e in earlier_turn(n)], before="now")
    assert len(messages) == 2 * (EARLIER_TURNS + OLD_TURNS)
    whole = [str(message.text) for message in messages]
    assert "OOMKilled number 10" in whole[1], "the oldest that is left"
    assert "read it again with kubectl logs x10" in whole[1]
    assert len(whole[0]) < 200 < len(whole[-2]), "old turns are short, the last ones are not"
    short = compact([*messages, HumanMessage("and now?")], tokens=BESIDES + 900, cited=())
    assert size_of(short) <= 900 * CHARACTERS_A_TOKEN
    assert str(short[-1].text) == "and now?"
    assert [type(m) for m in short[:-1]] == [HumanMessage, AIMessage] * ((len(short) - 1) // 2)
