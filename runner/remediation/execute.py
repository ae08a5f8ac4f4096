"""Execute: verify the grant, remember it on disk, look again, write once. Whatever dies in between, nothing runs twice."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import structlog
from nacl.signing import VerifyKey

from protocol.bus import RunnerMode
from protocol.canonical import digest
from protocol.commands import STOPPED, Execute, ExecutionOutcome
from protocol.grant import Grant, GrantRefused, verify
from protocol.policy import runner_may
from protocol.remediation import PlanBody, Remediation
from runner.clocks import elapsed
from runner.commands.answer import Refusal
from runner.commands.ask import Ask
from runner.kube.errors import KubeError
from runner.remediation.fitness import Fitness
from runner.remediation.memory import AfterState, GrantMemory
from runner.remediation.others import evictable
from runner.remediation.prepare import fields_hash
from runner.remediation.rows import row_of
from runner.remediation.situation import read_situation
from runner.remediation.types import Obj, Situation, Unfit
from runner.remediation.writes import Executor, evict, eviction_version, resource_of

log = structlog.get_logger("runner.execute")
Read = TypeVar("Read")

_TRIES = 3
_WRITE_TIMEOUT_S = 20.0
_EVICT_AGAIN_S = 5.0
_EVICT_STOP_S = 5.0
"""Before the grant ends: the answer must be given before the command's own deadline, which is about then."""
_DEFINITE = frozenset({400, 401, 403, 404, 405, 409, 410, 415, 422, 429})
"""Answers after which nothing was written. Anything else, silence among it, leaves that open."""


class Execution:
    """Runs plans under grants. One at a time: the object of one may be the object of the next."""

    def __init__(
        self,
        *,
        cluster: str,
        boot: str,
        keys: dict[str, VerifyKey],
        mode: RunnerMode,
        memory: GrantMemory,
        fitness: Fitness,
        passed: Callable[[], float] = elapsed,
    ) -> None:
        self._cluster = cluster
        self._boot = boot
        self._keys = keys
        self._mode = mode
        self._memory = memory
        self._fitness = fitness
        self._passed = passed
        self._one = asyncio.Lock()

    async def run(self, command: Execute, ask: Ask) -> ExecutionOutcome:
        """Never raises for what is refused or fails: the outcome says it. `unknown` means that nobody can tell."""
        now, received = ask.now(), self._passed()
        try:
            grant = self._verified(command, now)
            until = received + (grant.expires_at - now).total_seconds()
            # Before it waits for another one: who asks meanwhile must not hear that it was never seen, and be wrong later.
            self._memory.begin(grant, ask.now())
            log.info("grant_taken", authority=grant.authority, purpose=grant.purpose)
            return await self._ended(grant, command, ask, until)
        except GrantRefused as refusal:
            log.warning("grant_refused", code=refusal.code, authority=command.grant.grant.authority)
            return ExecutionOutcome(outcome="refused", code=refusal.code, message=str(refusal), at=ask.now())

    def _verified(self, command: Execute, now: datetime) -> Grant:
        """Everything that can be known without the cluster. The hash is computed here, from what would run."""
        self._fitness.check()
        grant = verify(
            command.grant, keys=self._keys, cluster=self._cluster, boot=self._boot, plan_hash=digest(command.body), now=now
        )
        if command.body.cluster != self._cluster:
            raise GrantRefused("other_cluster", f"the plan is for cluster {command.body.cluster}")
        hindrance = runner_may(self._mode, command.body.action)
        if hindrance is not None:
            raise GrantRefused("mode", hindrance)
        if grant.purpose == "undo" and command.body.undo is None:
            raise GrantRefused("no_undo", "the plan has no undo")
        return grant

    async def _ended(self, grant: Grant, command: Execute, ask: Ask, until: float) -> ExecutionOutcome:
        """Run and write down how it ended. From here on the grant is used up."""
        after: AfterState | None = None
        try:
            async with self._one:
                after, left_over = await self._apply(grant, command.body, ask, until)
            done = f"{_done_words(grant, command.body)}{left_over}"
            code = STOPPED if left_over and ask.stopped() else ""
            outcome = ExecutionOutcome(outcome="applied", code=code, message=done, at=ask.now())
        except GrantRefused as refusal:
            outcome = ExecutionOutcome(outcome="refused", code=refusal.code, message=str(refusal), at=ask.now())
        except (Unfit, Refusal) as problem:
            outcome = ExecutionOutcome(outcome="refused", code="unfit", message=str(problem), at=ask.now())
        except KubeError as error:
            failed = error.status in _DEFINITE
            outcome = ExecutionOutcome(
                outcome="failed" if failed else "unknown", code=error.reason, message=error.for_people(), at=ask.now()
            )
        except asyncio.CancelledError:
            self._memory.cut_off(grant, ask.now())
            raise
        except Exception as defect:  # whatever it is, the change may have been sent: that must be on record
            log.exception("execution_crashed", authority=grant.authority, purpose=grant.purpose)
            words = f"the runner has a defect here ({type(defect).__name__}); its log has the details"
            outcome = ExecutionOutcome(outcome="unknown", code="defect", message=words, at=ask.now())
        if outcome.outcome in ("applied", "refused", "failed", "unknown"):
            self._memory.end(grant, outcome.outcome, ask.now(), code=outcome.code, message=outcome.message, after=after)
        log.info("executed", authority=grant.authority, purpose=grant.purpose, outcome=outcome.outcome, code=outcome.code)
        return outcome

    async def _apply(self, grant: Grant, body: PlanBody, ask: Ask, until: float) -> tuple[AfterState, str]:
        """Read, compare with the plan, write under the read's resourceVersion; again at most three times when that moved.

        What it left behind, and in words what of it is still to be done ("" when nothing)."""
        if self._passed() >= until:
            raise GrantRefused("expired", "the grant expired while it waited for another execution")
        action = body.undo if grant.purpose == "undo" and body.undo is not None else body.action
        resource = await _read(resource_of(ask.discovery, action.target.kind))
        for attempt in range(_TRIES):
            situation = await _read(read_situation(action, resource, ask))
            self._unchanged(grant, body, situation)
            within_s = min(_WRITE_TIMEOUT_S, self._fitness.check())
            if self._passed() >= until:
                raise GrantRefused("expired", "the grant expired before the change could be sent")
            self._memory.sending(grant)
            try:
                written = await Executor(ask.client).send(action, resource, situation, within_s)
            except KubeError as error:
                if error.status == 409 and error.reason != "AlreadyExists" and attempt + 1 < _TRIES:
                    continue
                raise
            left_over = await self._evict_all(situation, ask, until - _EVICT_STOP_S) if row_of(action).how == "drain" else ""
            return self._after_state(body.action, written, situation), left_over
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _unchanged(self, grant: Grant, body: PlanBody, situation: Situation) -> None:
        """Is it the object that was approved, as it was? For an undo: as the action left it. Raises GrantRefused."""
        left = self._memory.after_state(grant.plan_hash) if grant.purpose == "undo" else None
        uid = str(situation.obj["metadata"]["uid"]) if situation.obj else ""
        wanted_uid = left.uid if left is not None else body.target_uid
        if uid != wanted_uid:
            what = "is gone" if not uid else "is another one of the same name" if wanted_uid else "exists already"
            raise GrantRefused("object_changed", f"{body.action.target} {what}: make a new plan")
        if grant.purpose == "undo" and left is None:
            raise GrantRefused("never_applied", "this runner did not apply the plan's action, so it has nothing to undo")
        expected = left.fields_hash if left is not None else body.fields_hash
        if _hash_now(body.action, situation) != expected:
            raise GrantRefused(
                "object_changed", f"{body.action.target} was changed since; what was approved no longer fits: make a new plan"
            )

    def _after_state(self, action: Remediation, written: Obj, before: Situation) -> AfterState:
        obj = written or None
        after = Situation(obj, before.now, before.revisions, before.current_revision, before.node_pods)
        return AfterState(uid=str(obj["metadata"]["uid"]) if obj else "", fields_hash=_hash_now(action, after))

    async def _evict_all(self, situation: Situation, ask: Ask, until: float) -> str:
        """Evict as the budgets allow, for as long as the grant holds. The node is cordoned by now, so nothing that goes wrong
        here means that nothing was changed: the words say what is left, and the check looks at the pods."""
        waiting = evictable(situation.node_pods)
        total = len(waiting)
        try:
            version = await eviction_version(ask.discovery)
            while waiting:
                held: list[Obj] = []
                for at, pod in enumerate(waiting):
                    if ask.stopped():
                        return _told_to_stop(len(held) + len(waiting) - at, total)
                    if self._passed() >= until:
                        held += waiting[at:]
                        break
                    try:
                        await evict(ask.client, version, pod, min(_WRITE_TIMEOUT_S, self._fitness.check()))
                    except KubeError as error:
                        if error.status == 429:
                            held.append(pod)
                        elif error.status != 404:
                            raise
                ask.report(f"{total - len(held)} of {total} pods evicted")
                waiting = held
                if waiting and self._passed() + _EVICT_AGAIN_S >= until:
                    return f"; {len(waiting)} of {total} pods could not be evicted in time: their disruption budgets hold them"
                if waiting:
                    await asyncio.sleep(_EVICT_AGAIN_S)
        except KubeError as error:
            return f"; evicting its pods stopped: {error.for_people()}"
        except GrantRefused as refusal:
            return f"; evicting its pods stopped: {refusal}"
        return ""


async def _read(reading: Awaitable[Read]) -> Read:
    """A read before the write that fails wrote nothing, whatever its status: it must not count as unknown."""
    try:
        return await reading
    except KubeError as error:
        raise GrantRefused("unreadable", f"the object could not be read before writing: {error.for_people()}") from error


def _hash_now(action: Remediation, situation: Situation) -> str:
    """The hash of the action's fields as they are; "" where they are gone, which equals no plan's hash."""
    try:
        return fields_hash(action, situation)
    except Unfit:
        return ""


def _told_to_stop(left: int, total: int) -> str:
    return f"; evicting its pods was stopped by order: {left} of {total} pods stay where they are; the node stays cordoned"


def _done_words(grant: Grant, body: PlanBody) -> str:
    action = body.undo if grant.purpose == "undo" and body.undo is not None else body.action
    return f"{action.type} of {action.target} was applied"
