"""The policy: one pure function, used by the control plane and, with the last word, by the runner."""

from enum import StrEnum

from protocol.base import Strict
from protocol.remediation import Risk


class Decided(StrEnum):
    ALLOW = "allow"
    APPROVE = "approve"
    DENY = "deny"


class Verdict(Strict):
    """`reason` is for people: it names the token or rule and says what is allowed instead."""

    decision: Decided
    risk: Risk
    reason: str
