"""Opening an approval: what may be proposed, from where, and what a newer plan does to an older one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from control_plane.errors import Conflict, Forbidden, Invalid, ServiceError, TooMany
from protocol.approval import ApprovalState, Role, Trigger
from protocol.events import ApprovalDecided
from protocol.objects import ObjectRef
from protocol.remediation import (
    BlastRadius,
    CordonNode,
    CreateConfigMap,
    DeleteConfigMap,
    DeletePod,
    RestartWorkload,
    Risk,
    ScaleWorkload,
    SetEnv,
    UncordonNode,
)
from tests.integration.desk import Desk, crew, desk_over, refused

S, T = ApprovalState, Trigger
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")
NODE = ObjectRef.parse("Node//worker-1")


BadPlan = Callable[[Desk], Any]

BAD_PLANS: dict[str, tuple[BadPlan, type[ServiceError]]] = {
    "hash of another plan": (lambda d: d.plan().model_copy(update={"plan_hash": d.plan("1Gi").plan_hash}), Invalid),
    "body of another plan": (lambda d: d.plan().model_copy(update={"body": d.plan("1Gi").body}), Invalid),
    "no risk at all": (lambda d: d.plan(risk=Risk.NONE), Invalid),
    "undo of another object": (
        lambda d: d.plan(
            action=RestartWorkload(target=PAYMENTS), undo=RestartWorkload(target=ObjectRef.parse("Deployment/bank/core"))
        ),
        Invalid,
    ),
    "undo that is another action": (
        lambda d: d.plan(action=RestartWorkload(target=PAYMENTS), undo=ScaleWorkload(target=PAYMENTS, replicas=0)),
        Invalid,
    ),
    "the undo of a creation as an action": (
        lambda d: d.plan(action=DeleteConfigMap(target=ObjectRef.parse("ConfigMap/shop/settings")), undo=None),
        Forbidden,
    ),
    "a secret in the new values": (
        lambda d: d.plan(
            action=CreateConfigMap(target=ObjectRef.parse("ConfigMap/shop/c"), data={"password": "hunter2-hunter2"}),
            undo=DeleteConfigMap(target=ObjectRef.parse("ConfigMap/shop/c")),
        ),
        Forbidden,
    ),
}


async def test_a_newer_plan_for_the_object_supersedes_the_older(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    one, two = await desk.conversation(ann), await desk.conversation(ann)
    older = await desk.propose(ann, conversation=one)
    newer = await desk.propose(ann, desk.plan("1Gi"), conversation=two)
    assert (await desk.approvals.get(older.id)).state is S.SUPERSEDED
    assert await refused(desk.decide(older, bob), Conflict) == "decided"
    assert (await desk.conversations.log(one.id))[-1].event == ApprovalDecided(
        approval=older.id, state=S.SUPERSEDED, by_name="Ann", reason="a newer plan for the same object took its place"
    )
    assert (await desk.decide(newer, bob)).state is S.APPROVED


async def test_somebody_elses_open_question_stays_and_the_newcomer_is_told_of_it(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    older = await desk.propose(ann, conversation=await desk.conversation(ann))
    for conversation in (None, await desk.conversation(bob)):
        with pytest.raises(Conflict) as told:
            await desk.propose(bob, desk.plan("1Gi"), conversation=conversation)
        assert "Ann has asked for" in told.value.message
        assert older.id in told.value.message
    assert (await desk.approvals.get(older.id)).state is S.PENDING
    await desk.approvals.withdraw(older.id, ann)
    assert (await desk.propose(bob, desk.plan("1Gi"))).state is S.PENDING


async def test_in_one_conversation_anybody_of_it_may_ask_for_something_better(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    older = await desk.propose(ann, conversation=conversation)
    await desk.propose(bob, desk.plan("1Gi"), conversation=conversation)
    assert (await desk.approvals.get(older.id)).state is S.SUPERSEDED


async def test_two_people_without_a_conversation_are_not_in_the_same_one(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    await desk.propose(ann)
    assert await refused(desk.propose(bob, desk.plan("1Gi")), Conflict) == "open_elsewhere"


async def test_the_turns_of_a_conversation_have_three_open_questions_at_most(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    turn = await desk.conversations.ask(conversation.id, ann, "restart all", door="web", language="en")

    def restart(name: str, by_turn: bool = True) -> Any:
        plan = desk.plan(action=RestartWorkload(target=ObjectRef.parse(f"Deployment/shop/{name}")), undo=None)
        return desk.approvals.open(
            plan,
            requester=ann,
            cluster=desk.cluster.id,
            conversation=conversation.id,
            turn=turn.id if by_turn else None,
            why="again",
        )

    first, *_ = [await restart(f"web-{n}") for n in range(3)]
    with pytest.raises(TooMany) as told:
        await restart("web-3")
    assert "Deployment/shop/web-0" in told.value.message or "deployment/web-0" in told.value.message
    assert (await restart("web-0")).id == first.id, "asking for the same again is no new question"
    assert (await restart("web-9", by_turn=False)).state is S.PENDING, "what a person proposes by hand is no flood"
    await desk.decide(first, bob, "reject")
    assert (await restart("web-3")).state is S.PENDING
    await refused(restart("web-4"), TooMany)
    desk.clock.move(hours=2)
    assert (await restart("web-4")).state is S.PENDING


async def test_while_a_change_of_the_object_is_under_way_no_other_opens(desk: Desk) -> None:
    ann, bob, _ = await crew(desk)
    approval = await desk.decide(await desk.propose(ann), bob)
    assert await refused(desk.propose(ann, desk.plan("1Gi")), Conflict) == "conflict"
    await desk.approvals.move(approval.id, T.START)
    assert await refused(desk.propose(ann), Conflict) == "conflict"
    await desk.approvals.move(approval.id, T.UNANSWERED)
    assert (await desk.propose(ann)).id != approval.id


async def test_what_can_not_run_is_shown_with_the_reason_and_can_not_be_approved(desk: Desk) -> None:
    ann, bob, carol = await crew(desk)
    approval = await desk.propose(ann, desk.plan(cannot_run="the runner is read-only"))
    assert desk.approvals.may_decide(approval, bob) == "It can't run: the runner is read-only"
    assert await refused(desk.decide(approval, bob)) == "cannot_run"
    assert (await desk.decide(approval, carol, "reject")).state is S.REJECTED


async def test_without_four_eyes_one_person_is_enough_and_the_card_knows(tmp_path: Path) -> None:
    async with desk_over("", tmp_path, four_eyes=False) as desk:
        ann = await desk.person("ann", Role.ADMIN)
        approval = await desk.propose(ann, desk.plan(risk=Risk.HIGH))
        assert (approval.four_eyes, approval.quorum.needed) == (False, 1)
        assert desk.approvals.may_decide(approval, ann) is None
        assert (await desk.decide(approval, ann)).state is S.APPROVED


@pytest.mark.parametrize("name", BAD_PLANS)
async def test_a_plan_that_does_not_hold_together_is_not_opened(desk: Desk, name: str) -> None:
    make, kind = BAD_PLANS[name]
    root = await desk.person("root", Role.ADMIN)
    await refused(desk.propose(root, make(desk)), kind)
    assert await desk.approvals.list(root) == ()


async def test_a_plan_for_another_cluster_is_not_opened_here(desk: Desk) -> None:
    root = await desk.person("root", Role.ADMIN)
    bank = await desk.fleet.create("bank", by="system")
    attempt = desk.approvals.open(desk.plan(), requester=root, cluster=bank.id, conversation=None, turn=None, why="mistaken")
    await refused(attempt, Invalid)


async def test_risk_is_never_lower_than_our_own_table_says(desk: Desk) -> None:
    ann, _, _ = await crew(desk)
    cases = [
        (desk.plan(action=DeletePod(target=ObjectRef.parse("Pod/shop/p-1")), undo=None, risk=Risk.LOW), Risk.MEDIUM),
        (
            desk.plan(
                action=ScaleWorkload(target=PAYMENTS, replicas=0),
                undo=ScaleWorkload(target=PAYMENTS, replicas=2),
                risk=Risk.LOW,
                blast_radius=BlastRadius(replicas_before=2),
            ),
            Risk.HIGH,
        ),
        (desk.plan(risk=Risk.HIGH), Risk.HIGH),
    ]
    for plan, risk in cases:
        approval = await desk.propose(ann, plan)
        assert approval.plan.risk is risk
        assert approval.quorum.needed == (2 if risk is Risk.HIGH else 1)
        assert approval.plan.verify_hash()


async def test_who_may_propose_and_from_where(desk: Desk) -> None:
    viewer = await desk.person("viewer", Role.VIEWER)
    assert await refused(desk.propose(viewer)) == "forbidden"
    elsewhere = await desk.person("elsewhere", Role.OPERATOR, namespaces=("bank",))
    assert await refused(desk.propose(elsewhere)) == "scope"
    ann = await desk.person("ann", Role.OPERATOR)
    bank = await desk.conversations.create(ann, cluster="shop", namespaces=("bank",))
    assert await refused(desk.propose(ann, conversation=bank)) == "forbidden"
    node = desk.plan(action=UncordonNode(target=NODE), undo=CordonNode(target=NODE))
    shop = await desk.conversations.create(ann, cluster="shop", namespaces=("shop",))
    assert await refused(desk.propose(ann, node, conversation=shop)) == "forbidden"
    others = await desk.conversation(await desk.person("root", Role.ADMIN))
    limited = await desk.person("limited", Role.OPERATOR, namespaces=("shop",))
    assert await refused(desk.propose(limited, conversation=others)) == "scope"


async def test_the_concluding_turn_of_an_action_can_not_propose(desk: Desk) -> None:
    ann, _, _ = await crew(desk)
    conversation = await desk.conversation(ann)
    turn = await desk.conversations.ask(conversation.id, ann, "conclude", door="action", language="en", may_propose=False)
    attempt = desk.approvals.open(
        desk.plan(), requester=ann, cluster=desk.cluster.id, conversation=conversation.id, turn=turn.id, why="again"
    )
    assert await refused(attempt) == "forbidden"


async def test_words_from_the_model_are_stored_clean_and_without_secrets(desk: Desk) -> None:
    ann, _, _ = await crew(desk)
    env = {"PAYMENTS_URL": "http://payments:8080"}
    plan = desk.plan(action=SetEnv(target=PAYMENTS, container="app", env=dict(env)), undo=None)
    approval = await desk.approvals.open(
        plan,
        requester=ann,
        cluster=desk.cluster.id,
        conversation=None,
        turn=None,
        why="\x1b[2Jbecause password=hunter2-hunter2 \u202eis wrong",
    )
    assert approval.why == "because password=[redacted] is wrong"
