"""What tests of case memory start from: a case as a client sends it, and an answer that feedback can be given to."""

from typing import Any

from knowledge.cases import Case
from protocol.diagnosis import Diagnosis, RootCause
from protocol.events import DiagnosisMade, TurnFinished
from protocol.objects import ObjectRef
from tests.integration.http_server import Here, Person


def case_row(here: Here, name: str, **more: Any) -> dict[str, Any]:
    """A full disk in namespace shop, as JSON."""
    case = Case(id=name, title=f"{name} is full", code="disk-full", cluster=here.cluster.id, namespace="shop")
    return case.model_dump(mode="json") | more


async def answered(here: Here, who: Person, door: Any) -> tuple[str, str]:
    """A conversation of theirs and its finished turn, whose diagnosis is a full disk."""
    conversations = here.plane.conversations
    conversation = await conversations.create(who.principal, cluster=here.cluster.id)
    turn = await conversations.ask(conversation.id, who.principal, "why?", door=door, language="en")
    await conversations.claim_turn(turn.id)
    cause = RootCause(code="disk-full", object=ObjectRef.parse("Pod/shop/db"), explanation="It is full.", confidence=0.9)
    made = DiagnosisMade(stage="rules", diagnosis=Diagnosis(summary="Full.", healthy=False, root_causes=(cause,)))
    await conversations.append(conversation.id, made, turn=turn.id)
    await conversations.end_turn(turn.id, "finished", TurnFinished(took_ms=1))
    return conversation.id, turn.id
