"""report: the model's own diagnosis, with evidence that names tool calls. Whether it holds is checked by agent_runtime."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from protocol.diagnosis import EvidenceSource
from protocol.objects import ObjectRef


class ReportedEvidence(BaseModel):
    result: Annotated[str, Field(description="r1, r2, ...", max_length=80)]
    excerpt: Annotated[str, Field(description="copied verbatim", min_length=1, max_length=2000)]
    source: EvidenceSource
    object: Annotated[str, Field(description="Kind/namespace/name")]
    field: str | None = None

    @field_validator("object")
    @classmethod
    def _object(cls, value: str) -> str:
        return str(ObjectRef.parse(value))


class ReportedCause(BaseModel):
    code: Annotated[
        str, Field(description="kebab-case, e.g. memory-limit-too-low", pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)
    ]
    object: Annotated[str, Field(description="Kind/namespace/name")]
    explanation: Annotated[str, Field(max_length=2000)]
    confidence: Annotated[float, Field(ge=0, le=1)]
    evidence: Annotated[list[ReportedEvidence], Field(max_length=12)]

    @field_validator("object")
    @classmethod
    def _object(cls, value: str) -> str:
        return str(ObjectRef.parse(value))


class Report(BaseModel):
    summary: Annotated[str, Field(max_length=2000)]
    healthy: bool
    root_causes: Annotated[list[ReportedCause], Field(max_length=5)] = []
    limits: Annotated[list[str], Field(description="what could not be seen", max_length=10)] = []
