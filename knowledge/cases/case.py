"""A Case: a closed incident as knowledge. Its text comes from clusters and people, so it is cleaned, redacted and capped."""

import re
from typing import Literal, TypeAlias

from pydantic import Field

from protocol.base import Message, Utc
from protocol.redaction import redact
from protocol.text import cap, clean

Outcome: TypeAlias = Literal["provisional", "held", "relapsed", "unsolved"]

TEXT_LIMIT = 4000
LINE_LIMIT = 300
LIST_LIMIT = 20
CASE_ID = re.compile(r"^[A-Za-z0-9._:-]{1,100}$")


class Case(Message):
    """A closed incident. Only `held` ones may be cited as solved; `relapsed` ones did not hold."""

    id: str = Field(pattern=CASE_ID.pattern)
    title: str
    cluster: str = ""
    namespace: str = ""
    symptoms: tuple[str, ...] = ()
    code: str = ""
    object: str = ""
    """`Kind/namespace/name` of the root cause."""
    explanation: str = ""
    evidence: tuple[str, ...] = ()
    fix: str | None = None
    outcome: Outcome = "provisional"
    opened_at: Utc | None = None
    took_s: int | None = None
    tags: tuple[str, ...] = ()

    def text(self) -> str:
        """What is embedded and searched."""
        parts = (
            self.title,
            self.code.replace("-", " "),
            self.object,
            *self.symptoms,
            self.explanation,
            *self.evidence,
            self.fix or "",
        )
        return "\n".join(part for part in parts if part)


def tidy(case: Case) -> Case:
    """Case text as it may be stored: cleaned, without secrets, capped."""

    def line(text: str, limit: int = LINE_LIMIT) -> str:
        return cap(redact(clean(text)).text.strip(), limit)

    return case.model_copy(
        update={
            "title": line(case.title),
            "cluster": line(case.cluster, 100),
            "namespace": line(case.namespace, 63),
            "symptoms": tuple(line(text) for text in case.symptoms[:LIST_LIMIT]),
            "code": line(case.code, 100),
            "object": line(case.object, 320),
            "explanation": line(case.explanation, TEXT_LIMIT),
            "evidence": tuple(line(text, 600) for text in case.evidence[:LIST_LIMIT]),
            "fix": line(case.fix, TEXT_LIMIT) if case.fix else None,
            "tags": tuple(line(text, 60) for text in case.tags[:LIST_LIMIT]),
        }
    )
