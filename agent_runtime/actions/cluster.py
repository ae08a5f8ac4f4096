"""What an action says to the runner: look whether it still fails, execute once under a Grant, ask what became of it, look
whether it healed."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

from control_plane.approvals import Approval
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from protocol.approval import Role
from protocol.commands import (
    RUNNING,
    CheckOutcome,
    CheckPlan,
    CommandResult,
    CommandStatus,
    Diagnose,
    Execute,
    ExecutionOutcome,
    GrantStatus,
    ScopeLimit,
)
from protocol.diagnosis import Diagnosis
from protocol.grant import GRANT_SECONDS, Grant, sign
from protocol.ids import new_id
from protocol.objects import ObjectRef

Purpose = Literal["action", "undo"]

EXECUTE_DEADLINE_S = 60.0
ASK_DEADLINE_S = 10.0
ASK_EVERY_S = 2.0
SILENT = "silent"
"""Code of an `unknown` that is nobody's word: the runner did not answer."""
_NEVER_BEGUN = frozenset({CommandStatus.DENIED, CommandStatus.INVALID})
"""Ends without an outcome after which nothing was sent to the API server. Any other leaves that open: a runner that stops in
the middle says `cancelled`, one that crashes `failed`."""
_USED_BEFORE = frozenset({"ran_already", "replay"})


class ActionCluster:
    """The runner's side of one approval. `wait_s` bounds how long an answer about a grant is waited for."""

    def __init__(
        self,
        plane: ControlPlane,
        approval: Approval,
        *,
        now: Callable[[], datetime],
        wait_s: float,
        every_s: float = ASK_EVERY_S,
    ) -> None:
        self._plane = plane
        self._approval = approval
        self._now = now
        self._wait_s = wait_s
        self._every_s = every_s

    async def execute(self, purpose: Purpose) -> ExecutionOutcome:
        """Send the plan's action or its undo, once. Silence is followed by questions, never by a second sending."""
        cluster = await self._plane.fleet.get(self._approval.cluster)
        if cluster.runner is None:
            return ExecutionOutcome(outcome="never_seen", message=f"cluster {cluster.name} has no runner")
        body, now = self._approval.plan.body, self._now()
        begun = now if purpose == "undo" else min(now, self._approval.started_at or now)
        grant = Grant(
            cluster=self._approval.cluster,
            runner_boot=cluster.runner.boot,
            plan_hash=self._approval.plan.plan_hash,
            purpose=purpose,
            authority=f"approval:{self._approval.id}",
            kid=self._plane.grant_kid,
            nonce=new_id(),
            issued_at=now,
            # From the start of the action: a process that was held up in between must not send what others have given up.
            expires_at=begun + timedelta(seconds=GRANT_SECONDS),
        )
        execute = Execute(body=body, grant=sign(grant, self._plane.grant_key))
        result = await self._plane.commands.execute(
            self._approval.cluster, execute, approval=self._approval.id, deadline_s=EXECUTE_DEADLINE_S
        )
        if result.data is not None and "execution" in result.data:
            outcome = result.execution()
            return await self.became_of(purpose) if outcome.code in _USED_BEFORE else outcome
        if result.status in _NEVER_BEGUN:
            return ExecutionOutcome(outcome="refused", message=result.error or f"it ended as {result.status}")
        return await self.became_of(purpose)

    async def became_of(self, purpose: Purpose) -> ExecutionOutcome:
        """What became of the grants of this approval. `unknown` when the runner does not answer in time (code SILENT), or is
        still at it."""
        authority = f"approval:{self._approval.id}"
        command = GrantStatus(authority=authority, purpose=purpose, since=self._approval.started_at)
        last = ExecutionOutcome(outcome="unknown", code=SILENT, message="the runner did not answer")
        deadline = asyncio.get_running_loop().time() + self._wait_s
        while True:
            result = await self._run(command)
            if result.good and result.data is not None and "execution" in result.data:
                last = result.execution()
                if last.code != RUNNING:
                    return last
            elif result.error:
                last = ExecutionOutcome(outcome="unknown", code=SILENT, message=result.error)
            if asyncio.get_running_loop().time() >= deadline:
                return last
            await self.pause()

    async def check(self, started_at: datetime) -> CheckOutcome | None:
        """What is seen of the object now; None when the runner can't be asked."""
        result = await self._run(CheckPlan(body=self._approval.plan.body, started_at=started_at))
        return result.check() if result.good and result.data is not None and "check" in result.data else None

    async def diagnose(self, about: ObjectRef, *, within_s: float) -> Diagnosis | None:
        """A fresh look at one object; None when there is no answer in time, or none that can be read."""
        command = Diagnose(target=about, namespace=about.namespace or None)
        try:
            async with asyncio.timeout(within_s):
                result = await self._run(command, deadline_s=within_s)
            return result.diagnosis() if result.good else None
        except (TimeoutError, ValueError):
            return None

    async def pause(self) -> None:
        """Between two questions."""
        await asyncio.sleep(self._every_s)

    async def _run(self, command: GrantStatus | CheckPlan | Diagnose, *, deadline_s: float = ASK_DEADLINE_S) -> CommandResult:
        namespace = self._approval.namespace
        # Not the requester: whether an action that runs can be watched must not hang on one account.
        watcher = Principal(
            account="system",
            name="Opsthread",
            roles=(ScopedRole(role=Role.VIEWER, clusters=(self._approval.cluster,), namespaces=(namespace or "*",)),),
        )
        return await self._plane.commands.run(
            self._approval.cluster,
            command,
            principal=watcher,
            scope=ScopeLimit(namespaces=(namespace,) if namespace else None),
            deadline_s=deadline_s,
            correlation={"approval": self._approval.id, "conversation": self._approval.conversation or ""},
        )
