"""Remedies: every code has one; typed actions carry the right values; facts from a cluster can make no odd action."""

from typing import Any

import pytest

from knowledge.diagnosis.catalogue import CATALOGUE
from knowledge.remedies import REMEDIES, create_configmap, memory_limit, recommend, remedies_of
from protocol.diagnosis import Diagnosis, RootCause
from protocol.objects import ObjectRef
from protocol.remediation import Risk

MI = 2**20
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")


def cause(code: str, target: str = "Deployment/shop/payments", **facts: str | int | float | bool) -> RootCause:
    return RootCause(code=code, object=ObjectRef.parse(target), explanation="x", confidence=0.9, facts=facts)


def actions(one: RootCause) -> list[dict[str, object]]:
    return [found.remediation.model_dump(mode="json") for found in remedies_of(one) if found.remediation is not None]


def test_every_code_has_a_remedy_and_no_remedy_is_without_a_code() -> None:
    assert REMEDIES.keys() == CATALOGUE.keys()
    for code in CATALOGUE:
        target = (
            "Node//worker-1" if code.startswith("node-") and code != "node-selector-unmatched" else "Deployment/shop/payments"
        )
        found = remedies_of(cause(code, "Pod/shop/payments-1" if code == "pod-stuck-terminating" else target))
        assert found, code
        for one in found:
            assert one.remediation is not None or one.instructions, code
            assert one.why, code
            assert one.expected_effect, code
            assert "None" not in (one.instructions or ""), code


@pytest.mark.parametrize(
    ("limit", "peak", "previous", "size"),
    [
        (100, 130, 0, 192),  # 130 x 1.3 = 169
        (100, 136, 256, 256),  # the limit before is enough and was used before
        (100, 300, 128, 512),  # the limit before is not enough: 300 x 1.3 = 390
        (128, 127, 0, 256),  # the limit cuts the peak off: doubled
        (256, 0, 0, 512),  # nothing measured
        (100, 90_000, 0, 117_000),  # beyond the table of sizes
    ],
)
def test_memory_limit_arithmetic(limit: int, peak: int, previous: int, size: int) -> None:
    found, said = memory_limit(limit * MI, peak=peak * MI, previous=previous * MI)
    assert round(found / MI) == size
    assert "Mi" in said


def test_memory_is_raised_then_rolled_back() -> None:
    one = cause(
        "memory-limit-too-low",
        container="app",
        limit="96Mi",
        limit_bytes=96 * MI,
        peak_bytes=176 * MI,
        previous_limit="256Mi",
        previous_limit_bytes=256 * MI,
        revision=3,
    )
    assert actions(one) == [
        {
            "type": "set_resources",
            "target": "Deployment/shop/payments",
            "container": "app",
            "requests": {},
            "limits": {"memory": "256Mi"},
        },
        {"type": "rollback", "target": "Deployment/shop/payments", "to_revision": 3},
    ]
    assert "176Mi x 1.3" in remedies_of(one)[0].why


def test_a_wrong_value_goes_back_and_a_renamed_service_is_guessed_only_in_its_namespace() -> None:
    facts = {"key": "URL", "current": "http://pay:8080", "missing_service": "Service/shop/pay", "read_as": "file"}
    before = remedies_of(cause("configmap-wrong-value", "ConfigMap/shop/c", previous="http://payments:8080", **facts))
    assert before[0].remediation is not None
    assert before[0].remediation.model_dump()["data"] == {"URL": "http://payments:8080"}

    near = remedies_of(cause("configmap-wrong-value", "ConfigMap/shop/c", near="Service/shop/payments", **facts))
    assert near[0].remediation is not None
    assert near[0].remediation.model_dump()["data"] == {"URL": "http://payments:8080"}

    far = remedies_of(cause("configmap-wrong-value", "ConfigMap/shop/c", near="Service/other/payments", **facts))
    assert all(one.remediation is None for one in far)


def test_a_blacked_out_value_is_never_written_back() -> None:
    one = cause("env-variable-missing", container="app", env="TOKEN", previous="[redacted]", revision=2)
    assert [action["type"] for action in actions(one)] == ["rollback"]


@pytest.mark.parametrize("bad", ["a b", "app;rm", "../x", "A" * 300, ""])
def test_odd_facts_make_no_action(bad: str) -> None:
    found = remedies_of(cause("image-tag-not-found", container=bad, image="x:1", previous="x:0", revision=2))
    assert all(one.remediation is None or one.remediation.type == "rollback" for one in found)
    assert any(one.instructions for one in found)


def test_insufficient_cpu_goes_back_to_the_request_before_else_half_a_node() -> None:
    facts: dict[str, Any] = {"container": "app", "request": "64", "largest": "8", "largest_node": "w", "fits_no_node": True}
    before = remedies_of(cause("insufficient-cpu", previous="250m", revision=1, **facts))[0].remediation
    assert before is not None
    assert before.model_dump()["requests"] == {"cpu": "250m"}
    half = remedies_of(cause("insufficient-cpu", **facts))[0].remediation
    assert half is not None
    assert half.model_dump()["requests"] == {"cpu": "4"}
    facts["fits_no_node"] = False
    full = remedies_of(cause("insufficient-cpu", **facts))
    assert all(one.remediation is None for one in full)


def test_risk_is_the_actions_own() -> None:
    drain = [one for one in remedies_of(cause("node-not-ready", "Node//w")) if one.remediation is not None]
    assert [one.risk for one in drain] == [Risk.HIGH]


def test_recommendations_are_ranked_by_cause_and_said_once() -> None:
    first = cause("image-tag-not-found", container="app", image="x:1", previous="x:0", revision=2)
    second = cause("bad-rollout", revision=2, current_revision=3, changed="image")
    found = recommend(Diagnosis(summary="", healthy=False, root_causes=(first, second)))
    types = [one.remediation.type for one in found if one.remediation]
    assert types == ["set_image", "rollback"]
    assert recommend(Diagnosis(summary="", healthy=True)) == ()


def test_an_unknown_code_from_a_newer_runner_gets_advice() -> None:
    assert remedies_of(cause("code-of-tomorrow"))[0].instructions


def test_a_missing_configmap_can_be_made_from_proposed_data() -> None:
    made = create_configmap(cause("configmap-missing", "ConfigMap/shop/app-config", workload="Deployment/shop/web"), {"A": "1"})
    assert made is not None
    assert made.remediation is not None
    assert made.remediation.type == "create_configmap"
    assert create_configmap(cause("secret-missing", "Secret/shop/s"), {"A": "1"}) is None
