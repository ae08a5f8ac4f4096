"""The offline model: transcript in, next step out."""

from datetime import UTC, datetime
from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages.tool import tool_call

from agent_runtime.models.offline import OfflineModel
from agent_runtime.models.plan import Answer, Call, next_step
from agent_runtime.models.tables import matching_pods
from agent_runtime.models.view import CONCLUDE_KEY, DIAGNOSIS_KEY, view_of
from protocol.diagnosis import Diagnosis, Evidence, Recommendation, RootCause
from protocol.events import Language
from protocol.objects import ObjectRef
from protocol.remediation import Risk, SetResources
from tools.answer import ToolAnswer, render
from tools.names import CHANGES, DIAGNOSE, KUBECTL, PAST_CASES, PROMETHEUS, PROPOSE, REPORT

ALL = (DIAGNOSE, KUBECTL, PROMETHEUS, CHANGES, PAST_CASES, PROPOSE, REPORT)
PODS = """NAMESPACE   NAME                       READY   STATUS    RESTARTS      AGE
shop        payments-7c9-abc           0/1     Error     9 (2m ago)    3d
shop        payments-7c9-def           1/1     Running   0             3d
shop        old-payments-1             1/1     Running   0             3d"""
METRIC = 'container_memory_working_set_bytes{pod="payments-7c9-abc"}'
FIX = SetResources(target=ObjectRef.parse("Deployment/shop/payments"), container="payments", limits={"memory": "512Mi"})


def oom(confidence: float = 0.95, *, remedy: bool = True) -> Diagnosis:
    pod = ObjectRef.parse("Pod/shop/payments-7c9-abc")
    evidence = (
        Evidence(source="object", object=pod, field="status", excerpt="OOMKilled"),
        Evidence(source="metric", object=pod, field=METRIC, excerpt="268435456", at=datetime(2026, 1, 1, tzinfo=UTC)),
    )
    cause = RootCause(
        code="memory-limit-too-low",
        object=ObjectRef.parse("Deployment/shop/payments"),
        explanation="Container payments needs more memory than its limit of 256Mi.",
        confidence=confidence,
        evidence=evidence,
        facts={"container": "payments"},
    )
    best = Recommendation(remediation=FIX, risk=Risk.MEDIUM, why="The peak is 324Mi.", expected_effect="No more kills.")
    person = Recommendation(instructions="Ask the owner.", risk=Risk.LOW, why="-", expected_effect="-")
    return Diagnosis(
        summary="payments needs more memory", root_causes=(cause,), healthy=False, recommendations=(best if remedy else person,)
    )


class Transcript:
    """A question and the calls that were made for it."""

    def __init__(self, question: str, *before: BaseMessage, conclude: dict[str, str] | None = None) -> None:
        self.messages = [*before, HumanMessage(question, additional_kwargs={CONCLUDE_KEY: conclude} if conclude else {})]

    def did(self, name: str, args: dict[str, Any], answer: ToolAnswer) -> "Transcript":
        call_id = f"c{len(self.messages)}"
        self.messages += [
            AIMessage("", tool_calls=[tool_call(name=name, args=args, id=call_id)]),
            ToolMessage(f"[r1] {render(answer)}", tool_call_id=call_id, name=name, artifact=answer),
        ]
        return self

    def diagnosed(self, diagnosis: Diagnosis) -> "Transcript":
        return self.did(DIAGNOSE, {}, ToolAnswer("diagnose payments", body="…", diagnosis=diagnosis))

    def step(self, *, language: Language = "en", tools: tuple[str, ...] = ALL) -> tuple[Call, ...] | Answer:
        return next_step(view_of(self.messages), language=language, tools=tools, namespaces=("shop",))

    def calls(self, **how: Any) -> list[tuple[str, dict[str, Any]]]:
        step = self.step(**how)
        assert isinstance(step, tuple), step
        return [(call.name, call.args) for call in step]

    def answer(self, **how: Any) -> str:
        step = self.step(**how)
        assert isinstance(step, Answer), step
        return step.text


def further(transcript: Transcript) -> Transcript:
    """Make the calls that it asks for, until it proposes or answers."""
    while isinstance(step := transcript.step(), tuple) and step[0].name != PROPOSE:
        for call in step:
            transcript.did(call.name, call.args, ToolAnswer(call.name, body="line"))
    return transcript


def test_without_a_diagnosis_the_first_step_is_to_make_one() -> None:
    assert Transcript("why does payments keep restarting in namespace shop?").calls() == [
        (DIAGNOSE, {"target": "payments", "namespace": "shop"})
    ]


def test_after_the_diagnosis_it_shows_the_log_before_the_crash_and_the_memory() -> None:
    assert Transcript("why does payments restart?").diagnosed(oom()).calls() == [
        (KUBECTL, {"command": "logs payments-7c9-abc -n shop -c payments --previous --tail=20"}),
        (PROMETHEUS, {"query": METRIC, "minutes": 60}),
    ]


def test_then_it_proposes_the_first_remedy_by_itself() -> None:
    calls = further(Transcript("why does payments restart?").diagnosed(oom())).calls()
    assert calls == [
        (PROPOSE, {"action": FIX.model_dump(mode="json"), "why": "The peak is 324Mi.", "code": "memory-limit-too-low"})
    ]


def test_then_it_answers_with_the_diagnosis_and_the_proposal() -> None:
    transcript = further(Transcript("why does payments restart?").diagnosed(oom()))
    transcript.did(PROPOSE, {}, ToolAnswer("propose", note="Approval abc is pending.", approval="abc"))
    text = transcript.answer()
    assert "needs more memory than its limit" in text
    assert "**Proposed:**" in text


def test_a_refused_proposal_is_said_and_not_tried_again() -> None:
    transcript = further(Transcript("why does payments restart?").diagnosed(oom()))
    transcript.did(PROPOSE, {}, ToolAnswer("propose", "denied", note="Nothing was proposed: the kill switch is on."))
    assert "**Not proposed:** Nothing was proposed: the kill switch is on." in transcript.answer()


def test_a_plan_that_cannot_run_is_said_to_be_one() -> None:
    transcript = further(Transcript("why does payments restart?").diagnosed(oom()))
    note = "Approval abc is pending. It cannot run here: the runner is read-only.\nPeople see the card."
    transcript.did(PROPOSE, {}, ToolAnswer("propose", note=note, approval="abc"))
    text = transcript.answer()
    assert "can't run here" in text
    assert "the runner is read-only." in text


def test_without_the_right_to_propose_it_says_whom_to_ask() -> None:
    transcript = further_without_propose(Transcript("why does payments restart?").diagnosed(oom()))
    assert "operator" in transcript.answer(tools=ALL[:5])


def further_without_propose(transcript: Transcript) -> Transcript:
    while isinstance(step := transcript.step(tools=ALL[:5]), tuple):
        for call in step:
            transcript.did(call.name, call.args, ToolAnswer(call.name, body="line"))
    return transcript


def test_an_unlikely_cause_is_not_proposed_for() -> None:
    transcript = further(Transcript("why does payments restart?").diagnosed(oom(confidence=0.3)))
    assert "Proposed" not in transcript.answer()


def test_a_healthy_workload_is_answered_at_once() -> None:
    healthy = Diagnosis(summary="Nothing is wrong with search.", healthy=True)
    assert "Nothing is wrong with search." in Transcript("is search slow?").diagnosed(healthy).answer()


def test_a_diagnosis_that_failed_is_said_and_not_tried_again() -> None:
    transcript = Transcript("why does payments restart?")
    transcript.did(DIAGNOSE, {}, ToolAnswer("diagnose payments", "offline", note="Cluster shop is offline since 12:00."))
    assert "Cluster shop is offline since 12:00." in transcript.answer()


def test_a_diagnosis_that_a_restart_interrupted_is_made_again() -> None:
    transcript = Transcript("why does payments restart?").did(DIAGNOSE, {}, ToolAnswer("diagnose", "interrupted"))
    assert transcript.calls()[0][0] == DIAGNOSE


def test_fix_it_proposes_for_the_last_diagnosis_of_the_conversation() -> None:
    before = AIMessage("It needs memory.", response_metadata={DIAGNOSIS_KEY: oom().model_dump(mode="json")})
    assert Transcript("fix it", HumanMessage("why?"), before).calls()[0][0] == PROPOSE


def test_fix_it_without_a_diagnosis_asks_for_a_question_first() -> None:
    assert "no diagnosis" in Transcript("fix it").answer()


def test_fix_it_where_only_a_person_can_act_gives_the_instructions() -> None:
    before = AIMessage("x", response_metadata={DIAGNOSIS_KEY: oom(remedy=False).model_dump(mode="json")})
    assert "Ask the owner." in Transcript("fix it", HumanMessage("why?"), before).answer()


def test_fix_with_a_name_diagnoses_that_first() -> None:
    assert Transcript("fix payments").calls()[0][0] == DIAGNOSE


def test_logs_of_a_workload_are_read_from_its_worst_pod() -> None:
    transcript = Transcript("show logs of payments before the crash")
    assert transcript.calls() == [(KUBECTL, {"command": "get pods -A"})]
    transcript.did(KUBECTL, {"command": "get pods -A"}, ToolAnswer("kubectl get pods -A", body=PODS))
    command = {"command": "logs payments-7c9-abc -n shop --previous --tail=50"}
    assert transcript.calls() == [(KUBECTL, command)]
    transcript.did(KUBECTL, command, ToolAnswer("kubectl logs", body="a ``` fence\nOOM"))
    text = transcript.answer()
    assert "OOM" in text
    assert "````text" in text


def test_logs_of_nothing_known_say_so() -> None:
    transcript = Transcript("logs nginx").did(KUBECTL, {"command": "get pods -A"}, ToolAnswer("get pods", body=PODS))
    assert "nginx" in transcript.answer()


def test_usage_falls_back_to_prometheus_where_there_is_no_metrics_server() -> None:
    transcript = Transcript("how much memory does payments use?")
    transcript.did(KUBECTL, {"command": "get pods -A"}, ToolAnswer("get pods", body=PODS))
    top = {"command": "top pod payments-7c9-abc -n shop --containers"}
    assert transcript.calls() == [(KUBECTL, top)]
    transcript.did(KUBECTL, top, ToolAnswer("top", "unavailable", note="no metrics-server"))
    name, args = transcript.calls()[0]
    assert name == PROMETHEUS
    assert "payments-7c9-abc" in args["query"]


@pytest.mark.parametrize(
    ("question", "call"),
    [
        ("what changed in the last 2 hours in namespace shop", (CHANGES, {"minutes": 120, "namespace": "shop"})),
        ("list pods in shop", (KUBECTL, {"command": "get pods -n shop"})),
        ("show all nodes", (KUBECTL, {"command": "get nodes"})),
        ("events in shop", (KUBECTL, {"command": "events -n shop"})),
        ("shop のイベント", (KUBECTL, {"command": "events -n shop"})),
    ],
)
def test_what_one_call_can_answer(question: str, call: tuple[str, dict[str, Any]]) -> None:
    assert Transcript(question).calls() == [call]


def test_changes_of_one_thing_show_its_lines_only() -> None:
    body = "AGE  OBJECT\n5m   Deployment/shop/payments\n9m   ConfigMap/shop/other"
    transcript = Transcript("what changed with payments?").did(CHANGES, {"minutes": 60}, ToolAnswer("changes", body=body))
    text = transcript.answer()
    assert "payments" in text
    assert "other" not in text


def test_the_concluding_turn_looks_once_and_says_healed_and_how_long_it_took() -> None:
    facts = {
        "command": "kubectl scale",
        "target": "Deployment/shop/payments",
        "state": "succeeded",
        "took": "22",
        "message": "2 of 2",
    }
    transcript = Transcript("The approved change …", conclude=facts)
    look = {"command": "get deployment payments -n shop -o wide"}
    assert transcript.calls(tools=ALL[:5]) == [(KUBECTL, look)]
    transcript.did(KUBECTL, look, ToolAnswer("kubectl get", body="payments 2/2"))
    text = transcript.answer()
    assert "**Healed.**" in text
    assert "22 s" in text
    assert "payments 2/2" in text


@pytest.mark.parametrize(
    ("state", "word"), [("failed", "Not healed"), ("rolled_back", "Undone"), ("unknown", "Nobody can tell")]
)
def test_the_concluding_turn_does_not_call_anything_else_healed(state: str, word: str) -> None:
    facts = {"command": "k", "target": "Deployment/shop/payments", "state": state, "took": "9", "message": "m"}
    text = Transcript("…", conclude=facts).answer(tools=())
    assert word in text
    assert "Healed." not in text


@pytest.mark.parametrize(
    ("language", "line"), [("en", "without a language model"), ("zh", "未使用语言模型"), ("ja", "言語モデルを使わず")]
)
def test_every_answer_says_that_it_was_made_without_a_language_model(language: Language, line: str) -> None:
    message = OfflineModel(language=language, tool_names=ALL).respond([HumanMessage("help")])
    assert line in str(message.text)
    assert not message.tool_calls


def test_with_the_tools_withdrawn_it_answers_from_what_was_seen() -> None:
    transcript = Transcript("why does payments restart?").diagnosed(oom())
    message = OfflineModel(withdrawn=True).respond(transcript.messages)
    assert not message.tool_calls
    assert "needs more memory" in str(message.text)
    assert "budget" in str(message.text)


async def test_streamed_and_whole_answers_are_the_same_plan() -> None:
    for transcript in (Transcript("help"), Transcript("why does payments restart?").diagnosed(oom())):
        model = OfflineModel(tool_names=ALL)
        whole = await model.ainvoke(transcript.messages)
        streamed = None
        async for chunk in model.astream(transcript.messages):
            streamed = chunk if streamed is None else streamed + chunk
        assert streamed is not None
        assert str(streamed.text) == str(whole.text)
        assert [(c["name"], c["args"]) for c in streamed.tool_calls] == [(c["name"], c["args"]) for c in whole.tool_calls]


def test_pods_are_matched_by_name_then_prefix_then_part_and_by_restarts() -> None:
    found = matching_pods(PODS, ("payments",), None)
    assert [pod for _, pod in found] == ["payments-7c9-abc", "payments-7c9-def", "old-payments-1"]
    assert matching_pods("No resources found", ("x",), "shop") == ()
