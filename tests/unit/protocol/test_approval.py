"""The approval state machine and the quorum, held against DESIGN's table."""

from datetime import UTC, datetime
from itertools import product
from typing import Any, cast

import pytest

from protocol.approval import (
    BREAK_GLASS,
    TERMINAL,
    ApprovalState,
    Decision,
    NotAllowed,
    Quorum,
    Refusal,
    Role,
    Trigger,
    next_state,
    quorum_for,
    role_at_least,
    stricter,
    weigh,
)
from protocol.remediation import Risk

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

# What each trigger makes of a state. Every other pair is refused.
DESIGN = {
    "pending": {
        "partial": "pending",
        "quorum": "approved",
        "rejection": "rejected",
        "time": "expired",
        "withdraw": "cancelled",
        "kill_switch": "cancelled",
        "newer_plan": "superseded",
    },
    "approved": {
        "start": "running",
        "time": "expired",
        "withdraw": "cancelled",
        "kill_switch": "cancelled",
        "recheck_failed": "cancelled",
    },
    "running": {
        "check_passed": "succeeded",
        "check_failed": "failed",
        "undone": "rolled_back",
        "unanswered": "unknown",
    },
}


@pytest.mark.parametrize(("state", "trigger"), list(product(ApprovalState, Trigger)))
def test_every_state_and_trigger(state: ApprovalState, trigger: Trigger) -> None:
    expected = DESIGN.get(state.value, {}).get(trigger.value)
    if expected is None:
        with pytest.raises(NotAllowed) as refused:
            next_state(state, trigger)
        assert (refused.value.state, refused.value.trigger) == (state, trigger)
    else:
        assert next_state(state, trigger) is ApprovalState(expected)


def test_only_three_states_go_on() -> None:
    assert set(ApprovalState) - TERMINAL == {ApprovalState.PENDING, ApprovalState.APPROVED, ApprovalState.RUNNING}


def _says(by: str, verdict: str = "approve", *, plan: str = "p1", fresh: bool = False, door: str = "web") -> Decision:
    return Decision.model_validate(
        {"by": by, "by_name": by, "verdict": verdict, "plan_hash": plan, "at": NOW, "door": door, "fresh_sign_in": fresh}
    )


LOW, MEDIUM, HIGH = (quorum_for(risk) for risk in (Risk.LOW, Risk.MEDIUM, Risk.HIGH))
ALONE = quorum_for(Risk.HIGH, four_eyes=False)
FIRST = (_says("bob"),)

# Who decides (the requester is alice), in which role, on which quorum, after whom, and what comes of it.
WEIGHED: list[tuple[Decision, Role, Quorum, tuple[Decision, ...], Trigger | str]] = [
    (_says("alice"), Role.VIEWER, LOW, (), "role"),
    (_says("alice"), Role.OPERATOR, LOW, (), Trigger.QUORUM),
    (_says("bob"), Role.OPERATOR, LOW, (), Trigger.QUORUM),
    (_says("bob"), Role.OPERATOR, MEDIUM, (), "role"),
    (_says("bob"), Role.APPROVER, MEDIUM, (), Trigger.QUORUM),
    (_says("bob"), Role.ADMIN, MEDIUM, (), Trigger.QUORUM),
    (_says("alice"), Role.APPROVER, MEDIUM, (), "requester"),
    (_says("alice"), Role.ADMIN, MEDIUM, (), "requester"),
    (_says("bob"), Role.APPROVER, HIGH, (), Trigger.PARTIAL),
    (_says("bob", door="slack"), Role.APPROVER, HIGH, (), Trigger.PARTIAL),
    (_says("alice", fresh=True), Role.ADMIN, HIGH, (), "requester"),
    (_says("alice", fresh=True), Role.ADMIN, HIGH, FIRST, "requester"),
    (_says("bob", fresh=True), Role.APPROVER, HIGH, FIRST, "twice"),
    (_says("carol"), Role.APPROVER, HIGH, FIRST, "step_up"),
    (_says("carol", fresh=True, door="slack"), Role.APPROVER, HIGH, FIRST, "step_up"),
    (_says("carol", fresh=True, door="rest"), Role.APPROVER, HIGH, FIRST, "step_up"),
    (_says("carol", fresh=True), Role.APPROVER, HIGH, FIRST, Trigger.QUORUM),
    (_says("carol", fresh=True), Role.OPERATOR, HIGH, FIRST, "role"),
    # What was said about another plan, was a no, or came from the requester counts for nothing.
    (_says("carol", fresh=True), Role.APPROVER, HIGH, (_says("bob", plan="p0"),), Trigger.PARTIAL),
    (_says("carol", fresh=True), Role.APPROVER, HIGH, (_says("bob", "reject"),), Trigger.PARTIAL),
    (_says("carol", fresh=True), Role.APPROVER, HIGH, (_says("alice"),), Trigger.PARTIAL),
    (_says("bob", plan="p0"), Role.ADMIN, LOW, (), "plan_changed"),
    (_says("bob", "reject", plan="p0"), Role.ADMIN, LOW, (), "plan_changed"),
    (_says("bob", "reject"), Role.VIEWER, MEDIUM, (), "role"),
    (_says("bob", "reject"), Role.OPERATOR, MEDIUM, (), Trigger.REJECTION),
    (_says("bob", "reject"), Role.OPERATOR, HIGH, FIRST, Trigger.REJECTION),
    (_says("alice", "reject"), Role.VIEWER, HIGH, (), Trigger.WITHDRAW),
    (_says("alice"), Role.APPROVER, ALONE, (), Trigger.QUORUM),
    (_says("alice"), Role.OPERATOR, ALONE, (), "role"),
]


@pytest.mark.parametrize(("decision", "role", "quorum", "earlier", "expected"), WEIGHED)
def test_what_a_decision_weighs(
    decision: Decision, role: Role, quorum: Quorum, earlier: tuple[Decision, ...], expected: Trigger | str
) -> None:
    weighed = weigh(decision, role=role, requester="alice", plan_hash="p1", quorum=quorum, earlier=earlier)
    if isinstance(expected, Trigger):
        assert weighed is expected
    else:
        assert isinstance(weighed, Refusal)
        assert weighed.code == expected
        assert weighed.message


REASON: dict[str, object] = {"reason": "the release is blocked"}

# What a decision also says, what is around it, and what comes of it; bob is an approver, alice asked.
AROUND: list[tuple[Decision, dict[str, object], dict[str, object], Trigger | str]] = [
    (_says("bob"), {}, {"frozen": "frozen until noon"}, "frozen"),
    (_says("bob", "reject"), {}, {"frozen": "frozen until noon"}, Trigger.REJECTION),
    (_says("bob"), {"break_glass": True, **REASON}, {"frozen": "frozen until noon"}, Trigger.QUORUM),
    (_says("bob"), {"break_glass": True}, {"frozen": "frozen until noon"}, "break_glass"),
    (_says("bob"), {"break_glass": True, "reason": "  "}, {}, "break_glass"),
    (_says("bob"), {}, {"owner_reverts": True}, "owner"),
    (_says("bob"), {"override_owner": True}, {"owner_reverts": True}, "owner"),
    (_says("bob"), REASON, {"owner_reverts": True}, "owner"),
    (_says("bob"), {"override_owner": True, **REASON}, {"owner_reverts": True}, Trigger.QUORUM),
    (_says("bob"), {"break_glass": True, **REASON}, {"owner_reverts": True}, "owner"),
    (_says("bob", "reject"), {}, {"owner_reverts": True}, Trigger.REJECTION),
    (_says("alice"), {"override_owner": True, **REASON}, {"owner_reverts": True}, "requester"),
    (_says("bob", plan="p0"), {"break_glass": True, **REASON}, {}, "plan_changed"),
]


@pytest.mark.parametrize(("decision", "says", "around", "expected"), AROUND)
def test_what_a_freeze_an_owner_and_a_broken_glass_do_to_it(
    decision: Decision, says: dict[str, object], around: dict[str, object], expected: Trigger | str
) -> None:
    word = decision.model_copy(update=says)
    kind: dict[str, object] = {"role": Role.APPROVER, "requester": "alice", "plan_hash": "p1", "quorum": MEDIUM, "earlier": ()}
    weighed = weigh(word, **cast(dict[str, Any], kind | around))
    assert (weighed.code if isinstance(weighed, Refusal) else weighed) == expected


@pytest.mark.parametrize("door", ["web", "slack", "rest", "cli"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_broken_glass_is_one_approver_surely_there(door: str, fresh: bool) -> None:
    """On the web with a fresh sign-in, whatever the door says of itself; and never less than an approver."""
    word = _says("alice", door=door, fresh=fresh).model_copy(update={"break_glass": True, **REASON})
    weighed = weigh(word, role=Role.APPROVER, requester="alice", plan_hash="p1", quorum=BREAK_GLASS, earlier=())
    counts = fresh and door == "web"
    assert (weighed is Trigger.QUORUM) is counts
    low = weigh(word, role=Role.OPERATOR, requester="alice", plan_hash="p1", quorum=BREAK_GLASS, earlier=())
    assert isinstance(low, Refusal)


def test_the_stricter_of_two_quorums_satisfies_both() -> None:
    """Four-eyes turned on counts for what was asked for without it; turned off, it does not take anything away."""
    for risk in (Risk.LOW, Risk.MEDIUM, Risk.HIGH):
        on, off = quorum_for(risk), quorum_for(risk, four_eyes=False)
        assert stricter(off, on) == stricter(on, off) == on
        assert stricter(off, off) == off


def test_reads_have_no_quorum() -> None:
    with pytest.raises(KeyError):
        quorum_for(Risk.NONE)


def test_roles_hold_what_the_ones_before_hold() -> None:
    order = [Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN]
    for (i, role), (j, needed) in product(enumerate(order), enumerate(order)):
        assert role_at_least(role, needed) is (i >= j)
