"""Conversations, their turns and their log. The log is append-only; `seq` is taken under the conversation's row lock."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal

from control_plane.principals import Principal
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.events import AgentEvent, Language, Live, LogEntry

Door = Literal["web", "slack", "rest", "cli", "action"]


class Conversation(Value):
    id: str
    title: str
    cluster: str
    scope: ScopeLimit
    """Fixed at the start: cluster and namespaces. Readers must hold all of it."""
    created_by: str
    created_by_name: str
    created_at: datetime
    updated_at: datetime
    last_seq: int
    busy: bool = False
    """A turn is queued or running."""
    open_approvals: int = 0


class Turn(Value):
    id: str
    conversation: str
    state: Literal["queued", "running", "finished", "failed", "cancelled"]
    asked_by: str
    may_propose: bool = True
    """False for the concluding turn after an action."""
    cancel_requested: bool = False
    language: Language = "en"
    created_at: datetime


class Conversations:
    async def create(
        self, principal: Principal, *, cluster: str, namespaces: tuple[str, ...] | None = None, title: str = ""
    ) -> Conversation:
        """Scope is what the principal sees, narrowed to `namespaces`. Raises NotFound, Forbidden."""
        ...

    async def get(self, conversation: str, principal: Principal | None = None) -> Conversation:
        """Raises NotFound for what the principal may not read (the same as for what is not there)."""
        ...

    async def list(
        self, principal: Principal, *, limit: int = 50, before: str | None = None
    ) -> tuple[tuple[Conversation, ...], str | None]:
        """Newest first, with the next cursor."""
        ...

    async def ask(
        self,
        conversation: str,
        principal: Principal,
        text: str,
        *,
        door: Door,
        language: Language,
        client_id: str | None = None,
        may_propose: bool = True,
    ) -> Turn:
        """Append user_message and queue a turn in one transaction, then wake the runtime. `client_id` makes a repeat of the
        same POST give the same turn. Raises Invalid (empty, over 20,000 characters), TooMany (over 20 queued)."""
        ...

    async def append(self, conversation: str, event: AgentEvent, *, turn: str | None = None) -> LogEntry:
        """The only way into the log. Publishes a wake-up after the commit."""
        ...

    async def log(self, conversation: str, *, after: int = 0, limit: int = 1000) -> tuple[LogEntry, ...]: ...

    async def turn_log(self, turn: str) -> tuple[LogEntry, ...]: ...

    async def turn(self, turn: str) -> Turn: ...

    async def claim_turn(self, turn: str) -> Turn | None:
        """queued → running when no other turn of the conversation runs; running stays running (re-entry after a crash).
        None when it is not its time or it has ended."""
        ...

    async def end_turn(self, turn: str, state: Literal["finished", "failed", "cancelled"], event: AgentEvent) -> None:
        """Append the closing event and end the turn in one transaction."""

    async def startable_turns(self, limit: int = 50) -> tuple[str, ...]:
        """The oldest queued turn of each conversation in which none runs; the sweep starts those."""
        ...

    async def running_turns(self) -> tuple[str, ...]: ...

    async def request_cancel(self, turn: str, principal: Principal) -> None:
        """Stop: the runtime cancels at the next model or tool boundary."""

    async def publish_live(self, conversation: str, live: Live) -> None:
        """Live text and progress, over NATS; lost when nobody listens."""

    def watch(self, conversation: str) -> AsyncIterator[Live]:
        """Wake-ups and live text. Polls the table every 5 s besides: a lost wake-up costs 5 s, never an event."""
        ...
