"""What `opsthread doctor` says of this machine: the configuration, the data directory and port, keys and certificates."""

import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.doctor.keys import look_at_keys
from bot.doctor.models import look_at_embeddings, look_at_models
from bot.doctor.place import look_at_place, read_settings
from bot.doctor.storage import look_at_database
from control_plane.data_dir import held
from control_plane.settings import Settings
from knowledge.diagnosis.certificates import NotACertificate, expires_at
from protocol.checkup import Health
from tests.integration.doctor_rows import row, settings
from tests.integration.metrics_servers import Keys, make_keys
from tests.integration.runner_rig import free_port


@pytest.mark.parametrize(
    ("environment", "toml", "name", "health", "mend"),
    [
        ({"OPSTHREAD_MODLE": "x"}, "", "OPSTHREAD_MODLE", Health.WARN, "OPSTHREAD_MODEL"),
        ({"OPSTHREAD_QWERTZUIOP": "x"}, "", "OPSTHREAD_QWERTZUIOP", Health.WARN, "docs/configuration.md"),
        ({}, "prot = 8080", "prot", Health.WARN, "Write port instead"),
        ({}, "port = 8080\nhost = oops", "opsthread.toml", Health.FAIL, "strings are in quotes"),
        ({"OPSTHREAD_PORT": "eighty"}, "", "port", Health.FAIL, "OPSTHREAD_PORT"),
        ({}, "log_level = 'loud'", "log_level", Health.FAIL, "opsthread.toml"),
        ({"OPSTHREAD_RUNNER_MODE": "x", "OPSTHREAD_TOKEN": "t"}, "model = 'm'", "settings", Health.OK, ""),
    ],
)
def test_configuration(
    environment: Mapping[str, str], toml: str, name: str, health: Health, mend: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    if toml:
        (tmp_path / "opsthread.toml").write_text(toml)
    found, rows = read_settings(environment, tmp_path, {})
    assert row(rows, name).health is health
    assert mend in row(rows, name).mend
    assert (found is None) == (health is Health.FAIL)


def _leave_it(data: Path) -> None:
    assert data.is_dir()


def _open_to_others(data: Path) -> None:
    data.chmod(0o755)


def _a_file(data: Path) -> None:
    data.rmdir()
    data.write_text("")


def _nothing(data: Path) -> None:
    data.rmdir()


@pytest.mark.parametrize(
    ("spoil", "health", "mend"),
    [
        (_open_to_others, Health.WARN, "chmod 700"),
        (_a_file, Health.FAIL, "OPSTHREAD_DATA_DIR"),
        (_nothing, Health.OK, ""),
        (_leave_it, Health.OK, ""),
    ],
)
def test_data_directory(spoil: Callable[[Path], None], health: Health, mend: str, tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    spoil(chosen.data_dir)
    found = row(look_at_place(chosen, serving=False), "directory")
    assert found.health is health
    assert mend in found.mend


def test_a_directory_that_cannot_be_written() -> None:
    """Root may write anywhere but where the kernel lets nobody."""
    rows = look_at_place(Settings(data_dir=Path("/proc/self"), port=0), serving=False)
    assert row(rows, "directory").health is Health.FAIL


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = int(other.getsockname()[1])
        taken = row(look_at_place(settings(tmp_path).model_copy(update={"port": port}), serving=False), "port")
        ours = row(look_at_place(settings(tmp_path).model_copy(update={"port": port}), serving=True), "port")
    assert (taken.health, ours.health) == (Health.FAIL, Health.OK)
    assert f":{port}" in taken.mend


def test_a_directory_that_somebody_holds_and_nobody_answers_for(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    with held(chosen.data_dir):
        found = row(look_at_place(chosen, serving=False), "held")
        assert (found.health, str(os.getpid()) in found.found) == (Health.FAIL, True)
        assert not [one for one in look_at_place(chosen, serving=True) if one.name == "held"]
    assert not [one for one in look_at_place(chosen, serving=False) if one.name == "held"]


def test_addresses_that_people_can_misuse(tmp_path: Path) -> None:
    open_door = settings(tmp_path, host="0.0.0.0")
    assert row(look_at_place(open_door, serving=False), "public URL").health is Health.WARN
    plain = settings(tmp_path, host="0.0.0.0", public_url="http://ops.example.org")
    assert "https://ops.example.org" in row(look_at_place(plain, serving=False), "public URL").mend
    nowhere = settings(tmp_path, host="203.0.113.7").model_copy(update={"port": free_port()})
    assert row(look_at_place(nowhere, serving=False), "port").health is Health.FAIL


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("doctor") / "keys")


def test_secrets_that_others_may_read(tmp_path: Path) -> None:
    chosen = settings(tmp_path, openai_api_key_file=tmp_path / "key")
    (tmp_path / "key").write_text("sk-x")
    (tmp_path / "key").chmod(0o644)
    (chosen.data_dir / "grant.key").write_text("ab" * 32)
    rows = look_at_keys(chosen)
    assert row(rows, "openai_api_key_file").mend == f"chmod 600 {tmp_path / 'key'}"
    assert row(rows, "grant.key").health is Health.WARN
    for name in (tmp_path / "key", chosen.data_dir / "grant.key"):
        name.chmod(0o600)
    (only,) = look_at_keys(chosen)
    assert only.health is Health.OK
    assert "sk-x" not in "".join(found.found + found.mend for found in rows)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("grant_key_file", "not hex", "no Ed25519 seed"),
        ("audit_key_file", "abcd", "no Ed25519 seed"),
        ("openai_api_key_file", " \n", "is empty"),
        ("openai_api_key_file", None, "can't be read"),
        ("nats_ca_file", "hello", "no PEM certificate"),
        ("nats_ca_file", "-----BEGIN CERTIFICATE-----\nMAAB\n-----END CERTIFICATE-----", "can't be read"),
    ],
)
def test_key_files_of_a_wrong_form(name: str, text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
        path.chmod(0o600)
    found = row(look_at_keys(settings(tmp_path, **{name: path})), name)
    assert found.health is Health.FAIL
    assert words in found.found


def test_certificates_that_end(keys: Keys, tmp_path: Path) -> None:
    path = keys.path("ca.crt")
    chosen = settings(tmp_path, nats_ca_file=path)
    now = datetime.now(UTC)
    assert row(look_at_keys(chosen, now), "nats_ca_file").health is Health.WARN, "two days are left"
    assert row(look_at_keys(chosen, now + timedelta(days=3)), "nats_ca_file").health is Health.FAIL
    (well,) = look_at_keys(chosen, now - timedelta(days=60))
    assert well.health is Health.OK
    end_at = expires_at(path.read_text())
    assert timedelta(days=1, hours=23) < end_at - now <= timedelta(days=2)
    assert expires_at(keys.path("client.crt").read_text() + path.read_text()) < end_at, "the earliest of a chain counts"


@pytest.mark.parametrize("cut", [3, 10, 40, 200, 300])
def test_a_certificate_that_is_cut_off(keys: Keys, cut: int) -> None:
    lines = keys.path("ca.crt").read_text().splitlines()
    body = "".join(lines[1:-1])[:cut]
    with pytest.raises(NotACertificate):
        expires_at(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")


async def test_a_data_directory_that_cannot_be_looked_into(tmp_path: Path) -> None:
    """As for a user who may not look into it; for root a name does that no file system takes."""
    chosen = Settings(data_dir=tmp_path / ("x" * 300), port=0)
    assert row(look_at_place(chosen, serving=False), "directory").health is Health.FAIL
    assert row(look_at_keys(chosen), "files").health is Health.FAIL
    assert row(await look_at_database(chosen), "SQLite").health is Health.FAIL


@pytest.mark.parametrize("content", [None, b"\xff\xfe\0"], ids=["missing", "no text"])
async def test_a_key_file_that_cannot_be_read_is_said_once(content: bytes | None, tmp_path: Path) -> None:
    key = tmp_path / "key"
    if content is not None:
        key.write_bytes(content)
    for name in ("openai_api_key_file", "fallback_api_key_file"):
        (failed,) = await look_at_models(settings(tmp_path, **{name: key}), ask=True)
        assert (failed.health, failed.name) == (Health.FAIL, "key")
    (skipped,) = await look_at_embeddings(settings(tmp_path, openai_api_key_file=key), ask=False)
    assert skipped.health is Health.SKIP
    (url,) = await look_at_database(settings(tmp_path, database_url_file=key))
    assert (url.health, url.name) == (Health.FAIL, "URL")
