"""The turn after an action, or after a rejection: the question that opens it, and the facts that it concludes from."""

import re

from control_plane.approvals import Approval
from control_plane.services import ControlPlane
from knowledge.wording import translate
from prompts import prompt
from protocol.approval import ApprovalState
from protocol.events import Language, UserMessage
from protocol.text import one_line

_APPROVAL = re.compile(r"[(（](?:approval|审批|承認) ([a-z2-7]{16,32})[)）]\s*$")


def question(approval: Approval, language: Language) -> str:
    """What the runtime asks in the requester's name once the action has ended. Pure."""
    said = facts(approval, language)
    said["state"] = translate(said["state"], language)
    name = "rejected" if approval.state is ApprovalState.REJECTED else "conclude"
    wanted = ("command", "target", "message", *(("by",) if name == "rejected" else ("state", "took")))
    return prompt(name, language, **{key: said[key] for key in wanted}, approval=approval.id)


def facts(approval: Approval, language: Language = "en") -> dict[str, str]:
    """The end of an action in strings, what became of it in the words of the language. Pure."""
    took = "?"
    if approval.started_at and approval.finished_at:
        took = f"{(approval.finished_at - approval.started_at).total_seconds():.0f}"
    return {
        "command": approval.command_line,
        "target": str(approval.plan.body.action.target),
        "state": approval.state.value,
        "took": took,
        "by": one_line(approval.decided_by_name, 80),
        "message": translate(approval.outcome, language),
    }


async def facts_of(plane: ControlPlane, asked: UserMessage | None) -> dict[str, str] | None:
    """For a concluding turn; None for a person's question. Only the runtime itself asks by the door "action"."""
    if asked is None or asked.door != "action":
        return None
    found = _APPROVAL.search(asked.text)
    return facts(await plane.approvals.get(found.group(1)), asked.language) if found else None
