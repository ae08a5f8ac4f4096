"""Was a change taken back, and by whom: each type of change that can be."""

import copy
from datetime import timedelta
from typing import Any

import pytest

from protocol.commands import REVERTED
from protocol.objects import ObjectRef
from protocol.remediation import (
    CordonNode,
    CreateConfigMap,
    DeletePod,
    DrainNode,
    PlanBody,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
)
from runner.remediation.memory import AfterState
from runner.remediation.prepare import fields_hash
from runner.remediation.reverted import reverted
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Situation
from tests.unit.runner.test_git_patch import DEPLOYMENT, STATES, live, planned, template
from tests.unit.runner.test_owner import ARGO, fields
from tests.unit.runner.test_remediation_rows import CONFIG, NODE, NOW, WEB

LATER = NOW + timedelta(seconds=20)


def plan(action: Remediation, obj: Obj | None) -> PlanBody:
    before = fields_hash(action, Situation(obj, NOW))
    return PlanBody(cluster="c" * 16, action=action, undo=None, target_uid="u1", fields_hash=before)


def left_behind(action: Remediation, after: Obj | None) -> AfterState:
    return AfterState(uid="u1", fields_hash=fields_hash(action, Situation(after, NOW)))


def seen(action: Remediation, before: Obj | None, now: Obj | None, left: AfterState | None) -> Any:
    return reverted(plan(action, before), left, now, NOW, LATER)


NODE_OBJECT = live(NODE, spec={})
ALL: list[tuple[Remediation, Obj]] = [*STATES, (CordonNode(target=NODE), NODE_OBJECT)]


@pytest.mark.parametrize(("action", "obj"), ALL, ids=lambda value: getattr(value, "type", ""))
def test_each_change_is_there_or_was_taken_back(action: Remediation, obj: Obj) -> None:
    after = planned(action, obj)
    left = left_behind(action, after)
    assert seen(action, obj, after, left) is None
    noisy = {**after, "status": {"replicas": 1}}
    assert seen(action, obj, noisy, left) is None
    back = seen(action, obj, copy.deepcopy(obj), left)
    assert (back.outcome, back.code) == ("worse", REVERTED)
    assert "was taken back: it is as it was before" in back.message


def test_a_new_object_that_is_pruned_was_taken_back() -> None:
    action = CreateConfigMap(target=CONFIG, data={"a": "1"})
    after = row_of(action).after(action, Situation(None, NOW))
    left = left_behind(action, after)
    assert seen(action, None, after, left) is None
    assert seen(action, None, None, left).code == REVERTED


def test_a_third_value_is_neither() -> None:
    action = ScaleWorkload(target=WEB, replicas=5)
    third = planned(ScaleWorkload(target=WEB, replicas=9), DEPLOYMENT)
    found = seen(action, DEPLOYMENT, third, left_behind(action, planned(action, DEPLOYMENT)))
    assert "changed again: it is neither as before nor as planned" in found.message


def test_a_restart_after_a_rollback_leaves_the_rollback_where_it_is() -> None:
    action = RollbackWorkload(target=WEB, to_revision=1)
    after = planned(action, DEPLOYMENT)
    restarted = planned(RestartWorkload(target=WEB), after)
    assert seen(action, DEPLOYMENT, restarted, left_behind(action, after)) is None


def test_without_a_memory_it_is_not_said_that_the_change_ever_ran() -> None:
    action = ScaleWorkload(target=WEB, replicas=5)
    assert "did not run, or was taken back" in seen(action, DEPLOYMENT, DEPLOYMENT, None).message
    assert seen(action, DEPLOYMENT, planned(action, DEPLOYMENT), None) is None


@pytest.mark.parametrize(
    "action", [RestartWorkload(target=WEB), DeletePod(target=ObjectRef.parse("Pod/shop/web-1")), DrainNode(target=NODE)]
)
def test_what_leaves_nothing_behind_can_not_be_taken_back(action: Remediation) -> None:
    body = PlanBody(cluster="c" * 16, action=action, undo=None, target_uid="u1", fields_hash="x")
    assert reverted(body, None, DEPLOYMENT, NOW, LATER) is None


def test_who_took_it_back_is_who_wrote_the_field_since() -> None:
    action = STATES[2][0]
    back = copy.deepcopy(DEPLOYMENT)
    old, new = (NOW - timedelta(hours=1)).isoformat(), (NOW + timedelta(seconds=5)).isoformat()
    back["metadata"]["managedFields"] = [
        {"manager": "kustomize-controller", "operation": "Apply", "time": new, "fieldsV1": fields("app")},
        {"manager": "kubectl-edit", "operation": "Update", "time": new, "fieldsV1": fields("side")},
        {"manager": "someone-earlier", "operation": "Update", "time": old, "fieldsV1": fields("app")},
        {"manager": "opsthread", "operation": "Update", "time": new, "fieldsV1": fields("app")},
    ]
    found = seen(action, DEPLOYMENT, back, left_behind(action, planned(action, DEPLOYMENT)))
    assert "was taken back by kustomize-controller: " in found.message
    back["metadata"] |= copy.deepcopy(ARGO)
    del back["metadata"]["managedFields"]
    found = seen(action, DEPLOYMENT, back, left_behind(action, planned(action, DEPLOYMENT)))
    assert "was taken back by Argo CD application shop: " in found.message


def test_a_deleted_and_recreated_object_has_what_it_has() -> None:
    action = ScaleWorkload(target=WEB, replicas=5)
    again = live(WEB, spec={"replicas": 2, "template": template()})
    again["metadata"]["uid"] = "u2"
    assert seen(action, DEPLOYMENT, again, left_behind(action, planned(action, DEPLOYMENT))).code == REVERTED
