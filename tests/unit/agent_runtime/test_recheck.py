"""An approved plan is judged once more before it runs: a row a reason."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent_runtime.actions.recheck import why_not
from control_plane.approvals import Approval
from control_plane.break_glass import BreakGlass
from control_plane.fleet import Cluster, Runner
from control_plane.freezes import OpenFreeze
from control_plane.principals import Principal, ScopedRole
from protocol.approval import BREAK_GLASS, ApprovalState, Decision, Role, quorum_for
from protocol.bus import RunnerMode
from protocol.canonical import digest
from protocol.objects import ObjectRef
from protocol.remediation import Plan, PlanBody, RestartWorkload, Risk

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BODY = PlanBody(
    cluster="c1",
    action=RestartWorkload(target=ObjectRef.parse("Deployment/shop/web")),
    undo=None,
    target_uid="u",
    fields_hash="f",
)


def plan(**more: Any) -> Plan:
    fields: dict[str, Any] = {
        "body": BODY,
        "plan_hash": digest(BODY),
        "risk": Risk.MEDIUM,
        "diff": "",
        "diff_source": "computed",
        "made_at": NOW,
    }
    return Plan(**(fields | more))


def approval(**more: Any) -> Approval:
    yes = Decision(by="bob", by_name="Bob", verdict="approve", plan_hash=digest(BODY), at=NOW, door="web")
    fields: dict[str, Any] = {
        "id": "a" * 16,
        "cluster": "c1",
        "cluster_name": "shop",
        "conversation": None,
        "turn": None,
        "namespace": "shop",
        "plan": plan(),
        "command_line": "kubectl rollout restart",
        "undo_line": "",
        "state": ApprovalState.APPROVED,
        "version": 2,
        "quorum": quorum_for(Risk.MEDIUM),
        "four_eyes": True,
        "requester": "ann",
        "requester_name": "Ann",
        "why": "",
        "decisions": (yes,),
        "expires_at": NOW + timedelta(minutes=5),
        "created_at": NOW,
    }
    return Approval(**(fields | more))


def person(name: str, role: Role, namespaces: tuple[str, ...] = ("*",)) -> Principal:
    return Principal(account=name, name=name, roles=(ScopedRole(role=role, namespaces=namespaces),))


PEOPLE: dict[str, Principal | None] = {"ann": person("ann", Role.OPERATOR), "bob": person("bob", Role.APPROVER)}


def cluster(**more: Any) -> Cluster:
    runner = Runner(
        id="r",
        cluster="c1",
        boot="b",
        version="1",
        mode=RunnerMode(writes=True),
        online=True,
        kubernetes_version="",
        clock_offset_s=0,
        last_heartbeat=NOW,
    )
    fields: dict[str, Any] = {"id": "c1", "name": "shop", "online": True, "runner": runner, "created_at": NOW}
    return Cluster(**(fields | more))


def judge(wanted: Approval | None = None, people: dict[str, Principal | None] | None = None, **on: Any) -> str:
    return why_not(wanted or approval(), people=people or PEOPLE, cluster=cluster(**on), now=NOW)


def test_an_approval_that_still_holds_may_run() -> None:
    assert judge() == ""


FREEZE = OpenFreeze(until=NOW + timedelta(hours=1), reason="sale")
BROKEN = BreakGlass(by="olga", by_name="Olga", reason="alone", at=NOW)
BOBS = approval().decisions[0]
OLGAS = BOBS.model_copy(update={"by": "olga", "by_name": "Olga", "break_glass": True})


def test_a_broken_glass_runs_in_a_freeze_by_the_word_of_who_broke_it() -> None:
    olga = person("olga", Role.APPROVER)
    broken = approval(quorum=BREAK_GLASS, break_glass=BROKEN, decisions=(OLGAS,), freeze=FREEZE, requester="olga")
    assert judge(broken, PEOPLE | {"olga": olga}) == ""


ROWS: list[tuple[str, Approval, dict[str, Principal | None], dict[str, Any]]] = [
    ("expired", approval(expires_at=NOW), {}, {}),
    ("does not match its hash", approval(plan=plan(plan_hash="0" * 64)), {}, {}),
    ("another cluster", approval(cluster="c2"), {}, {}),
    ("read-only", approval(plan=plan(cannot_run="the runner is read-only")), {}, {}),
    ("kill switch", approval(), {}, {"kill_switch": True}),
    ("Ann asked for it", approval(), {"ann": person("ann", Role.VIEWER)}, {}),
    ("Ann asked for it", approval(), {"ann": None}, {}),
    ("no longer counted: Bob", approval(), {"bob": person("bob", Role.OPERATOR)}, {}),
    ("no longer counted: Bob", approval(), {"bob": person("bob", Role.APPROVER, ("default",))}, {}),
    ("no longer counted: Bob", approval(), {"bob": None}, {}),
    ("needs 2 approval(s)", approval(quorum=quorum_for(Risk.HIGH)), {}, {}),
    ("now has 0", approval(requester="bob", requester_name="Bob"), {}, {}),
    ("now has 0", approval(decisions=()), {}, {}),
    ("offline", approval(), {}, {"online": False}),
    ("frozen until 2026-01-01 13:00 UTC (sale)", approval(freeze=FREEZE), {}, {}),
    # Bob's word was one of two; Olga broke the glass and is gone since.
    ("no longer counted: Olga", approval(quorum=BREAK_GLASS, break_glass=BROKEN, decisions=(BOBS, OLGAS)), {"olga": None}, {}),
    ("kill switch", approval(quorum=BREAK_GLASS, break_glass=BROKEN, decisions=(OLGAS,)), {}, {"kill_switch": True}),
]


@pytest.mark.parametrize(("reason", "wanted", "people", "on"), ROWS, ids=[f"{n} {row[0]}" for n, row in enumerate(ROWS)])
def test_an_approval_that_no_longer_holds_does_not_run(
    reason: str, wanted: Approval, people: dict[str, Principal | None], on: dict[str, Any]
) -> None:
    assert reason in judge(wanted, PEOPLE | people, **on)


def test_the_same_person_does_not_count_twice() -> None:
    yes = approval().decisions[0]
    assert "now has 1" in judge(approval(quorum=quorum_for(Risk.HIGH), decisions=(yes, yes)))


def test_a_decision_about_another_plan_does_not_count() -> None:
    other = approval().decisions[0].model_copy(update={"plan_hash": "0" * 64})
    assert "now has 0" in judge(approval(decisions=(other,)))
