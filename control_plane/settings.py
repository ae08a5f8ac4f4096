"""Configuration: one door. Environment (OPSTHREAD_…) over opsthread.toml over defaults; secrets by file reference."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    """What `opsthread serve` runs with. Every field is documented in docs/configuration.md."""

    model_config = SettingsConfigDict(env_prefix="OPSTHREAD_", toml_file="opsthread.toml", extra="ignore")

    data_dir: Path = Path("data")
    """Everything that must survive a restart, held by a file lock."""
    host: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    """How people's browsers reach us, for links; http://host:port when empty. https makes cookies Secure."""
    database_url: str = Field(default="", repr=False)
    """postgresql+psycopg://… when scaled; SQLite in the data directory when empty."""
    database_url_file: Path | None = None
    """A file that holds the database_url, because that holds a password."""
    nats_url: str = Field(default="", repr=False)
    """An external NATS; when empty the bundled nats-server is started as a child."""
    nats_public_url: str = ""
    """What runners connect to when that is not nats_url, which is ours and may hold a user and password."""
    nats_credentials_file: Path | None = None
    """A NATS credentials file for nats_url, instead of a user and password in it."""
    nats_auth_url: str = Field(default="", repr=False)
    """An external NATS's connection, with user and password, for its auth callout; `opsthread` then admits runners itself."""
    nats_issuer_seed_file: Path | None = None
    """The account nkey seed whose public key the external NATS names as its callout's issuer."""
    nats_server_path: str = ""
    nats_port: int = 0
    """Port of the bundled server; 0 picks a free one."""
    chroma_url: str = ""
    """A Chroma server when scaled; embedded when empty."""
    grant_key_file: Path | None = None
    """32-byte Ed25519 seed in hex, the same on all replicas; made in the data directory when None."""
    executor_id: str = "opsthread-0"
    """Stable name of this replica (StatefulSet ordinal)."""
    four_eyes: bool = True
    """False is for one person practising; cards say so."""
    approval_minutes: int = Field(default=15, ge=1, le=1440)
    approval_minutes_high: int = Field(default=5, ge=1, le=1440)

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_api_key_file: Path | None = None
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    model: str = "gpt-5-mini"
    model_timeout_s: float = 60
    model_calls_per_turn: int = 20
    tool_calls_per_turn: int = 40
    turn_seconds: float = 300
    tokens_per_turn: int = 200_000
    concurrent_turns: int = 16
    embeddings_model: str = ""
    """Model name at the OpenAI-compatible endpoint; local vectors when empty."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the tables. Raises OSError when database_url_file can't be read."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text().strip()
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute()}/opsthread.db"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del dotenv_settings, file_secret_settings  # no other doors
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    def api_key(self) -> str | None:
        """The model's key, from the file when one is named. None means: work without a language model."""
        if self.openai_api_key_file is not None:
            return self.openai_api_key_file.read_text().strip() or None
        if self.openai_api_key is None:
            return None
        return self.openai_api_key.get_secret_value() or None
