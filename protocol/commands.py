"""Commands: one whitelisted call to a cluster's runner, with its result. The types of both ends of the bus."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from protocol.base import Message, Strict, Utc, Value
from protocol.checkup import CheckRow
from protocol.diagnosis import Change, Diagnosis
from protocol.grant import SignedGrant
from protocol.kubectl.calls import NamespaceName, ReadCall
from protocol.objects import ObjectRef
from protocol.remediation import Plan, PlanBody, Remediation


class ScopeLimit(Strict):
    """What the asker may see of this cluster. None: every namespace and cluster-scoped objects."""

    namespaces: tuple[NamespaceName, ...] | None = None

    def allows(self, namespace: str) -> bool:
        return self.namespaces is None or namespace in self.namespaces


class Kubectl(Strict):
    """A read in kubectl's words."""

    kind: Literal["kubectl"] = "kubectl"
    call: ReadCall


class PromQuery(Strict):
    """An instant query, or a range query when `start` is given. Times are RFC 3339; `step_s` in seconds."""

    kind: Literal["prometheus"] = "prometheus"
    expr: Annotated[str, Field(min_length=1, max_length=4000)]
    start: Utc | None = None
    end: Utc | None = None
    step_s: int | None = Field(default=None, ge=1)


class Diagnose(Strict):
    """Run the rules over the cache. Either a target, or words from the question that the runner resolves to objects."""

    kind: Literal["diagnose"] = "diagnose"
    target: ObjectRef | None = None
    words: tuple[str, ...] = ()
    namespace: NamespaceName | None = None
    changes: tuple[Change, ...] = ()
    """Recent changes that the control plane knows and the runner may not."""
    weights: dict[str, float] = {}
    """Catalogue code to prior weight, 0.5 to 2; absent means 1."""
    explain: bool = False


class ListChanges(Strict):
    kind: Literal["changes"] = "changes"
    namespace: NamespaceName | None = None
    target: ObjectRef | None = None
    since_s: int = Field(default=3600, ge=1, le=14 * 86_400)


class PreparePlan(Strict):
    """Freeze an action: precheck, uid, hash, diff by dry run, undo, owner, blast radius. Answers a Plan; changes nothing."""

    kind: Literal["prepare"] = "prepare"
    action: Remediation


class Execute(Strict):
    """Run a plan's action, or its undo, under a Grant."""

    kind: Literal["execute"] = "execute"
    body: PlanBody
    grant: SignedGrant


class GrantStatus(Strict):
    """What became of the grants of an authority (`approval:<id>`)? Asked after a crash; never sends again."""

    kind: Literal["grant_status"] = "grant_status"
    authority: str
    purpose: Literal["action", "undo"] = "action"
    since: Utc | None = None
    """When the action began. A runner whose memory begins later can't say that it never saw the grant."""


class CheckPlan(Strict):
    """Is the symptom gone? Polled after a plan ran."""

    kind: Literal["check"] = "check"
    body: PlanBody
    started_at: Utc


class SelfCheck(Strict):
    """Let the runner look at itself: API server, rights against its mode, clock, metrics, disk. Only for the whole cluster."""

    kind: Literal["self_check"] = "self_check"


Command = Annotated[
    Kubectl | PromQuery | Diagnose | ListChanges | PreparePlan | Execute | GrantStatus | CheckPlan | SelfCheck,
    Field(discriminator="kind"),
]


class CommandRequest(Message):
    """On the bus. `deadline_s` counts from receipt; the runner gives up then and says so."""

    id: str
    command: Command
    scope: ScopeLimit = ScopeLimit()
    deadline_s: float = Field(default=30, gt=0, le=900)
    max_bytes: int = Field(default=1_048_576, ge=1024)
    """Longest text the asker wants; the runner cuts and says what was cut."""
    issued_by: str = ""
    correlation: dict[str, str] = {}
    """Ids for the logs: conversation, turn, approval."""


class CommandStatus(StrEnum):
    OK = "ok"
    EMPTY = "empty"  # it worked and there is nothing: "No resources found"
    DENIED = "denied"  # policy or the runner's own configuration
    FORBIDDEN = "forbidden"  # the API server's 403
    NOT_FOUND = "not_found"
    INVALID = "invalid"  # 400, 422, a PromQL error
    UNAVAILABLE = "unavailable"  # no metrics-server, no Prometheus, API server 5xx
    TIMEOUT = "timeout"
    OFFLINE = "offline"  # no runner answered
    LOST = "lost"  # the runner accepted and was not heard of again
    CANCELLED = "cancelled"
    FAILED = "failed"


RUNNING = "running"
"""Code of an `unknown` that will become known: the runner is sending the plan right now."""


STOPPED = "stopped"
"""Code of an `applied` that was stopped by order when a part of it was done: a drain, between two pods."""


FORGOTTEN = "forgotten"
"""Code of an `unknown`: the runner's memory begins after the action did, so an earlier runner may have run it."""


class ExecutionOutcome(Value):
    """What became of a plan that a grant was used for."""

    outcome: Literal["applied", "refused", "failed", "unknown", "never_seen"]
    message: str = ""
    code: str = ""
    at: Utc | None = None


REVERTED = "reverted"
"""Code of a check that is `worse`: somebody else took the change back, so that there is nothing left to undo."""


class CheckOutcome(Value):
    """`worse` asks for the undo. `message` says what is seen now: "1 of 2 pods ready, no restart for 20 s"."""

    outcome: Literal["healthy", "waiting", "worse", "unknown"]
    message: str
    code: str = ""
    """REVERTED, or "" """


class CommandResult(Message):
    """The end of a command. `text` is what a person or a model reads: cleaned, redacted, capped."""

    id: str
    status: CommandStatus
    text: str = ""
    error: str = ""
    """For people: what happened, to what, what to do next. Empty when status is ok or empty."""
    data: dict[str, Any] | None = None
    """By command kind: `diagnosis` and `charts`, `changes`, `plan`, `execution`, `check`, `checks`, `series` (matrix). Use the
    accessors."""
    duration_ms: float = 0
    cut: str = ""
    """What was cut: "12,345 of 20,000 lines shown". Empty when whole."""
    redacted: int = 0
    """How many secrets were blacked out."""

    @property
    def good(self) -> bool:
        return self.status in (CommandStatus.OK, CommandStatus.EMPTY)

    def diagnosis(self) -> Diagnosis:
        """Raises ValueError when the result holds none."""
        return Diagnosis.model_validate(self._part("diagnosis"))

    def plan(self) -> Plan:
        return Plan.model_validate(self._part("plan"))

    def execution(self) -> ExecutionOutcome:
        return ExecutionOutcome.model_validate(self._part("execution"))

    def check(self) -> CheckOutcome:
        return CheckOutcome.model_validate(self._part("check"))

    def changes(self) -> tuple[Change, ...]:
        return tuple(Change.model_validate(item) for item in self._part("changes"))

    def checks(self) -> tuple[CheckRow, ...]:
        return tuple(CheckRow.model_validate(item) for item in self._part("checks"))

    def _part(self, key: str) -> Any:
        if self.data is None or key not in self.data:
            raise ValueError(f"the result of command {self.id} has no {key}: {self.error or self.status}")
        return self.data[key]


class Accepted(Message):
    kind: Literal["accepted"] = "accepted"
    id: str


class Progress(Message):
    kind: Literal["progress"] = "progress"
    id: str
    note: str


class Chunk(Message):
    """A numbered piece of the result's JSON, when it is over CHUNK_BYTES."""

    kind: Literal["chunk"] = "chunk"
    id: str
    n: int
    of: int
    data: str
    """Base64 of the piece."""


class Final(Message):
    kind: Literal["result"] = "result"
    result: CommandResult


Reply = Annotated[Accepted | Progress | Chunk | Final, Field(discriminator="kind")]

CHUNK_BYTES = 768 * 1024
"""NATS's default limit is 1 MiB with the envelope."""
