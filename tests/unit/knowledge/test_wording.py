"""A Diagnosis said in three languages."""

import re

import pytest

from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.remedies import recommend
from knowledge.wording import Language, action_text, explanation, language, say, texts_of, title, translate
from knowledge.wording.actions import SENTENCES
from protocol.diagnosis import Change, Diagnosis, Evidence, RootCause, SimilarCase
from protocol.objects import ObjectRef
from protocol.remediation import (
    AdjustHpa,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    SetEnv,
    SuspendCronJob,
)
from tests.unit.knowledge.shop import payments_oom, search_healthy, shop
from tests.unit.knowledge.world import NOW

LANGUAGES: tuple[Language, ...] = ("en", "zh", "ja")
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")
NIGHTLY = ObjectRef.parse("CronJob/shop/nightly")
SCALER = ObjectRef.parse("HorizontalPodAutoscaler/shop/web")
CONFIG = ObjectRef.parse("ConfigMap/shop/settings")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_and_phrase_is_there(lang: Language) -> None:
    texts, english = texts_of(lang), texts_of("en")
    assert texts.codes.keys() == CATALOGUE.keys()
    assert texts.phrases.keys() == english.phrases.keys()
    fields = re.compile(r"\{(\w+)\}")
    for key, phrase in english.phrases.items():
        assert set(fields.findall(phrase)) == set(fields.findall(texts.phrases[key])), key


@pytest.mark.parametrize("key", SENTENCES)
def test_an_actions_sentences_speak_of_the_same_fields(key: str) -> None:
    assert len({frozenset(re.findall(r"\{(\w+)\}", text)) for text in SENTENCES[key]}) == 1
    assert len(set(SENTENCES[key])) == 3


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_diagnosis_is_said_with_its_evidence_to_the_letter(lang: Language) -> None:
    found = payments_oom().ask("payments")
    found = found.model_copy(update={"recommendations": recommend(found)})
    text = say(found, lang)

    assert title("memory-limit-too-low", lang) in text
    assert "Deployment/shop/payments" in text
    assert '"reason":"OOMKilled"' in text
    assert "256Mi" in text
    assert "98" in text
    for limit in found.limits:
        assert translate(limit, lang) in text


def test_explanations_are_in_the_language() -> None:
    cause = payments_oom().ask("payments").root_causes[0]
    assert explanation(cause, "en") == cause.explanation
    assert "内存" in explanation(cause, "zh")
    assert "メモリ" in explanation(cause, "ja")
    assert "96Mi" in explanation(cause, "ja")


def test_a_missing_fact_falls_back_to_the_rules_own_words() -> None:
    cause = RootCause(code="memory-limit-too-low", object=PAYMENTS, explanation="As the rule says.", confidence=0.5)
    assert explanation(cause, "zh") == "As the rule says."


def test_healthy_and_unknown() -> None:
    healthy = search_healthy().ask("search")
    assert say(healthy, "en").startswith("Nothing is wrong with Deployment search")
    assert "没有问题" in say(healthy, "zh")
    assert "問題はありません" in say(healthy, "ja")

    unknown = shop().ask("zebra")
    assert "I don't know" in say(unknown, "en")
    assert "不知道" in say(unknown, "zh")
    assert "zebra" in say(unknown, "ja")


def test_markup_in_evidence_stays_in_its_code_span() -> None:
    evil = "``` **bold** <script> [x](http://evil) `"
    cause = RootCause(
        code="crash-on-start",
        object=PAYMENTS,
        explanation="It ends.",
        confidence=0.5,
        evidence=(Evidence(source="log", object=PAYMENTS, field="app", excerpt=evil),),
    )
    assert f"```` {evil} ````" in say(Diagnosis(summary="", healthy=False, root_causes=(cause,)), "en")


@pytest.mark.parametrize(
    ("action", "lang", "words"),
    [
        (RestartWorkload(target=PAYMENTS), "en", "Restart Deployment payments"),
        (RestartWorkload(target=PAYMENTS), "zh", "重启 Deployment payments"),
        (RollbackWorkload(target=PAYMENTS, to_revision=4), "en", "Roll Deployment payments back to revision 4"),
        (RollbackWorkload(target=PAYMENTS), "ja", "Deployment payments を一つ前のリビジョンに戻す"),
        (SuspendCronJob(target=NIGHTLY, suspend=True), "en", "Suspend CronJob nightly"),
        (SuspendCronJob(target=NIGHTLY, suspend=False), "en", "Resume CronJob nightly"),
        (AdjustHpa(target=SCALER, max_replicas=9), "en", "Set HorizontalPodAutoscaler web to 9 replicas at most"),
        (AdjustHpa(target=SCALER, min_replicas=3), "zh", "将 HorizontalPodAutoscaler web 的副本下限设为 3"),
        (AdjustHpa(target=SCALER, min_replicas=3, max_replicas=9), "en", "Set HorizontalPodAutoscaler web to 3 to 9 replicas"),
        (
            SetEnv(target=PAYMENTS, container="app", env={"MODE": "x" * 500, "OLD": None}),
            "en",
            f"Set MODE={'x' * 74}…, -OLD of container app in Deployment payments",
        ),
        (
            PatchConfigMap(target=CONFIG, data={f"k{n}": "a\nb" for n in range(9)}),
            "en",
            "Set k0=a b, k1=a b, k2=a b, k3=a b, k4=a b, k5=a b, +3 in ConfigMap settings",
        ),
    ],
)
def test_actions_in_words(action: Remediation, lang: Language, words: str) -> None:
    assert action_text(action, lang) == words


def test_an_actions_words_hold_no_secret() -> None:
    told = action_text(SetEnv(target=PAYMENTS, container="app", env={"DB_PASSWORD": "hunter2-hunter2"}))
    assert "DB_PASSWORD" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(("language", "words"), [("en", "an example, not from here"), ("zh", "示例"), ("ja", "付属の例")])
def test_a_case_that_comes_with_us_is_called_an_example(language: Language, words: str) -> None:
    case = SimilarCase(id="seed.quota", title="quota", root_cause="quota-exceeded", outcome="held", score=0.8)
    own = case.model_copy(update={"id": "approval.x"})
    assert words in say(Diagnosis(summary="s", healthy=False, similar_cases=(case,)), language)
    assert words not in say(Diagnosis(summary="s", healthy=False, similar_cases=(own,)), language)


def test_similar_cases_say_whether_they_held() -> None:
    case = SimilarCase(id="1", title="payments again", root_cause="x", outcome="relapsed", score=0.5)
    change = Change(object=PAYMENTS, path="spec.replicas", before=None, after="2", at=NOW, by="ann")
    text = say(Diagnosis(summary="s", healthy=False, similar_cases=(case,), changes=(change,)), "en")
    assert "did not hold" in text
    assert "by `ann`" in text


@pytest.mark.parametrize(
    ("text", "lang"), [("why?", "en"), ("为什么重启", "zh"), ("なぜ再起動する", "ja"), ("", "en"), ("結帳失敗", "zh")]
)
def test_language_of_a_question(text: str, lang: str) -> None:
    assert language(text) == lang


def test_an_unknown_code_is_said_as_it_is() -> None:
    assert title("code-of-tomorrow", "ja") == "code-of-tomorrow"
