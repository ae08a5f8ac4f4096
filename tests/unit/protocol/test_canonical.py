"""Canonical JSON, ids, object references and subjects: what is hashed, signed and addressed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from protocol import subjects
from protocol.canonical import canonical_json, digest, sha256_hex
from protocol.commands import Diagnose
from protocol.ids import is_id, new_id
from protocol.kubectl import parse
from protocol.objects import ObjectRef, valid_name, valid_namespace
from protocol.remediation import (
    AdjustHpa,
    CordonNode,
    PatchConfigMap,
    Plan,
    PlanBody,
    RestartWorkload,
    Risk,
    SetEnv,
    SetResources,
)
from tests.unit.protocol import strategies as make

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def _sendable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@given(st.dictionaries(st.text(max_size=8), values, max_size=5).filter(_sendable))
def test_canonical_json_is_json_and_the_same_for_the_same_value(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(dict(reversed(list(value.items())))) == text


@given(st.dictionaries(st.text(max_size=8), st.integers(0, 9), max_size=6).filter(_sendable))
def test_keys_are_in_order_and_nothing_is_wasted(value: dict[str, int]) -> None:
    expected = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    assert canonical_json(value) == expected


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(bad: float) -> None:
    for value in ({"a": bad}, {"a": [1, {"b": bad}]}, [bad]):
        with pytest.raises(ValueError, match="NaN"):
            canonical_json(value)
    with pytest.raises(ValueError, match="NaN"):
        canonical_json(Diagnose(weights={"oom": bad}))


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": object()})
    with pytest.raises(TypeError):
        canonical_json({"a": "\ud800"})


def test_a_known_hash() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'.encode()
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(make.spoken_remediations)
def test_a_plan_read_back_has_the_same_hash(action: Any) -> None:
    body = PlanBody(cluster="c", action=action, undo=None, target_uid="u", fields_hash="f")
    again = PlanBody.model_validate_json(body.model_dump_json())
    assert digest(again) == digest(body)
    made = datetime(2026, 3, 1, tzinfo=UTC)
    plan = Plan(body=again, plan_hash=digest(body), risk=Risk.LOW, diff="", diff_source="computed", made_at=made)
    assert plan.verify_hash()
    changed = body.model_copy(update={"target_uid": "v"})
    assert not plan.model_copy(update={"body": changed}).verify_hash()


# Ids and subjects


def test_ids_are_base32_and_random() -> None:
    assert new_id(lambda n: b"\x00" * n) == "a" * 16
    assert len({new_id() for _ in range(100)}) == 100
    assert all(is_id(new_id()) for _ in range(100))


NOT_IDS = [
    "",
    "a" * 15,
    "a" * 33,
    "A" * 16,
    "a" * 15 + "1",
    "a" * 15 + ".",
    "*" * 16,
    ">" * 16,
    "a" * 16 + "\n",
    " " + "a" * 16,
]


@pytest.mark.parametrize("text", NOT_IDS)
def test_what_is_no_id_makes_no_subject(text: str) -> None:
    assert not is_id(text)
    good = "b" * 16
    makers: list[Callable[[], object]] = [
        lambda: subjects.hello(text, good),
        lambda: subjects.heartbeat(good, text),
        lambda: subjects.events(text, good),
        lambda: subjects.commands(good, text),
        lambda: subjects.cancel(text, good),
        lambda: subjects.conversation(text),
        lambda: subjects.inbox_prefix(text),
        lambda: subjects.runner_permissions(text, good),
    ]
    for maker in makers:
        with pytest.raises(ValueError, match="generated id"):
            maker()


def test_subjects_are_as_designed() -> None:
    cluster, runner = "c" * 16, "r" * 16
    assert subjects.hello(cluster, runner) == f"opsthread.v1.{cluster}.{runner}.hello"
    assert subjects.commands(cluster, runner) == f"opsthread.v1.cmd.{cluster}.{runner}"
    assert subjects.conversation("d" * 16) == f"opsthread.v1.conv.{'d' * 16}"


def _covers(pattern: str, subject: str) -> bool:
    """NATS's wildcards: `*` is one token, `>` is the rest."""
    for want, have in zip(pattern.split("."), subject.split(".") + [""] * 9, strict=False):
        if want == ">":
            return have != ""
        if want not in ("*", have):
            return False
    return len(pattern.split(".")) == len(subject.split("."))


def test_a_runner_reaches_its_own_subjects_only() -> None:
    mine, other, cluster = "r" * 16, "s" * 16, "c" * 16
    publish, subscribe = subjects.runner_permissions(cluster, mine)

    def may(patterns: tuple[str, ...], subject: str) -> bool:
        return any(_covers(pattern, subject) for pattern in patterns)

    assert may(publish, subjects.hello(cluster, mine))
    assert may(publish, subjects.findings(cluster, mine))
    assert may(subscribe, subjects.commands(cluster, mine))
    assert may(subscribe, subjects.cancel(cluster, mine))
    for subject in (subjects.hello(cluster, other), subjects.events("d" * 16, mine), subjects.commands(cluster, other)):
        assert not may(publish, subject)
        assert not may(subscribe, subject)
    assert not may(publish, subjects.commands(cluster, mine))
    assert not may(publish, subjects.conversation("d" * 16))
    assert not may(subscribe, f"{subjects.inbox_prefix(other)}.x")


# Objects


@pytest.mark.parametrize("text", ["Deployment/shop/payments", "Node//worker-1", "ClusterRole//system:node", "Pod/a/b.c-d"])
def test_object_references_read_and_write_themselves(text: str) -> None:
    ref = ObjectRef.parse(text)
    assert str(ref) == text
    assert ref.model_dump() == text
    assert ObjectRef.model_validate_json(ref.model_dump_json()) == ref


@pytest.mark.parametrize(
    "text",
    [
        "", "Pod", "Pod/shop", "Pod/shop/a/b", "pod/shop/a", "Pod/Shop/a", "Pod/shop/", "Pod/shop/..", "Pod/shop/.", "Pod/../a",
        "Pod/shop/a b", "Pod/shop/a\n", "Pod/shop/a%2fb", "Pod/shop/a?b", "Pod/shop/é", "/shop/a", "Pod/shop/-a", "Pod/s\n/a",
        "Pod/shop/" + "a" * 300, "Pod/" + "s" * 64 + "/a",
    ],
)  # fmt: skip
def test_what_is_no_object(text: str) -> None:
    with pytest.raises(ValidationError):
        ObjectRef.parse(text)


@given(make.hostile)
def test_a_valid_name_is_one_harmless_segment(text: str) -> None:
    if valid_name(text) or valid_namespace(text):
        assert text.isascii()
        assert not set(text) & set("/%?#&=\\ \t\r\n'\"<>")
        assert text not in (".", "..")


# Actions


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: RestartWorkload(target=ObjectRef.parse("Deployment//web")), "in a namespace"),
        (lambda: CordonNode(target=ObjectRef.parse("Node/shop/worker-1")), "in no namespace"),
        (lambda: RestartWorkload(target=ObjectRef.parse("Pod/shop/web")), "is not one of"),
        (lambda: SetResources(target=ObjectRef.parse("Deployment/shop/web"), container="app"), "neither requests nor limits"),
        (lambda: SetEnv(target=ObjectRef.parse("Deployment/shop/web"), container="app", env={}), "at least 1"),
        (lambda: PatchConfigMap(target=ObjectRef.parse("ConfigMap/shop/app"), data={}), "at least 1"),
        (lambda: AdjustHpa(target=ObjectRef.parse("HorizontalPodAutoscaler/shop/web")), "neither"),
        (
            lambda: AdjustHpa(target=ObjectRef.parse("HorizontalPodAutoscaler/shop/web"), min_replicas=5, max_replicas=2),
            "over the maximum",
        ),
        (
            lambda: SetResources(
                target=ObjectRef.parse("Deployment/shop/web"), container="app", limits={"memory": "1e999999999"}
            ),
            "pattern",
        ),
    ],
)
def test_actions_that_do_not_exist(build: Callable[[], object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        build()


def test_a_call_is_the_same_after_a_journey() -> None:
    call = parse("get po,deploy -n shop -l 'app in (a,b)' -o wide")
    assert type(call).model_validate_json(call.model_dump_json()) == call
