"""Commands: one whitelisted call to a cluster's runner, judged here first, stored with its result."""

from collections.abc import Callable
from datetime import datetime

from control_plane.principals import Principal
from protocol.base import Value
from protocol.commands import Command, CommandResult, CommandStatus, Execute, ScopeLimit


class CommandRow(Value):
    id: str
    cluster: str
    kind: str
    title: str
    """For people: the kubectl line or the PromQL expression."""
    status: CommandStatus | None
    """None while it runs."""
    issued_by: str
    conversation: str | None
    turn: str | None
    created_at: datetime
    finished_at: datetime | None
    duration_ms: float | None


class Commands:
    async def run(
        self,
        cluster: str,
        command: Command,
        *,
        principal: Principal,
        scope: ScopeLimit,
        deadline_s: float = 30,
        max_bytes: int = 1_048_576,
        correlation: dict[str, str] | None = None,
        on_progress: Callable[[str], None] | None = None,
    ) -> CommandResult:
        """Send a read (or prepare, check, grant_status) and wait for its end. Never raises for what can go wrong in a
        cluster: the result's status and error say it (offline, lost, timeout, denied, forbidden, …). `scope` is narrowed
        by what the principal sees. Execute is refused here: only the action sends it. Retries once when no runner answers.
        """
        ...

    async def execute(self, cluster: str, execute: Execute, *, approval: str, deadline_s: float = 60) -> CommandResult:
        """Send a granted plan, exactly once: never retried. Only the action of an approved approval calls this; the runner
        verifies the grant itself. LOST or OFFLINE means: ask GrantStatus, don't send again."""
        ...

    async def get(self, command: str, principal: Principal) -> CommandRow: ...

    async def result(self, command: str, principal: Principal) -> CommandResult: ...

    async def list(self, principal: Principal, *, cluster: str | None = None, limit: int = 50) -> tuple[CommandRow, ...]: ...
