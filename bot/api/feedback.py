"""Feedback on answers over REST, and the catalogue that an actual cause is picked from."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import Field

from bot.api.access import Me, Plane
from bot.api.conversations import ConversationId
from bot.api.language import Reader
from bot.api.paging import listing
from bot.api.views import View
from control_plane.feedback import FeedbackGiven
from knowledge.diagnosis.catalogue import CATALOGUE, Tier
from knowledge.diagnosis.catalogue.pods import PODS
from knowledge.wording import title
from protocol.base import Strict

router = APIRouter(prefix="/api/v1", tags=["feedback"])

TurnId = Annotated[str, Path(max_length=64)]
_OF_PODS = frozenset(row.code for row in PODS)


class Word(Strict):
    verdict: Literal["right", "wrong"]
    actual: str = Field(default="", max_length=100, description="What it was, by its code in /root-causes")
    note: str = Field(default="", max_length=4000)


@router.get("/root-causes")
async def list_root_causes(me: Me, reader: Reader) -> dict[str, Any]:
    """The published catalogue: what a diagnosis may name, in the reader's language, in groups."""
    del me
    rows: list[View] = [
        {
            "code": code,
            "title": title(code, reader),
            "group": group_of(code),
            "root": row.tier is not Tier.SYMPTOM,
        }
        for code, row in CATALOGUE.items()
    ]
    return listing("root_causes", rows)


@router.get("/conversations/{conversation}/feedback")
async def list_feedback(conversation: ConversationId, me: Me, plane: Plane) -> dict[str, Any]:
    """What you have said about its answers, and how many found each right or wrong. An approver also reads what others said
    (`all`)."""
    seen = await plane.feedback.seen_by(conversation, me.principal)
    counts: dict[str, dict[str, int]] = {}
    for one in await plane.feedback.of_conversation(conversation):
        tally = counts.setdefault(one.turn, {"right": 0, "wrong": 0})
        tally[one.verdict] += 1
    mine = [feedback_view(one) for one in seen if one.account == me.account]
    return {**listing("feedback", mine), "counts": counts, "all": [feedback_view(one) for one in seen]}


@router.post("/conversations/{conversation}/turns/{turn}/feedback")
async def give_feedback(conversation: ConversationId, turn: TurnId, body: Word, me: Me, plane: Plane) -> View:
    """Instead of what you said before about this answer. Everybody's is kept; an approver's moves weights (`counted`)."""
    given = await plane.feedback.give(
        conversation, turn, me.principal, body.verdict, actual=body.actual, note=body.note, door=me.door
    )
    return feedback_view(given)


def group_of(code: str) -> str:
    """Where a picker shows it: image, configuration, network, storage, scheduling, container, workload."""
    for group, heads in _GROUPS:
        if code.startswith(heads):
            return group
    return "container" if code in _OF_PODS else "workload"


_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("image", ("image-",)),
    ("configuration", ("configmap-", "secret-", "env-", "service-account-", "permission-", "authentication-", "certificate-")),
    ("network", ("service-", "network-", "dependency-", "upstream-", "ingress-", "port-")),
    ("storage", ("pvc-", "storage-", "volume-", "disk-")),
    (
        "scheduling",
        (
            "insufficient-",
            "node-",
            "taint-",
            "pod-affinity-",
            "unschedulable",
            "quota-",
            "pod-evicted",
            "out-of-memory-on-node",
        ),
    ),
)


def feedback_view(value: FeedbackGiven) -> View:
    return value.model_dump(mode="json")
