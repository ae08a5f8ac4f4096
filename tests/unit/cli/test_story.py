"""What the terminal makes of a conversation's log."""

import os
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bot.cli.cards import approval_panel, diagnosis_panel, step_line
from bot.cli.connection import Connection, find_connection, write_connection
from bot.cli.story import Story
from protocol.approval import ApprovalState
from protocol.diagnosis import Diagnosis, Evidence, RootCause
from protocol.events import (
    ActionFinished,
    DiagnosisMade,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UserMessage,
)
from protocol.objects import ObjectRef
from protocol.remediation import BlastRadius, Plan, PlanBody, RestartWorkload, Risk

PAYMENTS = ObjectRef(kind="Deployment", namespace="shop", name="payments")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def asked() -> UserMessage:
    return UserMessage(text="why?", by="a", by_name="A")


def sick() -> Diagnosis:
    evidence = Evidence(
        source="log", object=PAYMENTS, field="app", at=NOW, excerpt="\x1b[31mKilled\x1b[0m [bold]not markup[/bold]"
    )
    cause = RootCause(
        code="memory-limit-too-low", object=PAYMENTS, explanation="256Mi is less than it needs", confidence=0.9,
        evidence=(evidence,), reasons=("explains 3 findings",),
    )  # fmt: skip
    return Diagnosis(summary="payments is killed", root_causes=(cause,), healthy=False, limits=("no metrics",))


def printed(renderable: object) -> str:
    console = Console(file=StringIO(), width=100, force_terminal=False)
    console.print(renderable)
    return console.file.getvalue() if isinstance(console.file, StringIO) else ""


def test_a_turn_is_over_when_it_has_ended_and_not_before() -> None:
    story = Story()
    story.take(asked())
    story.take(TurnStarted(model="offline", offline=True))
    assert not story.quiet
    story.take(TurnFinished(took_ms=5))
    assert story.quiet


def test_a_second_turn_keeps_the_story_open() -> None:
    story = Story()
    for event in (asked(), TurnFinished(took_ms=1), asked()):
        story.take(event)
    assert not story.quiet


@pytest.mark.parametrize("state", [s for s in ApprovalState if s is not ApprovalState.SUCCEEDED])
def test_only_a_fix_that_succeeded_is_healed(state: ApprovalState) -> None:
    story = Story()
    story.take(ActionFinished(approval="x", state=state, message="m"))
    assert not story.healed
    story.take(ActionFinished(approval="x", state=ApprovalState.SUCCEEDED, message="m"))
    assert story.healed


def test_a_cluster_of_which_nothing_was_seen_is_unreachable() -> None:
    story = Story()
    story.take(ToolFinished(call="1", name="diagnose", status="offline", text=""))
    assert story.cluster_unreachable
    story.take(DiagnosisMade(stage="rules", diagnosis=sick()))
    assert not story.cluster_unreachable


def test_a_failed_turn_says_which_failure() -> None:
    story = Story()
    story.take(TurnFailed(message="no cluster", code="cluster_unreachable"))
    assert story.cluster_unreachable


def test_the_answer_is_the_last_final_message() -> None:
    story = Story()
    story.take(ModelMessage(text="looking", tool_calls=(), final=False))
    story.take(ModelMessage(text="it is X", final=True))
    assert story.answer is not None
    assert story.answer.text == "it is X"


def test_the_newest_pending_approval_is_the_one_to_decide() -> None:
    story = Story()
    story.take_approval({"id": "1", "state": "superseded"})
    story.take_approval({"id": "2", "state": "pending"})
    assert story.pending is not None
    assert story.pending["id"] == "2"
    story.take_approval({"id": "2", "state": "rejected"})
    assert story.pending is None


def test_a_diagnosis_shows_its_proof_as_text_without_escape_sequences_or_markup() -> None:
    text = printed(diagnosis_panel(sick(), stage="rules", took_ms=12, explain=True))
    for part in (
        "memory-limit-too-low",
        "Deployment/shop/payments",
        "90% sure",
        "[bold]not markup[/bold]",
        "no metrics",
        "12 ms",
    ):
        assert part in text
    assert "\x1b" not in text
    assert "explains 3 findings" in text


def test_reasons_are_shown_on_request_only() -> None:
    assert "explains 3 findings" not in printed(diagnosis_panel(sick(), stage="rules", took_ms=12))


@pytest.mark.parametrize(("status", "mark"), [("ok", "✓"), ("empty", "✓"), ("forbidden", "✗"), ("timeout", "✗")])
def test_a_step_says_whether_it_worked(status: str, mark: str) -> None:
    started = ToolStarted(call="1", name="kubectl", title="kubectl get pods")
    line = step_line(started, ToolFinished(call="1", name="kubectl", status=status, text="", duration_ms=12))
    assert mark in line.plain
    assert "kubectl get pods" in line.plain


def card(*, four_eyes: bool, cannot_run: str | None = None) -> str:
    body = PlanBody(cluster="c", action=RestartWorkload(target=PAYMENTS), undo=None, target_uid="u", fields_hash="f")
    plan = Plan(
        body=body, plan_hash="ab" * 32, risk=Risk.MEDIUM, diff="-old\n+new", diff_source="computed", made_at=NOW,
        blast_radius=BlastRadius(pods=2, services=("payments",)), cannot_run=cannot_run,
    )  # fmt: skip
    return printed(
        approval_panel(
            plan, command_line="kubectl rollout restart deployment/payments -n shop", undo_line="", why="because",
            who="1 with the role approver", expires_at=NOW + timedelta(minutes=14), now=NOW, four_eyes=four_eyes,
        )
    )  # fmt: skip


def test_a_card_shows_what_a_decision_needs() -> None:
    text = card(four_eyes=True)
    for part in (
        "kubectl rollout restart",
        "medium",
        "2 pods",
        "payments",
        "none",
        "1 with the role approver",
        "in 14 min",
        "+new",
    ):
        assert part in text
    assert "Four-eyes is off" not in text


def test_a_card_says_when_four_eyes_is_off_and_when_it_cannot_run() -> None:
    text = card(four_eyes=False, cannot_run="this runner is read-only")
    assert "Four-eyes is off" in text
    assert "this runner is read-only" in text


def test_a_connection_is_found_while_its_process_lives(tmp_path: object) -> None:
    from os import getpid
    from pathlib import Path

    folder = Path(str(tmp_path))
    write_connection(folder, Connection(url="http://h", token="t", pid=getpid()))
    assert (folder / "cli.json").stat().st_mode & 0o077 == 0
    found = find_connection(url=None, token=None, data_dir=folder)
    assert found is not None
    assert found.token == "t"
    write_connection(folder, Connection(url="http://h", token="t", pid=2**22 + 7))
    assert find_connection(url=None, token=None, data_dir=folder) is None


def test_what_was_said_wins_over_what_was_found(tmp_path: object) -> None:
    found = find_connection(url="http://x/", token="mine", data_dir=None)
    assert found == Connection(url="http://x", token="mine")


def test_a_folder_that_somebody_else_has_filled_does_not_get_my_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    write_connection(tmp_path / "data", Connection(url="https://evil.example", token="theirs", pid=os.getpid()))
    assert find_connection(url=None, token="mine", data_dir=None) is None
    write_connection(tmp_path / "data", Connection(url="http://127.0.0.1:8080", token="here", pid=os.getpid()))
    found = find_connection(url=None, token="mine", data_dir=None)
    assert found is not None
    assert found.token == "mine"
