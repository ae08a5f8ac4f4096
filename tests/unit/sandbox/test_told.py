"""Every scenario from fault to cure: diagnosed to the right cause, healed by a right fix; look-alikes are called well."""

import pytest

from agent_runtime.models.intents import Ask, intent_of
from knowledge.remedies import recommend
from sandbox.objects import text
from sandbox.scenarios import load
from tests.unit.sandbox.asking import ask
from tests.unit.sandbox.bench import Bench
from tests.unit.sandbox.remedies import do
from tools.targets import words_of

LONG_ENOUGH = 150.0
SURE = 0.7
"""A cause above this is put forward; what the cluster can't tell must stay below."""
TYPED = {
    "catalog-image": "set_image",
    "checkout-configmap": "patch_configmap",
    "mailer-config-key": "patch_configmap",
    "node-lost": "drain",
    "orders-db-zero": "scale",
    "orders-liveness": "rollback",
    "payments-oom": "set_resources",
    "recommend-gitops": "set_image",
    "reports-unschedulable": "set_resources",
    "web-rollout": "rollback",
    "worker-missing-env": "set_env",
    "worker-quota": "scale",
}
"""Which typed remediation comes first; scenarios that are not here have instructions for a person, or nothing."""


@pytest.mark.parametrize("scenario", list(load()))
def test_from_the_fault_to_the_cure(scenario: str) -> None:
    bench, told = Bench(scenario), load()[scenario]
    standing = bench.sandbox.scenarios.status(scenario)
    diagnosis = ask(bench)
    if told.truth.get("healthy"):
        assert not standing["broken"]
        name = text(told.truth, "object").rpartition("/")[2]
        assert diagnosis.healthy, diagnosis.summary
        assert ask(bench, name).healthy
        return
    assert standing["broken"]
    found = [(cause.code, str(cause.object)) for cause in diagnosis.root_causes]
    assert found == [(text(told.truth, "code"), text(told.truth, "object"))]
    asked = ask(bench, *words_of(told.questions["en"][0])).root_causes[0]
    assert (asked.code, str(asked.object)) == found[0], told.questions["en"][0]
    typed = [row.remediation.type for row in recommend(diagnosis) if row.remediation]
    assert (typed[:1] or [""]) == [TYPED.get(scenario, "")]
    if told.truth.get("answer") == "not-enough-evidence":
        assert diagnosis.root_causes[0].confidence < SURE
    bench.pass_time(60)
    assert bench.sandbox.scenarios.status(scenario)["broken"]
    if told.fixes:
        do(bench, told.fixes[0])
    else:
        bench.sandbox.scenarios.heal(scenario)
    bench.pass_time(LONG_ENOUGH)
    assert bench.sandbox.scenarios.status(scenario)["healthy"], bench.sandbox.scenarios.status(scenario)
    assert ask(bench).healthy, ask(bench).summary


@pytest.mark.parametrize("scenario", list(load()))
def test_its_questions_are_understood_without_a_model(scenario: str) -> None:
    for language, questions in load()[scenario].questions.items():
        for question in questions:
            assert intent_of(question, namespaces=("shop",)).ask in (Ask.DIAGNOSE, Ask.CHANGES), (language, question)
