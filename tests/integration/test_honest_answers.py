""" "Not enough evidence" and "no safe fix" are answers: told from a proven cause in the log, in words, for programs."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.api.views import entry_view
from bot.cli.cards import NO_SAFE_FIX, NOT_ENOUGH, diagnosis_panel
from bot.cli.story import Story
from bot.web.words import say
from protocol.approval import Role
from protocol.diagnosis import SURE, Diagnosis, Evidence, RootCause
from protocol.events import ApprovalRequested, DiagnosisMade, ModelMessage
from protocol.objects import ObjectRef
from tests.integration.agent_house import agent_house, oom

INVOICES, RATES = ObjectRef.parse("Deployment/shop/invoices"), ObjectRef.parse("Deployment/shop/rates")


def crash(confidence: float = 0.55) -> Diagnosis:
    """As the rules tell it of a program that ends and writes nothing."""
    seen = Evidence(source="object", object=INVOICES, excerpt='{"exitCode":1,"reason":"Error"}')
    words = "Container invoices ends with exit code 1 (a general error of the program) and is started again (10 restarts)."
    cause = RootCause(code="crash-on-start", object=INVOICES, explanation=words, confidence=confidence, evidence=(seen,))
    return Diagnosis(summary=words, root_causes=(cause,), healthy=False, checked=("1 pods", "logs of 1 containers"))


def outside() -> Diagnosis:
    """As the rules tell it of a host that is not in the cluster."""
    seen = Evidence(source="log", object=RATES, excerpt="dial tcp: connect to fx.partner.example:443: i/o timeout")
    words = "Container rates cannot reach fx.partner.example (connection timeout)."
    cause = RootCause(
        code="dependency-unreachable",
        object=RATES,
        explanation=words,
        confidence=0.72,
        evidence=(seen,),
        facts={"host": "fx.partner.example", "container": "rates"},
    )
    return Diagnosis(summary=words, root_causes=(cause,), healthy=False, checked=("1 pods",))


@pytest.mark.parametrize(
    ("diagnosis", "verdict", "no_safe_fix"),
    [
        (Diagnosis(summary="Nothing is wrong.", healthy=True), "healthy", False),
        (Diagnosis(summary="I don't know.", healthy=False), "not_enough_evidence", False),
        (crash(), "not_enough_evidence", False),
        (crash(SURE), "root_cause", True),
        (outside(), "root_cause", True),
    ],
)
def test_what_an_answer_amounts_to(diagnosis: Diagnosis, verdict: str, no_safe_fix: bool) -> None:
    assert (diagnosis.verdict, diagnosis.no_safe_fix) == (verdict, no_safe_fix)


CASES: dict[str, tuple[Diagnosis, str, dict[str, str], str]] = {
    "not enough evidence": (
        crash(),
        "why does invoices crash?",
        {"en": "**Not enough evidence**", "zh": "**证据不足**", "ja": "**証拠が不十分です**"},
        NOT_ENOUGH,
    ),
    "no safe fix": (
        outside(),
        "what is wrong with rates?",
        {"en": "**No safe fix**", "zh": "**没有安全的修复**", "ja": "**安全な修正はありません**"},
        NO_SAFE_FIX,
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_it_is_said_in_the_answer_and_nothing_is_proposed(tmp_path: Path, case: str) -> None:
    diagnosis, question, words, panel_says = CASES[case]
    async with agent_house(tmp_path) as house:
        house.script.diagnosis = diagnosis
        ann = await house.person("ann", Role.OPERATOR)
        asked: dict[Any, str] = {"en": question, "zh": f"{question} 为什么", "ja": f"{question} なぜですか"}
        for language, text in asked.items():
            told = await house.ask(ann, text, language=language)
            assert words[language] in told.all(ModelMessage)[-1].text, language
            assert not told.all(ApprovalRequested)
        told = await house.ask(ann, question)
        # For programs: REST's log entry and the command line's --json.
        entry = next(entry for entry in told.entries if isinstance(entry.event, DiagnosisMade))
        seen = entry_view(entry)["event"]
        assert (seen["verdict"], seen["no_safe_fix"]) == (diagnosis.verdict, diagnosis.no_safe_fix)
        story = Story()
        for entry in told.entries:
            story.take(entry.event, turn=entry.turn)
        summary = story.summary()
        assert (summary["verdict"], summary["no_safe_fix"]) == (diagnosis.verdict, diagnosis.no_safe_fix)
    screen = Console(width=140, record=True, quiet=False, file=(tmp_path / "screen").open("w"))
    screen.print(diagnosis_panel(diagnosis, stage="rules", took_ms=5))
    assert panel_says in screen.export_text()


async def test_a_cause_with_a_fix_says_neither(tmp_path: Path) -> None:
    async with agent_house(tmp_path) as house:
        house.script.diagnosis = oom()
        told = await house.ask(await house.person("ann", Role.OPERATOR), "why does payments keep restarting?")
        answer = told.all(ModelMessage)[-1].text
        assert not any(words["en"] in answer for _, _, words, _ in CASES.values())
        assert told.all(ApprovalRequested)


def test_the_page_has_words_for_each() -> None:
    for key in ("diagnosis.unknown", "diagnosis.possible", "diagnosis.no_safe_fix"):
        assert len({say("en", key), say("zh", key), say("ja", key)}) == 3
