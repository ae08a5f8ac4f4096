"""Turns, cards, alerts and clusters to show: small ones to read, and ones whose every text is the given one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.slack.blocks.alert import AlertLine, AlertView
from protocol.approval import ApprovalState
from protocol.diagnosis import (
    Change,
    Diagnosis,
    Evidence,
    Finding,
    Recommendation,
    RootCause,
    Severity,
    SimilarCase,
)
from protocol.events import (
    ActionFinished,
    AgentEvent,
    CaseEnded,
    CaseStored,
    DiagnosisMade,
    LogEntry,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UserMessage,
)
from protocol.objects import ObjectRef
from protocol.remediation import Risk

URL = "https://ops.example/c/1"
AT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
PAYMENTS = ObjectRef.parse("Deployment/shop/payments")
View = dict[str, Any]


def entries(*events: AgentEvent) -> list[LogEntry]:
    return [
        LogEntry(conversation="c", seq=place + 1, turn="t", at=AT + timedelta(seconds=place), event=event)
        for place, event in enumerate(events)
    ]


def evidence(excerpt: str = "last state: OOMKilled, exit code 137", field: str = "app") -> Evidence:
    return Evidence(source="log", object=PAYMENTS, field=field, at=AT, excerpt=excerpt[:2_000])


def diagnosis(text: str = "", *, causes: int = 1, pieces: int = 2, sure: float = 0.93) -> Diagnosis:
    """`text` stands wherever somebody else's text may."""
    said = text or "payments needs more memory than its limit of 128Mi"
    return Diagnosis(
        summary=said,
        healthy=False,
        root_causes=tuple(
            RootCause(
                code="memory-limit-too-low",
                object=PAYMENTS,
                explanation=text or "The kernel ends it again and again.",
                confidence=sure,
                evidence=tuple(evidence(text) if text else evidence() for _ in range(pieces)),
            )
            for _ in range(causes)
        ),
        symptoms=(Finding(code="crash-on-start", object=PAYMENTS, severity=Severity.HIGH, title=said),),
        recommendations=(
            Recommendation(instructions=said, risk=Risk.MEDIUM, why=said, expected_effect=said, expected_duration_s=60),
        ),
        similar_cases=(SimilarCase(id="seed.1", title=said, root_cause="x @ y", fix=said, outcome="held", score=0.8),),
        changes=(Change(object=PAYMENTS, path=said[:200], before=said, after=said, at=AT, by=said[:100]),),
        checked=(said, "12 pods"),
        limits=(said,),
    )


def turn(text: str = "", *, made: Diagnosis | None = None) -> list[LogEntry]:
    """A question with everything that can come of it."""
    text = text.replace("\ud800", "\ufffd")  # what is read from JSON holds no lone surrogate
    said = text or "kubectl get pods -n shop"
    found = made or diagnosis(text)
    return entries(
        UserMessage(text=said, by="a", by_name=said),
        TurnStarted(model=said, offline=False),
        ToolStarted(call="1", name="kubectl", title=said),
        ToolFinished(call="1", name="kubectl", status="ok", text=said, duration_ms=12),
        ToolStarted(call="2", name="kubectl", title=said),
        ToolFinished(call="2", name="kubectl", status="forbidden", text=said, duration_ms=3, cut=said),
        DiagnosisMade(stage="rules", diagnosis=found, took_ms=4),
        DiagnosisMade(stage="model", diagnosis=found, took_ms=900, dropped_evidence=1),
        ModelMessage(text=text or "It needs **more memory**.", final=True, model=said),
        ActionFinished(approval="p", state=ApprovalState.SUCCEEDED, message=said, took_s=5),
        CaseStored(case="k", title=said),
        CaseEnded(case="k", approval="p", end="relapsed", object=str(PAYMENTS), message=said, after_s=900),
        CaseEnded(case="k", approval="p", end="held", object=str(PAYMENTS), message=said, after_s=90_000),
        TurnFinished(
            took_ms=4_200,
            model_calls=2,
            tool_calls=2,
            input_tokens=3_200,
            output_tokens=210,
            money=0.0012,
            currency="USD",
            models=(said,),
            why=said,
        ),
    )


def failed(text: str) -> list[LogEntry]:
    text = text.replace("\ud800", "\ufffd")
    return entries(UserMessage(text=text, by="a", by_name=text), TurnFailed(message=text, code="cluster_unreachable"))


def approval(text: str = "", **changed: Any) -> View:
    """As bot.api.cards.approval_view gives it; `text` stands wherever somebody else's text may."""
    said = text or "the limit is too low"
    view: View = {
        "id": "p" * 26,
        "state": "pending",
        "version": 1,
        "cluster": "c",
        "cluster_name": text or "prod",
        "conversation": "c",
        "turn": "t",
        "namespace": "shop",
        "target": text or str(PAYMENTS),
        "action": {},
        "command_line": text or "kubectl set resources deployment/payments -n shop --limits=memory=512Mi",
        "undo_line": text or "kubectl set resources deployment/payments -n shop --limits=memory=128Mi",
        "risk": "medium",
        "diff": text or "-        memory: 128Mi\n+        memory: 512Mi\n",
        "diff_source": "server-dry-run",
        "blast_radius": {
            "pods": 3,
            "replicas_before": 3,
            "replicas_after": 3,
            "services": [text or "payments"],
            "budgets": [text or "payments: 1 may go"],
            "note": said,
        },
        "owner": {
            "kind": "argocd",
            "name": text or "shop",
            "detail": said,
            "reverts": False,
            "git_patch": text or "spec: {}",
            "values_hint": text or "resources: {}",
        },
        "cannot_run": None,
        "expected_effect": said,
        "check": said,
        "check_timeout_s": 300,
        "plan_hash": "f0" * 32,
        "quorum": {"needed": 1, "role": "approver", "requester_may": False, "fresh_sign_in_for_last": False},
        "four_eyes": True,
        "missing": 1,
        "electors": [text or "Bo"],
        "freeze": None,
        "break_glass": None,
        "requester": "u",
        "requester_name": text or "Ann",
        "why": said,
        "case_code": "",
        "decisions": [],
        "created_at": AT.isoformat(),
        "expires_at": (AT + timedelta(minutes=15)).isoformat(),
        "decided_at": None,
        "decided_by_name": "",
        "started_at": None,
        "finished_at": None,
        "outcome": "",
        "look_at": [],
        "you": {"may_approve": True, "refusal": "for Ann's eyes alone"},
    }
    return {**view, **changed}


def decided(name: str = "Bo", verdict: str = "approve", **changed: Any) -> View:
    said: View = {
        "by": "b",
        "by_name": name,
        "verdict": verdict,
        "at": AT.isoformat(),
        "door": "slack",
        "reason": "",
        "override_owner": False,
        "break_glass": False,
        "fresh_sign_in": False,
    }
    return {**said, **changed}


ENDS: dict[str, View] = {
    "approved": {"decided_at": AT.isoformat(), "decided_by_name": "Bo", "decisions": [decided()]},
    "running": {"decided_at": AT.isoformat(), "decided_by_name": "Bo", "started_at": AT.isoformat(), "decisions": [decided()]},
    "succeeded": {
        "started_at": AT.isoformat(),
        "finished_at": (AT + timedelta(seconds=42)).isoformat(),
        "outcome": "3 of 3 pods ready",
    },
    "failed": {"started_at": AT.isoformat(), "finished_at": AT.isoformat(), "outcome": "the check did not pass"},
    "rolled_back": {"started_at": AT.isoformat(), "finished_at": AT.isoformat(), "outcome": "it got worse"},
    "unknown": {"finished_at": AT.isoformat(), "look_at": ["kubectl describe deployment/payments -n shop"]},
    "rejected": {
        "decided_at": AT.isoformat(),
        "decided_by_name": "Bo",
        "decisions": [decided(verdict="reject", reason="not today")],
    },
    "expired": {"decided_at": AT.isoformat()},
    "cancelled": {"decided_at": AT.isoformat(), "decided_by_name": "Ann"},
    "superseded": {"decided_at": AT.isoformat()},
}
"""What a card has in each state after pending."""


def alert(text: str = "", *, alerts: int = 2, **changed: Any) -> AlertView:
    said = text or "Memory of payments near its limit"
    one = AlertLine(
        name=text or "ContainerMemoryHigh",
        state="firing",
        severity="critical",
        starts_at=AT,
        namespace="shop",
        summary=said,
        labels={text or "pod": said},
        fired=2,
    )
    values: dict[str, Any] = {
        "id": "g",
        "title": said,
        "severity": "critical",
        "state": "firing",
        "cluster_name": text or "prod",
        "namespace": text or "shop",
        "opened_at": AT,
        "updated_at": AT,
        "labels": {text or "team": said},
        "firing": alerts,
        "resolved": 1,
        "alerts": (one,) * alerts,
        "cause": text,
    }
    return AlertView(**{**values, **changed})


MARKED: dict[str, Any] = {
    "acknowledged_by_name": "Bo",
    "acknowledged_at": AT,
    "silenced_by_name": "Bo",
    "silenced_until": AT,
    "wrong_by_name": "Bo",
    "wrong_reason": "a test",
    "wrong_at": AT,
}


def cluster(text: str = "", **changed: Any) -> View:
    view: View = {
        "name": text or "prod",
        "online": True,
        "health": "healthy",
        "node_count": 3,
        "pod_count": 40,
        "summary": {"findings": {"high": 2}},
        "kill_switch": False,
    }
    return {**view, **changed}


def texts(values: Sequence[Any]) -> str:
    return "\n".join(str(value) for value in values)
