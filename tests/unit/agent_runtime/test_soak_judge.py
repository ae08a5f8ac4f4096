"""What a look at a fixed object says: a table over what the rules themselves find."""

import pytest

from agent_runtime.actions.soak import MARKS, Look, Verdict, judge, replaced
from knowledge.wording import Language
from knowledge.wording.translate import is_ours
from protocol.diagnosis import Diagnosis, RootCause
from protocol.kubectl import parse
from protocol.kubectl.calls import GetCall
from protocol.objects import ObjectRef
from tests.unit.knowledge.shop import checkout_config, payments_oom, search_healthy

PAYMENTS = {"Deployment/shop/payments"}


def found(*causes: tuple[str, str], healthy: bool = False) -> Diagnosis:
    made = tuple(
        RootCause(code=code, object=ObjectRef.parse(about), explanation=f"{code}.", confidence=0.9) for code, about in causes
    )
    return Diagnosis(summary="s", healthy=healthy, root_causes=made)


@pytest.mark.parametrize(
    ("diagnosis", "code", "about", "verdict"),
    [
        (payments_oom().ask("payments"), "memory-limit-too-low", PAYMENTS, "back"),
        (search_healthy().ask("search"), "memory-limit-too-low", {"Deployment/shop/search"}, "well"),
        (checkout_config().ask("checkout"), "configmap-wrong-value", {"ConfigMap/shop/checkout-config"}, "back"),
        (found(("memory-limit-too-low", "Deployment/shop/other")), "memory-limit-too-low", PAYMENTS, "well"),
        (found(("disk-full", "Deployment/shop/payments")), "memory-limit-too-low", PAYMENTS, "unknown"),
        (found(("disk-full", "Deployment/shop/payments")), "", PAYMENTS, "back"),
        (found(healthy=True), "memory-limit-too-low", PAYMENTS, "well"),
        (found(), "memory-limit-too-low", PAYMENTS, "unknown"),
        (
            found(("disk-full", "Deployment/shop/payments"), ("memory-limit-too-low", "Deployment/shop/payments")),
            "memory-limit-too-low",
            PAYMENTS,
            "back",
        ),
    ],
)
def test_a_look(diagnosis: Diagnosis, code: str, about: set[str], verdict: str) -> None:
    look = judge(diagnosis, code, about)
    assert look.verdict == verdict
    assert look.message


@pytest.mark.parametrize(
    ("verdict", "words"), [("back", "the trouble is back: it is killed"), ("well", "says nothing"), ("unknown", "says nothing")]
)
@pytest.mark.parametrize("language", ["zh", "ja"])
def test_an_object_that_others_changed_is_no_relapse_and_its_trouble_is_said(
    verdict: Verdict, words: str, language: Language
) -> None:
    look = replaced("Deployment/shop/payments", Look(verdict, "it is killed"))
    assert look.verdict == "gone"
    assert words in look.message
    assert is_ours(look.message, language)


@pytest.mark.parametrize("kind", sorted(MARKS))
def test_a_mark_is_a_read_that_the_grammar_takes(kind: str) -> None:
    call = parse(f'get {kind.lower()} x -n shop -o jsonpath="{MARKS[kind]}"')
    assert isinstance(call, GetCall)
    assert "metadata.uid" in call.jsonpath
