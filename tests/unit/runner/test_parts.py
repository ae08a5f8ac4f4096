"""Configuration, identity, and what the process may import."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey
from pydantic import ValidationError

from protocol.proof import ProofRefused, decode_proof
from runner.config import RunnerConfig
from runner.identity import load_identity, save_identity

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = SigningKey(b"k" * 32).verify_key.encode().hex()


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


def test_a_key_is_not_written_into_a_file_of_somebody_else(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "identity.json", tmp_path / "elsewhere"
    path.with_suffix(".new").touch(0o644)
    load_identity(path)
    assert path.stat().st_mode & 0o777 == 0o600
    elsewhere.touch()
    path.with_suffix(".new").symlink_to(elsewhere)
    save_identity(path, load_identity(path))
    assert elsewhere.read_bytes() == b""
    assert not path.is_symlink()


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
