"""Configuration, identity, spool, grant memory, and what the process may import."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from pydantic import ValidationError

from protocol.diagnosis import Change
from protocol.grant import Grant, GrantRefused
from protocol.objects import ObjectRef
from protocol.proof import ProofRefused, decode_proof
from runner.config import RunnerConfig
from runner.identity import load_identity, save_identity
from runner.remediation.memory import AfterState, GrantMemory
from runner.spool import Spool

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = SigningKey(b"k" * 32).verify_key.encode().hex()
WEB = ObjectRef.parse("Deployment/shop/web")


def config(**values: Any) -> RunnerConfig:
    return RunnerConfig.model_validate(values)


def test_read_only_is_the_default() -> None:
    mode = config().runner_mode()
    assert not mode.writes
    assert mode.remediations == ()


def test_writes_need_a_pinned_key_and_named_types() -> None:
    with pytest.raises(ValidationError, match="grant_keys"):
        config(mode="writes")
    mode = config(mode="writes", grant_keys={"k": KEY}, remediations="scale, restart", namespaces="shop").runner_mode()
    assert mode.remediations == ("scale", "restart")
    assert mode.namespaces == ("shop",)
    with pytest.raises(ValidationError, match="unknown remediation types fly"):
        config(remediations="fly")
    with pytest.raises(ValidationError, match="not an Ed25519"):
        config(grant_keys={"k": "zz"})


def test_the_environment_configures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSTHREAD_RUNNER_REMEDIATIONS", "all")
    monkeypatch.setenv("OPSTHREAD_RUNNER_MODE", "writes")
    monkeypatch.setenv("OPSTHREAD_RUNNER_GRANT_KEYS", f'{{"k1": "{KEY}"}}')
    assert "set_resources" in RunnerConfig().runner_mode().remediations
    assert list(RunnerConfig().verify_keys()) == ["k1"]


def test_the_key_is_kept_and_proves_itself(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    made = load_identity(path).enrolled_as("c" * 16, "r" * 16)
    save_identity(path, made)
    again = load_identity(path)
    assert again == made
    assert path.stat().st_mode & 0o777 == 0o600
    proof = decode_proof(again.auth_token(NOW), now=NOW)
    assert (proof.runner, proof.public_key) == ("r" * 16, made.public_key)
    with pytest.raises(ProofRefused):
        decode_proof(again.auth_token(NOW), now=NOW + timedelta(minutes=5))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    load_identity(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        load_identity(path)


def grant(nonce: str = "n" * 16, authority: str = "approval:" + "a" * 16, purpose: str = "action") -> Grant:
    return Grant(
        cluster="c" * 16,
        runner_boot="b" * 16,
        plan_hash="h",
        purpose=purpose,
        authority=authority,
        kid="k",
        nonce=nonce,
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
    )


def test_a_grant_is_used_up_for_good(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.end("n" * 16, "applied", NOW, after=AfterState("u", "f"))
    with pytest.raises(GrantRefused) as replay:
        memory.begin(grant(), NOW)
    assert replay.value.code == "replay"
    with pytest.raises(GrantRefused) as again:
        memory.begin(grant(nonce="m" * 16), NOW)
    assert again.value.code == "ran_already"
    assert memory.outcome("approval:" + "a" * 16, "action").outcome == "applied"
    assert memory.outcome("approval:" + "a" * 16, "undo").outcome == "never_seen"
    assert memory.after_state("h") == AfterState("u", "f")
    memory.begin(grant(nonce="o" * 16, purpose="undo"), NOW)


def test_what_was_refused_may_be_tried_again(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.end("n" * 16, "refused", NOW, code="object_changed")
    memory.begin(grant(nonce="m" * 16), NOW)


def test_started_without_an_end_is_unknown_after_a_restart(tmp_path: Path) -> None:
    memory = GrantMemory(tmp_path / "grants.db")
    memory.begin(grant(), NOW)
    memory.close()
    outcome = GrantMemory(tmp_path / "grants.db").outcome("approval:" + "a" * 16, "action")
    assert outcome.outcome == "unknown"
    assert "stopped" in outcome.message


def test_a_memory_that_was_lost_does_not_say_that_nothing_ran(tmp_path: Path) -> None:
    """A pod on another node comes without the disk: what an earlier one ran is not in it."""
    fresh = GrantMemory(tmp_path / "grants.db", now=lambda: NOW)
    authority = "approval:" + "a" * 16
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert fresh.outcome(authority, "action", before).code == "forgotten"
    assert fresh.outcome(authority, "action", before).outcome == "unknown"
    assert fresh.outcome(authority, "action", after).outcome == "never_seen"
    fresh.close()
    again = GrantMemory(tmp_path / "grants.db", now=lambda: NOW + timedelta(days=1))
    assert again.outcome(authority, "action", after).outcome == "never_seen", "it keeps the day of its birth"


def change(n: int) -> Change:
    return Change(object=WEB, path=f"spec.{n}", before="1", after="2", at=NOW)


def spool(path: Path, boot: str = "b" * 16, max_rows: int = 5000) -> Spool:
    return Spool(path, cluster="c" * 16, runner="r" * 16, boot=boot, max_rows=max_rows)


async def test_the_spool_sends_in_order_again_until_acknowledged_and_over_restarts(tmp_path: Path) -> None:
    first = spool(tmp_path / "spool.db")
    first.put(changes=[change(1)])
    first.put(changes=[change(2)])
    first.close()
    second = spool(tmp_path / "spool.db", boot="d" * 16)
    second.put(changes=[change(3)])
    sent: list[str] = []
    tries = 0
    done = asyncio.Event()

    async def store(_: str, __: bytes, message_id: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise TimeoutError("no acknowledgement")
        sent.append(message_id)
        if len(sent) == 3:
            done.set()

    task = asyncio.create_task(second.run(store, retry_s=(0.001,)))
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    boots = [message_id.split(".")[1:] for message_id in sent]
    assert boots == [["b" * 16, "1"], ["b" * 16, "2"], ["d" * 16, "1"]]


def test_a_full_spool_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    full = spool(tmp_path / "spool.db", max_rows=3)
    for n in range(5):
        full.put(changes=[change(n)])
    assert full.depth == 3
    assert full.dropped == 2


def test_the_runner_carries_no_other_room() -> None:
    code = (
        "import sys, runner.main, runner.__main__\n"
        "heavy = ('control_plane', 'agent_runtime', 'bot', 'tools', 'prompts', 'sandbox', 'exam', 'fastapi', 'starlette',"
        " 'langchain', 'langchain_core', 'langgraph', 'openai', 'chromadb', 'sqlalchemy', 'sqlmodel', 'dbos', 'numpy',"
        " 'knowledge.remedies', 'knowledge.cases', 'knowledge.embeddings', 'kubernetes')\n"
        "print([name for name in heavy if name in sys.modules], len(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("[]"), done.stdout
