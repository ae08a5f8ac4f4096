"""Feedback and weights on both databases: whose word counts, how often, how far, and who may reset it."""

import asyncio

import pytest

from control_plane.errors import Conflict, Forbidden, Invalid, NotFound, ServiceError, TooMany
from control_plane.feedback import MOST_CHANGES, Feedback
from control_plane.principals import Principal
from control_plane.weights import Weights
from knowledge.weights import MOST, PERSON_MOST
from protocol.approval import Role
from protocol.diagnosis import Diagnosis, RootCause
from protocol.events import DiagnosisMade, ModelMessage, TurnFinished
from protocol.objects import ObjectRef
from tests.integration.desk import Desk

CAUSE = RootCause(
    code="disk-full", object=ObjectRef.parse("Deployment/shop/db"), explanation="No space is left.", confidence=0.9
)
FOUND = Diagnosis(summary="No space is left.", healthy=False, root_causes=(CAUSE,))


async def answered(desk: Desk, who: Principal, *, found: Diagnosis | None = FOUND) -> tuple[str, str]:
    """(conversation, turn) of an answer."""
    conversation = await desk.conversation(who)
    turn = await desk.conversations.ask(conversation.id, who, "why?", door="web", language="en")
    await desk.conversations.claim_turn(turn.id)
    if found is not None:
        await desk.conversations.append(conversation.id, DiagnosisMade(stage="rules", diagnosis=found), turn=turn.id)
    await desk.conversations.append(conversation.id, ModelMessage(text="It is full.", final=True), turn=turn.id)
    await desk.conversations.end_turn(turn.id, "finished", TurnFinished(took_ms=1))
    return conversation.id, turn.id


def services(desk: Desk) -> tuple[Feedback, Weights]:
    return Feedback(desk.database, clock=desk.clock), Weights(desk.database, clock=desk.clock)


@pytest.mark.parametrize(
    ("role", "counted"), [(Role.VIEWER, False), (Role.OPERATOR, False), (Role.APPROVER, True), (Role.ADMIN, True)]
)
async def test_everybodys_word_is_kept_and_an_approvers_counts(desk: Desk, role: Role, counted: bool) -> None:
    feedback, weights = services(desk)
    who = await desk.person("ann", role)
    conversation, turn = await answered(desk, who)
    said = await feedback.give(conversation, turn, who, "wrong", actual="node-pressure", note="it was\x00 the node", door="web")
    assert (said.code, said.actual, said.counted, said.note) == ("disk-full", "node-pressure", counted, "it was the node")
    assert await feedback.mine(conversation, who) == (said,)
    causes = await weights.causes()
    assert causes == ({"disk-full": 0.917, "node-pressure": 1.091} if counted else {})
    assert await desk.audit.verify() is None


async def test_a_thousand_clicks_are_one_vote(any_desk: Desk) -> None:
    feedback, weights = services(any_desk)
    mallory = await any_desk.person("mallory", Role.APPROVER)
    conversation, turn = await answered(any_desk, mallory)

    async def click(n: int) -> str:
        try:
            await feedback.give(conversation, turn, mallory, "wrong" if n % 2 else "right", door="web")
        except TooMany:
            return "too many"
        except ServiceError as error:
            return error.code
        return "ok"

    first = await asyncio.gather(*(click(n) for n in range(10)))
    more = [await click(n) for n in range(10, 40)]
    assert [*first, *more].count("ok") <= MOST_CHANGES
    assert more[-1] == "too many"
    _, shown = await weights.show()
    assert sum(one.votes_for + one.votes_against for one in shown) == 1
    assert len(await feedback.of_conversation(conversation)) == 1


async def test_one_person_over_many_answers_moves_little_and_many_people_at_most_to_the_bound(desk: Desk) -> None:
    feedback, weights = services(desk)
    mallory = await desk.person("mallory", Role.APPROVER)
    for _ in range(6):
        await feedback.give(*await answered(desk, mallory), mallory, "right")
    assert (await weights.causes())["disk-full"] == pytest.approx(2 ** (PERSON_MOST / 8), abs=1e-3)
    conversation, turn = await answered(desk, mallory)
    for n in range(12):
        await feedback.give(conversation, turn, await desk.person(f"p{n}", Role.APPROVER), "right")
    assert (await weights.causes())["disk-full"] == MOST


async def test_said_again_it_replaces_what_was_said_before(desk: Desk) -> None:
    feedback, weights = services(desk)
    ann = await desk.person("ann", Role.APPROVER)
    conversation, turn = await answered(desk, ann)
    await feedback.give(conversation, turn, ann, "wrong", actual="node-pressure")
    await feedback.give(conversation, turn, ann, "right")
    assert await weights.causes() == {"disk-full": 1.091}
    assert [(change.key, change.before, change.after) for change in await weights.history()] == [
        ("disk-full", 0.917, 1.091),
        ("node-pressure", 1.091, 1.0),
        ("disk-full", 1.0, 0.917),
        ("node-pressure", 1.0, 1.091),
    ]
    version, _ = await weights.show()
    assert version == 2


async def test_the_role_counts_as_it_stands_at_the_click(desk: Desk) -> None:
    feedback, weights = services(desk)
    ann = await desk.person("ann", Role.APPROVER)
    conversation, turn = await answered(desk, ann)
    viewer = ann.roles[0].model_copy(update={"role": Role.VIEWER})
    await desk.accounts.set_roles(ann.account, (viewer,), by="system")
    assert not (await feedback.give(conversation, turn, ann, "wrong")).counted
    assert await weights.causes() == {}


async def test_an_approver_of_a_part_only_does_not_count_for_the_whole(desk: Desk) -> None:
    feedback, _ = services(desk)
    root = await desk.person("root", Role.ADMIN)
    conversation, turn = await answered(desk, root)
    part = await desk.person("part", Role.APPROVER, namespaces=("shop",))
    with pytest.raises(NotFound):
        await feedback.give(conversation, turn, part, "right")


async def test_what_can_not_be_judged_is_refused(desk: Desk) -> None:
    feedback, _ = services(desk)
    ann = await desk.person("ann", Role.APPROVER)
    conversation, turn = await answered(desk, ann)
    other, _ = await answered(desk, ann)
    for wrong in (("right", "node-pressure"), ("wrong", "no-such-code")):
        with pytest.raises(Invalid):
            await feedback.give(conversation, turn, ann, "right" if wrong[0] == "right" else "wrong", actual=wrong[1])
    with pytest.raises(NotFound):
        await feedback.give(other, turn, ann, "right")
    open_turn = await desk.conversations.ask(conversation, ann, "and now?", door="web", language="en")
    with pytest.raises(Conflict):
        await feedback.give(conversation, open_turn.id, ann, "right")


async def test_free_text_is_redacted_and_capped(desk: Desk) -> None:
    feedback, _ = services(desk)
    ann = await desk.person("ann", Role.VIEWER)
    conversation, turn = await answered(desk, ann)
    said = await feedback.give(conversation, turn, ann, "wrong", note="password=hunter2-hunter2 " + "x" * 5000)
    assert "hunter2" not in said.note
    assert len(said.note) <= 1000


async def test_an_answer_without_a_cause_can_be_put_right(desk: Desk) -> None:
    feedback, weights = services(desk)
    ann = await desk.person("ann", Role.APPROVER)
    conversation, turn = await answered(desk, ann, found=None)
    await feedback.give(conversation, turn, ann, "wrong", actual="disk-full")
    assert await weights.causes() == {"disk-full": 1.091}


async def test_weights_are_reset_by_an_admin_and_their_history_stays(desk: Desk) -> None:
    feedback, weights = services(desk)
    root, ann = await desk.person("root", Role.ADMIN), await desk.person("ann", Role.APPROVER)
    conversation, turn = await answered(desk, ann)
    await feedback.give(conversation, turn, ann, "right")
    with pytest.raises(Forbidden):
        await weights.reset(ann)
    assert await weights.reset(root, door="cli") == 2
    assert (await weights.causes(), await weights.show()) == ({}, (2, ()))
    assert (await weights.history())[0].why == "reset"
    assert "weights.reset" in {row.action for row in await desk.audit.list(root)}
    await feedback.give(conversation, turn, ann, "wrong")
    assert await weights.causes() == {"disk-full": 0.917}
