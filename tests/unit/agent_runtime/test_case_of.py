"""What is kept of a healed incident: enough to know it again, and nothing of a namespace that its readers may not see."""

from datetime import UTC, datetime

from agent_runtime.actions.afterwards import case_of
from control_plane.approvals import Approval
from protocol.approval import QUORUM, ApprovalState
from protocol.diagnosis import Diagnosis, Evidence, Finding, RootCause, Severity
from protocol.events import DiagnosisMade, LogEntry
from protocol.objects import ObjectRef
from protocol.remediation import Plan, PlanBody, RestartWorkload, Risk

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OURS, THEIRS = ObjectRef.parse("Deployment/shop/web"), ObjectRef.parse("Deployment/bank/ledger")


def approval() -> Approval:
    body = PlanBody(cluster="c" * 16, action=RestartWorkload(target=OURS), undo=None, target_uid="u", fields_hash="0" * 64)
    plan = Plan(body=body, plan_hash="0" * 64, risk=Risk.MEDIUM, diff="", diff_source="computed", made_at=NOW)
    return Approval(
        id="a" * 16,
        cluster="c" * 16,
        cluster_name="practice",
        conversation="d" * 16,
        turn="e" * 16,
        namespace="shop",
        plan=plan,
        command_line="kubectl rollout restart deployment/web -n shop",
        undo_line="",
        state=ApprovalState.SUCCEEDED,
        version=3,
        quorum=QUORUM[Risk.MEDIUM],
        four_eyes=True,
        requester="f" * 16,
        requester_name="Ann",
        why="it hangs",
        case_code="deadlock",
        expires_at=NOW,
        created_at=NOW,
    )


def cause(about: ObjectRef, code: str, *evidence: Evidence) -> RootCause:
    return RootCause(code=code, object=about, explanation=f"{about} hangs.", confidence=0.9, evidence=evidence)


def seen(about: ObjectRef, words: str) -> Evidence:
    return Evidence(source="log", object=about, excerpt=words)


def finding(about: ObjectRef) -> Finding:
    return Finding(code="restarts", object=about, title=f"{about.name} restarts", severity=Severity.HIGH)


def entries(*causes: RootCause) -> tuple[LogEntry, ...]:
    found = Diagnosis(
        summary="ledger of the bank is down, and web hangs",
        root_causes=causes,
        healthy=False,
        symptoms=(finding(OURS), finding(THEIRS)),
    )
    made = DiagnosisMade(stage="rules", diagnosis=found)
    return (LogEntry(conversation="d" * 16, seq=1, turn="e" * 16, at=NOW, event=made),)


def test_a_case_holds_nothing_of_another_namespace() -> None:
    ours = cause(OURS, "deadlock", seen(OURS, "waits for a lock"), seen(THEIRS, "ledger is full"))
    case = case_of(approval(), entries(cause(THEIRS, "deadlock", seen(THEIRS, "ledger is full")), ours))
    assert (case.object, case.code, case.evidence) == (str(OURS), "deadlock", ("waits for a lock",))
    assert case.symptoms == (f"restarts on {OURS}: web restarts",)
    assert "ledger" not in case.model_dump_json()


def test_a_diagnosis_of_another_namespace_alone_leaves_the_persons_words() -> None:
    case = case_of(approval(), entries(cause(THEIRS, "deadlock", seen(THEIRS, "ledger is full"))))
    assert (case.object, case.title, case.evidence) == (str(OURS), "it hangs", ())
    assert "ledger" not in case.model_dump_json()
