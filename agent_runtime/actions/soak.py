"""The soak of a fix: after some time, is the trouble back? Asked of the cluster's runner, as nobody in particular.

A look says `well`, `back`, `gone` (the object was deleted, or changed by others) or that it can't tell; what follows is
the table in control_plane.soaks. A relapse reopens the thread: with an entry in its log, and a turn that looks again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import structlog

from agent_runtime.patience import Patience
from control_plane.clock import utc_now
from control_plane.errors import ServiceError
from control_plane.principals import Principal, ScopedRole
from control_plane.services import ControlPlane
from control_plane.soaks import Soak, relapse_of
from prompts import prompt
from protocol.approval import Role
from protocol.commands import Command, CommandResult, CommandStatus, Diagnose, Kubectl, ScopeLimit
from protocol.diagnosis import Diagnosis
from protocol.kubectl import parse
from protocol.kubectl.calls import GrammarError, WriteCall
from protocol.objects import ObjectRef
from protocol.text import one_line

log = structlog.get_logger(__name__)

DEADLINE_S = 30.0
AT_ONCE = 50
_UID = "{.metadata.uid}"
MARKS = {
    "Deployment": _UID + " {.metadata.annotations['deployment.kubernetes.io/revision']}",
    "StatefulSet": _UID + " {.status.updateRevision}",
    "DaemonSet": _UID + " {.metadata.generation}",
    "ConfigMap": _UID + " {.metadata.resourceVersion}",
}
"""What changes when an object is replaced or rolled out anew, and not when it is scaled. Other kinds: their uid."""

Verdict = Literal["well", "back", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Look:
    verdict: Verdict
    message: str


@dataclass(frozen=True)
class SoakStep:
    plane: ControlPlane
    now: Callable[[], datetime] = field(default=utc_now)
    patience: Patience = field(default_factory=lambda: Patience(time.monotonic))

    async def run_due(self) -> int:
        """Take what is due and free, one after the other so that each lease is fresh, and look. Gives how many. What fails is
        tried again when its lease is over."""
        looked = 0
        while looked < AT_ONCE and (claimed := await self.plane.soaks.claim_due(1)):
            looked += 1
            try:
                await self._run(claimed[0])
            except ServiceError as error:
                log.warning("a soak could not be looked at", approval=claimed[0].approval, why=error.message)
        relapsed = {soak.approval: soak for soak in await self.plane.soaks.unanswered()}
        for approval in self.patience.due(relapsed):
            await self._reopen(relapsed[approval])
        return looked

    async def _run(self, soak: Soak) -> None:
        seen = await self._mark(soak)
        if not soak.mark and isinstance(seen, str) and soak.due_at > self.now():
            await self.plane.soaks.remember(soak, seen)
            return
        look = await self._look(soak, seen)
        log.info("soak", approval=soak.approval, object=soak.object, step=soak.step, verdict=look.verdict, why=look.message)
        match look.verdict:
            case "well":
                await self.plane.soaks.passed(soak, look.message)
            case "back":
                await self.plane.soaks.end(soak, "relapsed", look.message)
            case "gone":
                await self.plane.soaks.end(soak, "void", look.message)
            case "unknown":
                await self.plane.soaks.unknown(soak, look.message)

    async def _look(self, soak: Soak, seen: "str | Look") -> Look:
        if isinstance(seen, Look):
            return seen
        look = await self._diagnosed(soak)
        if seen != soak.mark if soak.mark else await self._is_another(soak, seen):
            return replaced(soak.object, look)
        return look

    async def _is_another(self, soak: Soak, seen: str) -> bool:
        """Where no mark could be read in time: is it at least the object that the plan was made for?"""
        body = (await self.plane.approvals.get(soak.approval)).plan.body
        if not body.target_uid or str(body.action.target) != soak.object:
            return False
        return seen.split(" ", 1)[0] != body.target_uid

    async def _diagnosed(self, soak: Soak) -> Look:
        target = ObjectRef.parse(soak.object)
        result = await self._ask(soak, Diagnose(target=target, namespace=target.namespace or None))
        if not result.good or result.data is None or "diagnosis" not in result.data:
            return Look("unknown", result.error or f"the diagnosis ended as {result.status}")
        case = (await self.plane.cases.current([soak.case])).get(soak.case)
        about = {soak.object, case.object if case is not None and case.object else soak.object}
        return judge(result.diagnosis(), soak.code, about)

    async def _mark(self, soak: Soak) -> "str | Look":
        """What tells the object apart, or why there is nothing to look at."""
        target = ObjectRef.parse(soak.object)
        where = f" -n {target.namespace}" if target.namespace else ""
        line = f'get {target.kind.lower()} {target.name}{where} -o jsonpath="{MARKS.get(target.kind, _UID)}"'
        try:
            call = parse(line)
        except GrammarError as error:
            return Look("unknown", str(error))
        if isinstance(call, WriteCall):
            return Look("unknown", f"{line} does not read")
        result = await self._ask(soak, Kubectl(call=call))
        if result.status is CommandStatus.NOT_FOUND:
            return Look("gone", f"{soak.object} is not there any more.")
        if result.status is not CommandStatus.OK or not result.text.strip():
            return Look("unknown", result.error or f"{soak.object} could not be read")
        return one_line(result.text, 400)

    async def _ask(self, soak: Soak, command: Command) -> CommandResult:
        namespace = soak.namespace
        watcher = Principal(
            account="system",
            name="Opsthread",
            roles=(ScopedRole(role=Role.VIEWER, clusters=(soak.cluster,), namespaces=(namespace or "*",)),),
        )
        return await self.plane.commands.run(
            soak.cluster,
            command,
            principal=watcher,
            scope=ScopeLimit(namespaces=(namespace,) if namespace else None),
            deadline_s=DEADLINE_S,
            correlation={"approval": soak.approval, "conversation": soak.conversation or ""},
        )

    async def _reopen(self, soak: Soak) -> None:
        """A turn as the requester, without the right to propose: nobody has asked for a new change yet. Once, however often."""
        if soak.conversation is None:
            return
        try:
            approval = await self.plane.approvals.get(soak.approval)
            requester = await self.plane.accounts.principal(approval.requester)
            language = (await self.plane.conversations.turn(soak.turn)).language if soak.turn else "en"
            said = {"target": soak.object, "command": approval.command_line}
            await self.plane.conversations.ask(
                soak.conversation,
                requester,
                prompt("relapsed", language, **said),
                door="action",
                language=language,
                client_id=relapse_of(soak.approval),
                may_propose=False,
            )
        except ServiceError as error:
            # The entry in the log says it already; only the look that follows is missing.
            log.warning("the thread could not be reopened", approval=soak.approval, why=error.message)


def replaced(about: str, look: Look) -> Look:
    """Somebody's change decides now, not the fix. That the trouble is back with it (an owner that reverts the fix) is worth
    saying all the same. Pure."""
    changed = f"{about} was replaced or rolled out anew since the fix"
    if look.verdict == "back":
        return Look("gone", f"{changed}, and the trouble is back: {look.message}")
    return Look("gone", f"{changed}, so the soak says nothing.")


def judge(found: Diagnosis, code: str, about: set[str]) -> Look:
    """Is the cause of then back on the objects that it was about? Pure. A cause that is not the one of then is no relapse, and
    no proof that the fix holds either."""
    here = [cause for cause in found.root_causes if str(cause.object) in about]
    back = next((cause for cause in here if cause.code == code or not code), None)
    if back is not None:
        return Look("back", one_line(back.explanation, 500))
    if here:
        return Look("unknown", f"Something else is wrong with it now: {one_line(here[0].explanation, 400)}")
    if found.healthy or found.root_causes:
        return Look("well", one_line(found.summary, 400) if found.healthy else "Nothing is wrong with it now.")
    return Look("unknown", one_line(found.summary, 400))
