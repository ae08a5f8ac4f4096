"""action_v1: runs exactly one approved plan, once, and says what became of it. Its workflow id is `action:<approval>`.

Re-check, look whether it still fails → running → execute under a Grant → check until healthy, worse or out of time → undo if
worse → result. On re-entry after a crash it never sends the action again: it asks the runner what became of it, and looks at
the object.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from agent_runtime.actions.afterwards import afterwards
from agent_runtime.actions.cluster import ASK_EVERY_S, SILENT, ActionCluster
from agent_runtime.actions.recheck import CALM, healed, to_heal, why_not
from agent_runtime.actions.watch import CHECK_EVERY_S, Watched, watch
from control_plane.approvals import ENDED, Approval
from control_plane.clock import utc_now
from control_plane.errors import Conflict, ServiceError
from control_plane.principals import Principal
from control_plane.services import ControlPlane
from protocol.approval import ApprovalState, Trigger
from protocol.commands import FORGOTTEN, STOPPED, ExecutionOutcome
from protocol.events import LiveProgress
from protocol.grant import GRANT_SECONDS
from protocol.objects import ObjectRef
from protocol.text import one_line

log = structlog.get_logger(__name__)

ANSWER_WAIT_S = 60.0
"""How long a runner that was lost may stay silent before nobody can tell."""


LOOK_WITHIN_S = 5.0
"""What the look whether it still fails may take before the plan runs without it."""


@dataclass(frozen=True)
class ActionStep:
    plane: ControlPlane
    now: Callable[[], datetime] = field(default=utc_now)
    answer_wait_s: float = ANSWER_WAIT_S
    ask_every_s: float = ASK_EVERY_S
    check_every_s: float = CHECK_EVERY_S
    look_within_s: float = LOOK_WITHIN_S
    calm: timedelta = CALM

    async def run(self, approval_id: str) -> None:
        """Idempotent. Never raises but for cancellation of the task; what could not be finished is taken up by the sweep."""
        structlog.contextvars.bind_contextvars(approval=approval_id)
        try:
            approval = await self.plane.approvals.get(approval_id)
            if approval.state is ApprovalState.APPROVED:
                approval = await self._first(approval)
            elif approval.state is ApprovalState.RUNNING:
                approval = await self._again(approval)
            if approval.state in ENDED or approval.state is ApprovalState.REJECTED:
                await afterwards(self.plane, approval)
        except Exception:
            log.exception("the action failed", approval=approval_id)
        finally:
            structlog.contextvars.unbind_contextvars("approval")

    async def _first(self, approval: Approval) -> Approval:
        reason = await self._why_not(approval)
        about = () if reason else await self._to_heal(approval)
        if about:
            well = await self._healed(approval, about)
            approval = await self.plane.approvals.get(approval.id)
            if approval.state is not ApprovalState.APPROVED:
                return approval
            # The look took time: a kill switch, a freeze, a role taken away in it count all the same.
            reason = await self._why_not(approval) or well
        try:
            if reason:
                return await self._move(approval, Trigger.RECHECK_FAILED, f"It was not run: {reason}.")
            approval = await self.plane.approvals.move(approval.id, Trigger.START, from_version=approval.version)
        except Conflict as error:
            log.info("the action does not start", approval=approval.id, why=error.message)
            return await self.plane.approvals.get(approval.id)
        await self._progress(approval, "sending the approved plan to the runner")
        return await self._judge(approval, await self._cluster(approval).execute("action"))

    async def _again(self, approval: Approval) -> Approval:
        """It was running when a process ended: find out, never repeat."""
        await self._progress(approval, "asking the runner what became of the plan")
        cluster = self._cluster(approval)
        undo = await cluster.became_of("undo") if approval.plan.body.undo else None
        if undo is not None and undo.outcome != "never_seen" and undo.code not in (SILENT, FORGOTTEN):
            return await self._undone(approval, undo, "It got worse.")
        executed = await cluster.became_of("action")
        if executed.outcome == "never_seen" and self.now() < self._started(approval) + timedelta(seconds=GRANT_SECONDS):
            # Its grant still holds: what is on the way may still arrive. Ask once more when it can't any longer.
            executed = await self._after_grant(approval)
        return await self._judge(approval, executed)

    async def _judge(self, approval: Approval, executed: ExecutionOutcome) -> Approval:
        words = one_line(executed.message, 600)
        match executed.outcome:
            case "refused":
                return await self._move(approval, Trigger.CHECK_FAILED, f"The runner refused it and changed nothing: {words}")
            case "failed":
                return await self._move(approval, Trigger.CHECK_FAILED, f"It failed: {words}")
            case "never_seen":
                return await self._move(approval, Trigger.CHECK_FAILED, "It never reached the runner; nothing was changed.")
            case "unknown":
                return await self._move(approval, Trigger.UNANSWERED, await self._nobody_knows(approval, words))
            case "applied" if executed.code == STOPPED:
                by_hand = f"Undo it by hand: {approval.undo_line}" if approval.plan.body.undo else ""
                return await self._move(
                    approval, Trigger.CHECK_FAILED, f"It was stopped half-way by order. {words}. {by_hand}".rstrip()
                )
            case "applied":
                return await self._watch(approval)

    async def _watch(self, approval: Approval) -> Approval:
        started, cluster = self._started(approval), self._cluster(approval)
        watched = await watch(
            lambda: cluster.check(started),
            timeout_s=max(0.0, approval.plan.check_timeout_s - (self.now() - started).total_seconds()),
            progress=lambda note: self._progress(approval, note),
            every_s=self.check_every_s,
        )
        match watched.end:
            case "healthy":
                return await self._move(approval, Trigger.CHECK_PASSED, watched.message)
            case "worse":
                return await self._undo(approval, watched)
            case "reverted":
                words = f"{watched.message}. Nothing is left to undo; change it where its owner reads from."
                return await self._move(approval, Trigger.CHECK_FAILED, words)
            case "timeout":
                words = f"Not healthy within {approval.plan.check_timeout_s} s: {_sentence(watched.message)} The change stays."
                return await self._move(approval, Trigger.CHECK_FAILED, words)
            case "unanswered":
                words = f"It was applied, and whether it helped can't be seen: {watched.message}"
                return await self._move(approval, Trigger.UNANSWERED, words)

    async def _undo(self, approval: Approval, watched: Watched) -> Approval:
        if approval.plan.body.undo is None:
            return await self._move(approval, Trigger.CHECK_FAILED, f"It got worse and has no undo: {watched.message}")
        await self._progress(approval, f"it got worse, undoing: {watched.message}")
        executed = await self._cluster(approval).execute("undo")
        return await self._undone(approval, executed, f"It got worse: {_sentence(watched.message)}")

    async def _undone(self, approval: Approval, executed: ExecutionOutcome, why: str) -> Approval:
        words = one_line(executed.message, 400)
        if executed.outcome == "applied":
            return await self._move(approval, Trigger.UNDONE, f"{why} The change was undone.")
        if executed.outcome == "unknown":
            return await self._move(approval, Trigger.UNANSWERED, f"{why} Whether the undo ran is not known: {words}")
        by_hand = f"Undo it by hand: {approval.undo_line}"
        return await self._move(approval, Trigger.CHECK_FAILED, f"{why} The undo did not run: {_sentence(words)} {by_hand}")

    async def _after_grant(self, approval: Approval) -> ExecutionOutcome:
        """The runner's word once the grant of the first sending can no longer be used."""
        cluster = self._cluster(approval)
        until = self._started(approval) + timedelta(seconds=GRANT_SECONDS)
        while True:
            executed = await cluster.became_of("action")
            if executed.outcome != "never_seen" or self.now() >= until:
                return executed
            await cluster.pause()

    async def _nobody_knows(self, approval: Approval, why: str) -> str:
        seen = await self._cluster(approval).check(self._started(approval))
        if seen is None:
            return f"Whether it ran is not known: {why}"
        return f"Whether it ran is not known: {_sentence(why)} Seen now: {seen.message}"

    async def _why_not(self, approval: Approval) -> str:
        cluster = await self.plane.fleet.get(approval.cluster)
        return why_not(approval, people=await self._people(approval), cluster=cluster, now=self.now())

    async def _to_heal(self, approval: Approval) -> tuple[ObjectRef, ...]:
        if not approval.case_code or approval.turn is None:
            return ()
        return to_heal(approval, await self.plane.conversations.turn_log(approval.turn))

    async def _healed(self, approval: Approval, about: Sequence[ObjectRef]) -> str:
        """Why there is nothing left to heal; "" when there may be, or nobody can tell. Only when all of it is well."""
        await self._progress(approval, "looking whether it still fails")
        within_s = min(self.look_within_s, max(0.0, (approval.expires_at - self.now()).total_seconds()))
        cluster = self._cluster(approval)
        looks = await asyncio.gather(*(cluster.diagnose(one, within_s=within_s) for one in about))
        if None in looks:
            log.warning("whether it still fails could not be seen; the plan runs", approval=approval.id)
            await self._progress(approval, "whether it still fails can't be seen; the approved plan runs")
            return ""
        now = self.now()
        said = [
            healed(one, found, proposed_at=approval.created_at, now=now, calm=self.calm)
            for one, found in zip(about, looks, strict=True)
        ]
        return said[-1] if all(said) else ""

    async def _people(self, approval: Approval) -> dict[str, Principal | None]:
        accounts = {approval.requester, *(decision.by for decision in approval.decisions)}
        return {account: await self._principal(account) for account in accounts}

    async def _principal(self, account: str) -> Principal | None:
        try:
            return await self.plane.accounts.principal(account)
        except ServiceError:
            return None

    async def _move(self, approval: Approval, trigger: Trigger, outcome: str) -> Approval:
        return await self.plane.approvals.move(approval.id, trigger, from_version=approval.version, outcome=outcome)

    async def _progress(self, approval: Approval, note: str) -> None:
        if approval.conversation is not None:
            live = LiveProgress(approval=approval.id, note=one_line(note))
            await self.plane.conversations.publish_live(approval.conversation, live)

    def _started(self, approval: Approval) -> datetime:
        return approval.started_at or self.now()

    def _cluster(self, approval: Approval) -> ActionCluster:
        return ActionCluster(self.plane, approval, now=self.now, wait_s=self.answer_wait_s, every_s=self.ask_every_s)


def _sentence(words: str) -> str:
    """With its full stop, where another one follows it on the card."""
    return words if words.endswith((".", "!", "?")) else f"{words}."
