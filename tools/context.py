"""What the tools of one turn are built over. No tool keeps state of its own."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from control_plane.clock import utc_now
from control_plane.conversations import Conversation, Turn
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from knowledge.cases import CaseStore

CALL: ContextVar[str] = ContextVar("call", default="")
"""The id of the tool call that runs in this task; set by whoever runs the tool."""


def _silent(_call: str, _note: str) -> None:
    return None


@dataclass(frozen=True)
class ToolContext:
    plane: ControlPlane
    turn: Turn
    conversation: Conversation
    cases: CaseStore | None = None
    """None until the case store has loaded: past cases are then a limit, not an error."""
    on_progress: Callable[[str, str], None] = _silent
    """(call id, note): what a tool is doing right now."""
    now: Callable[[], datetime] = field(default=utc_now)

    async def principal(self) -> Principal:
        """The asker as the account stands at this moment, not as it stood when the turn began."""
        return await self.plane.accounts.principal(self.turn.asked_by)

    def progress(self, note: str) -> None:
        self.on_progress(CALL.get(), note)

    def correlation(self) -> dict[str, str]:
        return {"conversation": self.conversation.id, "turn": self.turn.id, "call": CALL.get()}

    def only_namespace(self) -> str | None:
        """The namespace, when the conversation is about exactly one."""
        names = self.conversation.scope.namespaces
        return names[0] if names is not None and len(names) == 1 else None
