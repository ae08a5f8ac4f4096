"""One log, one card, one error: what each reader sees is in their language, and what is stored is not touched."""

from datetime import UTC, datetime

import pytest
from starlette.requests import Request

from agent_runtime.models.answers import concluded
from agent_runtime.turns.conclusion import facts, question
from bot.api.cards import approval_view
from bot.api.language import language_of_reader
from bot.api.problems import problem_of
from bot.api.views import entry_view, live_view
from control_plane.errors import NotFound
from knowledge.remedies import recommend
from protocol.approval import ApprovalState, Role
from protocol.events import ActionFinished, DiagnosisMade, Language, LiveProgress, LogEntry, ModelMessage, ToolStarted
from protocol.remediation import BlastRadius, Owner
from tests.unit.agent_runtime.test_recheck import NOW, approval, person, plan
from tests.unit.knowledge.shop import payments_oom
from tests.unit.knowledge.source_texts import left_in_english

HELM = "it belongs to Helm release web: the change stays until the next upgrade; put it into the values too"
HEALED = "2 of 2 pods ready, no restart for 12 s"


def entry(event: DiagnosisMade | ActionFinished | ToolStarted | ModelMessage) -> LogEntry:
    return LogEntry(conversation="c" * 16, seq=1, at=datetime(2026, 1, 1, tzinfo=UTC), event=event)


def request(query: str = "", **headers: str) -> Request:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": raw})


def test_the_parameter_then_the_cookie_then_the_browser() -> None:
    assert language_of_reader(request()) == "en"
    assert language_of_reader(request(**{"accept-language": "ja"})) == "ja"
    assert language_of_reader(request(cookie="opsthread_language=zh", **{"accept-language": "ja"})) == "zh"
    assert language_of_reader(request("lang=ja", cookie="opsthread_language=zh")) == "ja"


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_a_diagnosis_is_seen_in_the_readers_language_and_stays_stored_as_it_was(language: Language) -> None:
    found = payments_oom().ask("payments")
    stored = entry(DiagnosisMade(stage="rules", diagnosis=found.model_copy(update={"recommendations": recommend(found)})))
    before = stored.model_dump_json()

    told = entry_view(stored, preview=True, language=language)["event"]["diagnosis"]

    advice = [one[key] for one in told["recommendations"] for key in ("action_text", "why")]
    said = [told["summary"], *advice, *told["limits"], *told["checked"]]
    assert left_in_english(said) == []
    assert (
        told["root_causes"][0]["evidence"] == stored.model_dump(mode="json")["event"]["diagnosis"]["root_causes"][0]["evidence"]
    )
    assert stored.model_dump_json() == before
    seen = entry_view(stored)["event"]
    first, *_ = [one.pop("action_text") for one in seen["diagnosis"]["recommendations"]]
    assert first == "Set limits.memory=256Mi of container payments in Deployment payments"
    assert seen == stored.model_dump(mode="json")["event"] | {"verdict": "root_cause", "no_safe_fix": False}


def test_steps_results_and_progress() -> None:
    step = entry(ToolStarted(call="c1", name="diagnose", title="diagnose payments in shop"))
    assert entry_view(step, language="zh")["event"]["title"] == "诊断 shop 中的 payments"
    query = entry(ToolStarted(call="c2", name="prometheus", title='up{a="b"} for 60 min'))
    assert entry_view(query, language="zh")["event"]["title"] == 'up{a="b"}（最近 60 分钟）'
    plain = entry(ToolStarted(call="c3", name="prometheus", title="up"))
    assert entry_view(plain, language="zh")["event"]["title"] == "up"
    ended = entry(ActionFinished(approval="a" * 16, state=ApprovalState.SUCCEEDED, message=HEALED, took_s=30))
    assert entry_view(ended, language="ja")["event"]["message"] == "Pod 2 個中 2 個が Ready、12 秒間再起動なし"
    live = LiveProgress(approval="a" * 16, note="0 of 2 pods ready")
    assert live_view(live, "zh")["note"] == "2 个 Pod 中 0 个就绪"
    assert live_view(live)["note"] == "0 of 2 pods ready"


def test_what_a_model_says_is_left_alone() -> None:
    answer = entry(ModelMessage(text="2 pods", final=True))
    assert entry_view(answer, language="zh")["event"]["text"] == "2 pods"


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_a_card_is_seen_in_the_readers_language_but_its_plan_is_the_plan(language: Language) -> None:
    frozen = plan(
        expected_effect="A new roll-out replaces its 2 pods step by step, of the same template.",
        check="all replicas are of the new template, ready for 10 s, and none restarts",
        cannot_run="this runner is read-only; install it with write rights to run changes",
        owner=Owner(kind="helm", name="web", detail=HELM),
        blast_radius=BlastRadius(pods=2, budgets=("web (allows 1 disruptions)",), note="used by Deployment/web"),
    )
    card = approval(plan=frozen, state=ApprovalState.PENDING, why="The revision before worked.", outcome=HEALED)
    told = approval_view(card, person("ann", Role.OPERATOR), NOW, language=language)

    ours = [told[key] for key in ("action_text", "why", "expected_effect", "check", "cannot_run", "outcome")]
    ours += [told["owner"]["detail"], told["blast_radius"]["note"], *told["blast_radius"]["budgets"], told["you"]["refusal"]]
    english = approval_view(card, person("ann", Role.OPERATOR), NOW)
    assert left_in_english(ours) == []
    for key in ("command_line", "diff", "plan_hash", "action", "target"):
        assert told[key] == english[key]
    assert english["check"] == frozen.check


def test_errors_are_said_in_the_readers_language() -> None:
    error = NotFound("there is no conversation 'abc', or it is not yours to read")
    assert problem_of(error, "r").detail == error.message
    said = problem_of(error, "r", "zh")
    assert (said.title, said.detail, said.code) == ("未找到", "没有对话 'abc'，或你无权查看", "not_found")


@pytest.mark.parametrize(("language", "words"), [("zh", "2 个 Pod 中 2 个就绪"), ("ja", "Pod 2 個中 2 個が Ready")])
def test_a_concluding_turn_says_what_became_of_it_in_its_language(language: Language, words: str) -> None:
    ended = approval(state=ApprovalState.SUCCEEDED, outcome=HEALED)
    assert words in question(ended, language)
    assert facts(ended, language)["message"] in question(ended, language)
    assert words in concluded(facts(ended, language), None, language)
    assert left_in_english([concluded(facts(ended, language), None, language)]) == []
    assert HEALED in concluded(facts(ended), None, "en")
