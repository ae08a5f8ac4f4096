"""Configuration: environment over file over defaults, secrets by file, and no secret in what is printed of it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from control_plane.settings import Settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a directory without a configuration file, and without anything of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPSTHREAD_PORT", "OPSTHREAD_MODEL", "OPSTHREAD_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_defaults_are_safe() -> None:
    settings = Settings()
    assert settings.host == "127.0.0.1"
    assert settings.four_eyes
    assert (settings.approval_minutes, settings.approval_minutes_high) == (15, 5)
    assert settings.api_key() is None


def test_the_environment_is_over_the_file_and_the_caller_over_both(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "opsthread.toml").write_text('port = 9001\nmodel = "from-file"\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("OPSTHREAD_PORT", "9002")
    monkeypatch.setenv("OPSTHREAD_MODEL", "from-environment")
    settings = Settings(model="from-caller")
    assert (settings.host, settings.port, settings.model) == ("0.0.0.0", 9002, "from-caller")


def test_the_tables_are_in_the_data_directory_wherever_we_stand(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(data_dir=Path("data"))
    assert settings.database == f"sqlite+aiosqlite:///{here}/data/opsthread.db"


def test_secrets_come_from_files(here: Path) -> None:
    (here / "key").write_text("sk-from-file\n")
    (here / "url").write_text("postgresql+psycopg://me:hunter2@db/ops\n")
    settings = Settings(openai_api_key_file=here / "key", database_url_file=here / "url")
    assert settings.api_key() == "sk-from-file"
    assert settings.database == "postgresql+psycopg://me:hunter2@db/ops"


def test_what_is_printed_of_it_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    urls = {name: f"x://me:hunter2@{name}" for name in ("database_url", "nats_url", "nats_auth_url")}
    settings = Settings.model_validate(urls)
    assert settings.api_key() == "sk-hunter2"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


@pytest.mark.parametrize("minutes", [0, -1, 1441])
def test_an_approval_is_neither_timeless_nor_over_at_once(minutes: int) -> None:
    with pytest.raises(ValidationError):
        Settings(approval_minutes=minutes)
