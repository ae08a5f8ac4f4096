"""Configuration: one door. Environment (OPSTHREAD_…) over opsthread.toml over defaults; secrets by file reference."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Price(BaseModel):
    """Money for a million tokens."""

    input: float = Field(default=0, ge=0)
    output: float = Field(default=0, ge=0)


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
    nats_auth_url_file: Path | None = None
    """A file that holds the nats_auth_url, because that holds a password."""
    nats_system_url: str = Field(default="", repr=False)
    """An external NATS's system account, with user and password: then the connection of a revoked runner is cut at once."""
    nats_issuer_seed_file: Path | None = None
    """The account nkey seed whose public key the external NATS names as its callout's issuer."""
    nats_server_path: str = ""
    nats_port: int = 0
    """Port of the bundled server; 0 picks a free one."""
    nats_host: str = "127.0.0.1"
    """Where the bundled server listens; 0.0.0.0 lets runners of other machines in."""
    nats_tls_cert_file: Path | None = None
    nats_tls_key_file: Path | None = None
    """The bundled server's certificate (PEM) and key, for runners that are given a tls:// address."""
    nats_websocket_port: int = Field(default=0, ge=0, le=65_535)
    """Port of the bundled server for wss:// through an ingress; 0 keeps it closed."""
    nats_ca_file: Path | None = None
    """PEM of the authority that signed the bus' certificate: handed to runners with their manifests."""
    runner_image: str = "opsthread-runner:0.1.0"
    """The image that `opsthread cluster add` names; with your registry's name before it."""
    chroma_url: str = ""
    """A Chroma server when scaled; embedded when empty."""
    grant_key_file: Path | None = None
    """32-byte Ed25519 seed in hex, the same on all replicas; made in the data directory when None."""
    executor_id: str = ""
    """Stable name of this replica, different for each: the name of a StatefulSet's pod, or one kept in the data directory,
    when empty."""
    lease_seconds: float = Field(default=15, ge=1, le=300)
    """So long after a replica was last heard of the others take up its work."""
    trusted_proxies: str = ""
    """Addresses and networks, comma-separated, whose X-Forwarded-For is believed."""
    metrics_access: Literal["local", "token", "open"] = "local"
    """Who reads /metrics and /health/status. local: this machine itself, and whoever has a token. token: only those. Probes
    ask /health/live and /health/ready, which are always open."""
    metrics_token_file: Path | None = None
    """A file with the token that Prometheus sends as its bearer; anybody's own token does as well."""
    keep_commands_days: int = Field(default=30, ge=0)
    """Results of commands; 0 keeps them for ever."""
    keep_workflows_days: int = Field(default=7, ge=0)
    """Durable work that has ended; 0 keeps it for ever."""
    keep_conversations_days: int = Field(default=0, ge=0)
    """Conversations that nobody has touched for so long, with their log; 0 keeps them for ever."""
    four_eyes: bool = True
    """False is for one person practising; cards say so."""
    approval_minutes: int = Field(default=15, ge=1, le=1440)
    approval_minutes_high: int = Field(default=5, ge=1, le=1440)
    changes_per_conversation: int = Field(default=20, ge=1, le=1000)
    """How many changes one conversation may make in all."""
    changes_in_ten_minutes: int = Field(default=5, ge=1, le=100)
    """And how many of them in ten minutes."""
    audit_key_file: Path | None = None
    """32-byte Ed25519 seed in hex that signs the audit, the same on all replicas; made in the data directory when None."""

    soak_minutes: tuple[float, ...] = (30, 1440)
    """When a verified fix is looked at again, in minutes after it. Held means: well at every look."""
    seed_cases: bool = True
    """Give a tenant without cases the ones that come with Opsthread, marked as such."""
    cases_across_clusters: bool = False
    """Also show what was learnt in clusters outside of a conversation, without names."""

    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_api_key_file: Path | None = None
    openai_base_url: str | None = Field(default=None, validation_alias="OPENAI_BASE_URL")
    model: str = "gpt-5-mini"
    model_api: Literal["openai", "azure"] = "openai"
    """azure: OPENAI_BASE_URL is the resource (https://NAME.openai.azure.com), the model its deployment's name."""
    azure_api_version: str = "2024-10-21"
    model_timeout_s: float = 60
    """The longest silence of a model; one whole answer may take three times as long."""
    model_stream: bool = True
    model_parallel_tools: bool | None = None
    """None leaves it to the endpoint; False asks for one tool call at a time, for models that mix them up."""
    model_options: dict[str, Any] = {}
    """Fields added to each request as they are, for instance {"temperature": 0}."""
    model_context_tokens: int = Field(default=64_000, ge=4_000)
    """What a request may hold at most before older tool results are compacted; below the model's own window."""
    model_wait_s: float = Field(default=30, ge=0)
    """The longest wait that a 429 or an overload may ask for before another model, or the rules, take over."""
    fallback_model: str = ""
    """Answers when the model can't, before the rules do; at the same endpoint unless it has its own."""
    fallback_api: Literal["openai", "azure"] = "openai"
    fallback_base_url: str = ""
    fallback_api_key: SecretStr | None = None
    fallback_api_key_file: Path | None = None
    fallback_context_tokens: int = Field(default=64_000, ge=4_000)
    model_prices: dict[str, Price] = {}
    """By model name: money for a million tokens, e.g. {"gpt-5-mini": {"input": 0.25, "output": 2}}."""
    currency: str = Field(default="USD", max_length=8)
    budget_timezone: str = "UTC"
    """Whose days and months the budgets count, an IANA name."""
    cluster_tokens_per_day: int = Field(default=0, ge=0)
    """Budgets: 0 is none. An admin's own budget for a cluster or a person wins over these."""
    cluster_tokens_per_month: int = Field(default=0, ge=0)
    cluster_money_per_day: float = Field(default=0, ge=0)
    cluster_money_per_month: float = Field(default=0, ge=0)
    person_tokens_per_day: int = Field(default=0, ge=0)
    person_tokens_per_month: int = Field(default=0, ge=0)
    person_money_per_day: float = Field(default=0, ge=0)
    person_money_per_month: float = Field(default=0, ge=0)
    model_requests_days: int = Field(default=7, ge=0, le=3650)
    """How long the exact bytes of each request to a model are kept for admins; 0 keeps none."""
    model_requests_mb: int = Field(default=500, ge=1)
    """Above this the oldest go first."""
    pseudonyms: tuple[str, ...] = ()
    """Clusters (names or ids, "*" for all) whose names of objects a model never sees."""
    model_calls_per_turn: int = 20
    tool_calls_per_turn: int = 40
    turn_seconds: float = 300
    tokens_per_turn: int = 200_000
    concurrent_turns: int = 16
    embeddings_model: str = ""
    """Model name at the OpenAI-compatible endpoint; local vectors when empty."""

    slack_mode: Literal["", "socket", "http"] = ""
    """How Slack's events come in. "": by socket when both tokens are there, else Slack is off."""
    slack_bot_token: SecretStr | None = None
    slack_bot_token_file: Path | None = None
    """xoxb-…: of the app as it is installed in the workspace."""
    slack_app_token: SecretStr | None = None
    slack_app_token_file: Path | None = None
    """xapp-…: of the app itself, for socket mode."""
    slack_signing_secret: SecretStr | None = None
    slack_signing_secret_file: Path | None = None
    """For HTTP: what Slack signs its requests with."""
    slack_client_id: str = ""
    slack_client_secret: SecretStr | None = None
    slack_client_secret_file: Path | None = None
    """With these two an admin installs the app in further workspaces, by OAuth; only with slack_mode = http."""
    slack_email_mapping: bool = True
    """Recognise people of Slack by the e-mail address that Slack has verified; false: only by links that they make."""
    slack_api_url: str = "https://slack.com/api/"
    """Where Slack's Web API is: another one for a proxy in between, and for tests."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _certificate_and_key(self) -> "Settings":
        if (self.nats_tls_cert_file is None) != (self.nats_tls_key_file is None):
            raise ValueError("nats_tls_cert_file and nats_tls_key_file belong together: give both or neither")
        return self

    @property
    def database(self) -> str:
        """SQLAlchemy's URL of the tables. Raises OSError when database_url_file can't be read."""
        if self.database_url_file is not None:
            return self.database_url_file.read_text().strip()
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir.absolute()}/opsthread.db"

    @property
    def bus_auth_url(self) -> str:
        """Raises OSError when nats_auth_url_file can't be read."""
        return self.nats_auth_url_file.read_text().strip() if self.nats_auth_url_file is not None else self.nats_auth_url

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
        return _secret(self.openai_api_key, self.openai_api_key_file)

    def slack_bot(self) -> str | None:
        """The bot's token, from the file when one is named. Raises OSError when it can't be read."""
        return _secret(self.slack_bot_token, self.slack_bot_token_file)

    def slack_app(self) -> str | None:
        """As `slack_bot`, the app's own."""
        return _secret(self.slack_app_token, self.slack_app_token_file)

    def slack_secret(self) -> str | None:
        """As `slack_bot`, the signing secret."""
        return _secret(self.slack_signing_secret, self.slack_signing_secret_file)

    def slack_client(self) -> str | None:
        """As `slack_bot`, the client secret of OAuth."""
        return _secret(self.slack_client_secret, self.slack_client_secret_file)

    @property
    def slack_begun(self) -> bool:
        """Has anybody begun to set it up?"""
        tokens = (self.slack_bot_token, self.slack_bot_token_file, self.slack_app_token, self.slack_app_token_file)
        return bool(self.slack_mode) or any(token is not None for token in tokens)

    def slack_in_use(self) -> Literal["", "socket", "http"]:
        """How Slack reaches us: as configured, else by socket when both tokens are there. Raises OSError."""
        return self.slack_mode or ("socket" if self.slack_bot() and self.slack_app() else "")

    def fallback_key(self) -> str | None:
        """The fallback's own key, or the model's where it has no endpoint of its own."""
        own = _secret(self.fallback_api_key, self.fallback_api_key_file)
        return own or (None if self.fallback_base_url else self.api_key())


def _secret(value: SecretStr | None, file: Path | None) -> str | None:
    """Raises OSError when the file can't be read."""
    if file is not None:
        return file.read_text().strip() or None
    return (value.get_secret_value() or None) if value is not None else None
