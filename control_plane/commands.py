"""Commands: one whitelisted call to a cluster's runner, judged here first, stored with its result."""

import asyncio
import builtins
import contextlib
import json
import time
from collections.abc import Callable
from datetime import datetime

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import SQLAlchemyError

from control_plane import command_log, command_words
from control_plane.audit import Entry, record
from control_plane.bus import Bus
from control_plane.clock import Clock, utc_now
from control_plane.command_log import CommandLog
from control_plane.database import Database, Session
from control_plane.errors import Conflict, NotFound, ServiceError
from control_plane.exchange import GRACE_S, Exchange, Target
from control_plane.fleet import Cluster, Fleet, visible_scope
from control_plane.principals import Principal, narrower
from control_plane.stopper import Stopper
from control_plane.tables.commands import CommandEntryRow
from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.canonical import digest
from protocol.commands import (
    CheckPlan,
    Command,
    CommandRequest,
    CommandResult,
    CommandStatus,
    Execute,
    PreparePlan,
    ScopeLimit,
)
from protocol.ids import new_id
from protocol.policy import Decided, PolicyContext, judge
from protocol.redaction import redact, redact_tree

LOG = structlog.get_logger("commands")
COMMANDS = Counter("opsthread_commands", "Commands by kind and how they ended", ["kind", "status"])
SECONDS = Histogram(
    "opsthread_command_seconds",
    "From the call to the end of a command",
    ["kind"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
_LONGEST_S = 900
_REDACT_HERE = 32 * 1024
_PAGE = 200
_MOST_PAGES = 10


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
    """`start` after the bus and the fleet, `stop` before them."""

    def __init__(self, database: Database, bus: Bus, fleet: Fleet, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._fleet = fleet
        self._clock = clock
        self._exchange = Exchange(bus, fleet.boot_of)
        self._log = CommandLog(database)
        self._stopper = Stopper(database, bus, longest_s=_LONGEST_S + GRACE_S, clock=clock)

    async def start(self) -> None:
        await self._log.start()
        await self._exchange.start()
        await self._stopper.start()

    async def stop(self) -> None:
        await self._stopper.stop()
        await self._exchange.stop()
        await self._log.stop()

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

        When the caller is cancelled the runner is told to give up and the row says cancelled.
        """
        try:
            target = await self._fleet.recent(cluster, principal)
        except NotFound as error:
            return CommandResult(id=new_id(), status=CommandStatus.NOT_FOUND, error=error.message)
        scope = narrower(scope, visible_scope(principal, target.id, target.name))
        request = CommandRequest(
            id=new_id(),
            command=command,
            scope=scope,
            deadline_s=min(deadline_s, _LONGEST_S),
            max_bytes=max_bytes,
            issued_by=principal.account,
            correlation=correlation or {},
        )
        if isinstance(command, Execute):
            return await self._deny(request, target, command_words.PROPOSE_INSTEAD)
        verdict = judge(command, _context(target, scope, _role(principal, target)))
        if verdict.decision is not Decided.ALLOW:
            return await self._deny(request, target, verdict.reason)
        self._log.submit(command_log.began(_row(request, target, self._clock())), hurry=False)
        return await self._carry_out(request, target, once=False, on_progress=on_progress)

    async def execute(self, cluster: str, execute: Execute, *, approval: str, deadline_s: float = 60) -> CommandResult:
        """Send a granted plan, exactly once: never retried. Only the action of an approved approval calls this; the runner
        verifies the grant itself. LOST or OFFLINE means: ask GrantStatus, don't send again.

        Raises NotFound for an unknown cluster, and what the database raises when the row can't be written: nothing was
        sent then."""
        target = await self._fleet.get(cluster)
        request = CommandRequest(
            id=new_id(),
            command=execute,
            deadline_s=min(deadline_s, _LONGEST_S),
            issued_by=f"approval:{approval}",
            correlation={"approval": approval},
        )
        verdict = judge(execute, _context(target, request.scope, Role.OPERATOR))
        if verdict.decision is Decided.DENY:
            return await self._deny(request, target, verdict.reason)
        await self._log.submit(command_log.began(_row(request, target, self._clock())))
        # Looked at once more: a kill switch thrown from now on finds the row and stops it, one thrown before is seen here.
        verdict = judge(execute, _context(await self._fleet.get(cluster), request.scope, Role.OPERATOR))
        if verdict.decision is Decided.DENY:
            return await self._deny(request, target, verdict.reason, begun=True)
        return await self._carry_out(request, target, once=True, on_progress=None)

    async def get(self, command: str, principal: Principal) -> CommandRow:
        """Raises NotFound when there is none or it shows more than the principal may see."""
        return _shown(await self._visible(command, principal))

    async def result(self, command: str, principal: Principal) -> CommandResult:
        """As stored: at most 256 KiB of text. Raises NotFound, and Conflict while the command runs."""
        result = command_log.result_of(await self._visible(command, principal))
        if result is None:
            raise Conflict(f"command {command} still runs; ask again when it is finished", code="running")
        return result

    async def list(self, principal: Principal, *, cluster: str | None = None, limit: int = 50) -> tuple[CommandRow, ...]:
        """Newest first, only what the principal may see. Raises NotFound for an unknown cluster."""
        seen = [await self._fleet.get(cluster, principal)] if cluster is not None else await self._fleet.list(principal)
        scopes = {item.id: visible_scope(principal, item.id, item.name) for item in seen}
        await self._log.settle()
        found: builtins.list[CommandRow] = []
        before: datetime | None = None
        for _ in range(_MOST_PAGES):
            page = await command_log.newest(
                self._database, builtins.list(scopes), before=before, limit=_PAGE, tenant=principal.tenant
            )
            found += [_shown(row) for row in page if _within(row, scopes[row.cluster])]
            if len(page) < _PAGE or len(found) >= limit:
                break
            before = page[-1].created_at
        return tuple(found[:limit])

    async def _carry_out(
        self, request: CommandRequest, target: Cluster, *, once: bool, on_progress: Callable[[str], None] | None
    ) -> CommandResult:
        began = time.monotonic()
        try:
            result = await self._send(request, target, once=once, on_progress=on_progress)
        except asyncio.CancelledError:
            took = round((time.monotonic() - began) * 1000, 2)
            self._end(
                request,
                target,
                CommandResult(
                    id=request.id, status=CommandStatus.CANCELLED, error="The asker gave the command up.", duration_ms=took
                ),
            )
            raise
        took = round((time.monotonic() - began) * 1000, 2)
        result = result.model_copy(update={"id": request.id, "duration_ms": took})
        written = self._end(request, target, _to_keep(result, request.command.kind), hurry=once)
        if once:
            await self._kept(written)
        return result

    async def _send(
        self, request: CommandRequest, target: Cluster, *, once: bool, on_progress: Callable[[str], None] | None
    ) -> CommandResult:
        runner = target.runner
        if runner is None or not runner.online:
            heard = runner.last_heartbeat if runner is not None else None
            error = command_words.offline(target.name, heard, self._clock())
            return CommandResult(id=request.id, status=CommandStatus.OFFLINE, error=error)
        to = Target(cluster=target.id, cluster_name=target.name, runner=runner.id, boot=runner.boot)
        result = await self._exchange.ask(to, request, once=once, on_progress=on_progress)
        if len(result.text) > _REDACT_HERE or result.data is not None:
            return await asyncio.to_thread(_redacted, result, request.command.kind)
        return _redacted(result, request.command.kind)

    async def _deny(self, request: CommandRequest, target: Cluster, reason: str, *, begun: bool = False) -> CommandResult:
        """Stored and audited like any other."""
        result = CommandResult(id=request.id, status=CommandStatus.DENIED, error=reason)
        now = self._clock()
        row = _row(request, target, now)

        async def change(session: Session) -> None:
            if not begun:
                session.add(row)
                await session.flush()
            detail = {"cluster": target.name, "title": row.title, "reason": reason}
            record(
                session,
                Entry(request.issued_by, "command.denied", f"command:{request.id}", now, cluster=target.id, detail=detail),
            )

        self._log.submit(change)
        await self._kept(self._end(request, target, result))
        return result

    def _end(
        self, request: CommandRequest, target: Cluster, result: CommandResult, *, hurry: bool = True
    ) -> asyncio.Future[None]:
        kind = request.command.kind
        COMMANDS.labels(kind, str(result.status)).inc()
        SECONDS.labels(kind).observe(result.duration_ms / 1000)
        LOG.info(
            "command",
            command=request.id,
            cluster=target.name,
            kind=kind,
            status=str(result.status),
            ms=result.duration_ms,
            issued_by=request.issued_by,
            **request.correlation,
        )
        return self._log.submit(command_log.ended(result, self._clock()), hurry=hurry)

    async def _kept(self, written: asyncio.Future[None]) -> None:
        """Wait for a row that must be there before the caller goes on; reads leave it to the log's order. A row that can't
        be written is logged by the log: the answer is worth more."""
        with contextlib.suppress(SQLAlchemyError, OSError, ValueError, ServiceError):
            await written

    async def _visible(self, command: str, principal: Principal) -> CommandEntryRow:
        missing = NotFound(f"there is no command {command!r}")
        await self._log.settle()
        row = await command_log.find(self._database, command)
        if row is None or row.tenant_id != principal.tenant:
            raise missing
        try:
            target = await self._fleet.get(row.cluster, principal)
        except NotFound:
            raise missing from None
        if not _within(row, visible_scope(principal, target.id, target.name)):
            raise missing
        return row


def _context(target: Cluster, scope: ScopeLimit, role: Role) -> PolicyContext:
    """A cluster that never had a runner is judged as read-only; the runner judges again with its own mode."""
    if target.runner is None:
        return PolicyContext(scope=scope, role=role, kill_switch=target.kill_switch)
    return PolicyContext(mode=target.runner.mode, scope=scope, role=role, kill_switch=target.kill_switch)


def _role(principal: Principal, target: Cluster) -> Role:
    """The strongest role over the whole cluster, else the weakest: no read needs more."""
    roles = [principal.role_in(target.id, None), principal.role_in(target.name, None)]
    best = Role.VIEWER
    for role in roles:
        if role is not None and role_at_least(role, best):
            best = role
    return best


def _row(request: CommandRequest, target: Cluster, now: datetime) -> CommandEntryRow:
    command = request.command
    if isinstance(command, Execute):
        grant = command.grant.grant
        stored = json.dumps({"kind": "execute", "plan_hash": grant.plan_hash, "purpose": grant.purpose, "nonce": grant.nonce})
    elif isinstance(command, CheckPlan):
        # Asked every two seconds while an action is watched: the plan stands with its approval.
        stored = json.dumps({"kind": "check", "plan_hash": digest(command.body)})
    elif isinstance(command, PreparePlan):
        # Also one that is denied because of a secret in its values is kept, without them.
        stored = json.dumps({"kind": "prepare", "action": command.action.type, "target": str(command.action.target)})
    else:
        # Somebody may have pasted one into a selector or an expression.
        stored = json.dumps(redact_tree(command.model_dump(mode="json"))[0], ensure_ascii=False)
    return CommandEntryRow(
        id=request.id,
        cluster=target.id,
        runner=target.runner.id if target.runner is not None else None,
        kind=command.kind,
        title=redact(command_words.title(command)).text,
        request=stored,
        scope=request.scope.model_dump_json(),
        issued_by=request.issued_by,
        conversation=request.correlation.get("conversation"),
        turn=request.correlation.get("turn"),
        approval=request.correlation.get("approval"),
        status=None,
        error="",
        text="",
        cut="",
        redacted=0,
        created_at=now,
    )


def _within(row: CommandEntryRow, seen: ScopeLimit) -> bool:
    """May somebody who sees these namespaces see a result that was made for that scope?"""
    if seen.namespaces is None:
        return True
    made_for = ScopeLimit.model_validate_json(row.scope).namespaces
    return made_for is not None and set(made_for) <= set(seen.namespaces)


def _shown(row: CommandEntryRow) -> CommandRow:
    return CommandRow(
        id=row.id,
        cluster=row.cluster,
        kind=row.kind,
        title=row.title,
        status=CommandStatus(row.status) if row.status is not None else None,
        issued_by=row.issued_by,
        conversation=row.conversation,
        turn=row.turn,
        created_at=row.created_at,
        finished_at=row.finished_at,
        duration_ms=row.duration_ms,
    )


def _to_keep(result: CommandResult, kind: str) -> CommandResult:
    """A plan is kept with its approval, not here: its undo holds values as they were, which nobody has redacted."""
    return result.model_copy(update={"data": None}) if kind == "prepare" else result


def _redacted(result: CommandResult, kind: str) -> CommandResult:
    """Once more, whatever the runner did. A plan stays as it is: what it holds is hashed, and policy keeps secrets out."""
    text, error = redact(result.text), redact(result.error)
    count = text.count + error.count
    data = result.data
    if data is not None and kind != "prepare":
        data, more = redact_tree(data)
        count += more
    return result.model_copy(update={"text": text.text, "error": error.text, "data": data, "redacted": result.redacted + count})
