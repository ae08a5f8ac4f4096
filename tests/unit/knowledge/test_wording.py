"""A Diagnosis said in three languages."""

import re

import pytest

from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.remedies import recommend
from knowledge.wording import Language, action_text, explanation, language, say, texts_of, title, translate
from protocol.diagnosis import Change, Diagnosis, Evidence, RootCause, SimilarCase
from protocol.objects import ObjectRef
from protocol.remediation import RestartWorkload
from tests.unit.knowledge.shop import payments_oom, search_healthy, shop
from tests.unit.knowledge.world import NOW

LANGUAGES: tuple[Language, ...] = ("en", "zh", "ja")
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_code_phrase_and_action_is_there(lang: Language) -> None:
    texts, english = texts_of(lang), texts_of("en")
    assert texts.codes.keys() == CATALOGUE.keys()
    assert texts.phrases.keys() == english.phrases.keys()
    assert texts.actions.keys() == english.actions.keys()
    fields = re.compile(r"\{(\w+)\}")
    for key, phrase in english.phrases.items():
        assert set(fields.findall(phrase)) == set(fields.findall(texts.phrases[key])), key
    for key, action in english.actions.items():
        assert set(fields.findall(action)) == set(fields.findall(texts.actions[key])), key


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


def test_actions_in_words() -> None:
    assert action_text(RestartWorkload(target=PAYMENTS), "en") == "Restart Deployment payments"
    assert action_text(RestartWorkload(target=PAYMENTS), "zh") == "重启 Deployment payments"


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
