"""Finding, Change, Diagnosis: what the rules, a model, the API, Slack and the web share."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from protocol.base import Message, Utc, Value
from protocol.objects import ObjectRef
from protocol.remediation import Remediation, Risk


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


EvidenceSource = Literal["object", "event", "log", "metric", "change", "case"]


class Evidence(Value):
    """One quoted fact. `excerpt` occurs verbatim in its source; `tool_result` names the log entry that it rests on."""

    source: EvidenceSource
    object: ObjectRef
    field: str | None = None
    """JSON path for an object (`status.containerStatuses[0].lastState.terminated.exitCode`), the reason for an event,
    the container for a log, the expression for a metric."""
    at: Utc | None = None
    excerpt: str = Field(max_length=2000)
    tool_result: str | None = None
    """Id of the tool call whose result holds the excerpt, when a model gave the evidence."""


class Finding(Message):
    """One rule that fired on one object."""

    code: str
    """A catalogue code, kebab-case."""
    object: ObjectRef
    severity: Severity
    title: str
    evidence: tuple[Evidence, ...] = ()
    first_seen: Utc | None = None


class Change(Message):
    """A difference in an object's spec or data; who and when where managedFields or a revision tells."""

    object: ObjectRef
    path: str
    """Dotted path of the field, e.g. `spec.template.spec.containers[app].resources.limits.memory` or `data.PAYMENTS_URL`."""
    before: str | None = None
    after: str | None = None
    at: Utc | None = None
    by: str | None = None
    source: Literal["watch", "revision", "managed-fields", "last-applied", "dump"] = "watch"


class RootCause(Value):
    code: str
    object: ObjectRef
    """A missing object is named as the object that should exist."""
    explanation: str
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[Evidence, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why it ranks where it ranks; printed by --explain."""
    facts: dict[str, str | int | float | bool] = {}
    """What a remedy needs to know: `container`, `limit`, `peak_bytes`, `previous`, `revision`, ... by code."""


class Recommendation(Value):
    """What to do, ranked. `remediation` is None where only a person can act; `instructions` then says how."""

    remediation: Remediation | None = None
    instructions: str | None = None
    risk: Risk
    why: str
    expected_effect: str
    expected_duration_s: int | None = None


ELSEWHERE = "elsewhere"
"""Id of a similar case of a cluster that the asker is not told about."""


class SimilarCase(Value):
    id: str
    title: str
    root_cause: str
    fix: str | None = None
    outcome: Literal["provisional", "held", "relapsed", "unsolved"]
    score: float = Field(ge=0, le=1)
    at: Utc | None = None

    @property
    def example(self) -> bool:
        """It comes with Opsthread: no cluster of anybody's had it."""
        return self.id.startswith("seed.")


Verdict = Literal["healthy", "root_cause", "not_enough_evidence"]
SURE = 0.6
"""Below this a cause is possible and not proven: its evidence tells that something fails, not why."""


class Diagnosis(Message):
    """The answer. `healthy` with no root causes means "nothing is wrong"; not healthy with none means "I don't know"."""

    summary: str
    root_causes: tuple[RootCause, ...] = ()
    symptoms: tuple[Finding, ...] = ()
    healthy: bool
    steady_since: Utc | None = None
    """Since when what was asked about has been well: ready, no container ended, no warning event. Only of what is healthy and
    wholly seen; None when it has no pods, or can't be dated."""
    recommendations: tuple[Recommendation, ...] = ()
    similar_cases: tuple[SimilarCase, ...] = ()
    changes: tuple[Change, ...] = ()
    """The recent changes that were looked at, newest first."""
    checked: tuple[str, ...] = ()
    """What was looked at, in words: "12 pods", "logs of 4 containers"."""
    limits: tuple[str, ...] = ()
    """What could not be seen, and why."""

    @property
    def verdict(self) -> Verdict:
        """What the answer amounts to. "Not enough evidence" is one: what was checked is said beside it."""
        if self.root_causes:
            return "root_cause" if max(cause.confidence for cause in self.root_causes) >= SURE else "not_enough_evidence"
        return "healthy" if self.healthy else "not_enough_evidence"

    @property
    def no_safe_fix(self) -> bool:
        """The cause is known and nothing that may be proposed here mends it. Of a diagnosis that remedies were looked for."""
        return self.verdict == "root_cause" and not any(item.remediation for item in self.recommendations)
