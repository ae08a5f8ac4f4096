"""The runner's configuration, by one door: environment (`OPSTHREAD_RUNNER_…`). It has the last word on writes."""

import contextlib
from pathlib import Path
from typing import Annotated, Literal

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from protocol.bus import RunnerMode
from protocol.remediation import REMEDIATIONS
from runner.kube.in_cluster import MOUNT
from runner.metrics.settings import MetricsSettings

KEPT_IN = "opsthread-runner-identity"
"""The Secret in which a runner in a pod keeps its key."""

Items = Annotated[tuple[str, ...], NoDecode]
"""A comma list in the environment, a list in code."""


class RunnerConfig(MetricsSettings):
    """What `python -m runner` reads. Nothing that comes over the bus can widen it."""

    model_config = SettingsConfigDict(env_prefix="OPSTHREAD_RUNNER_", extra="ignore", frozen=True)

    nats_url: str = "nats://127.0.0.1:4222"
    nats_ca_file: Path | None = None
    cluster: str = ""
    """Ids given at enrolment; set them only where no enrolment is wanted (an external NATS with its own accounts)."""
    runner: str = ""
    enrol_token: SecretStr | None = None
    enrol_token_file: Path | None = None
    key_file: Path | None = None
    """Where the runner's own key and ids are kept, mode 0600. Default: `<data_dir>/identity.json`."""
    key_secret: str = ""
    """A Secret that holds them instead. Default: `opsthread-runner-identity` in a pod without a key_file, none elsewhere."""
    key_secret_namespace: str = ""
    """Default: the pod's own, or the kubeconfig's."""
    data_dir: Path = Path("runner-data")
    name: str = "runner"

    kubeconfig: Path | None = None
    """None: $KUBECONFIG or ~/.kube/config; without one, the service account of the pod."""
    context: str | None = None
    in_cluster: bool = False
    service_account_dir: Path = MOUNT
    """Where a pod finds its service account: token, ca.crt, namespace."""
    watch_namespaces: Items = ()
    """Watch only these namespaces; empty means the whole cluster."""

    lease: Literal["auto", "off"] = "auto"
    """One active runner a cluster by a Lease. auto: in a pod, and wherever lease_namespace is set."""
    lease_name: str = "opsthread-runner"
    lease_namespace: str = ""
    """Default: the pod's own."""
    lease_duration_s: int = Field(default=30, ge=6, le=300)
    """So long without a renewal, and another pod takes it. It is renewed every third of that."""

    mode: Literal["read-only", "writes"] = "read-only"
    remediations: Items = ()
    """Types that may run in mode writes: names of protocol.remediation, or `all`."""
    namespaces: Items = ()
    """Namespaces in which they may run; empty means all."""
    secrets_opt_in: Items = ()
    """Namespaces in which people may see the names of Secrets and of their keys; never values. The ServiceAccount needs the
    right to read Secrets there, which it has nowhere by default."""
    grant_keys: dict[str, str] = {}
    """kid to Ed25519 public key in hex: whose grants this runner obeys. At most two, while rotating."""

    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65_535)
    """0: a free port, printed in the log."""
    concurrency: int = Field(default=8, ge=1, le=64)
    stop_within_s: float = Field(default=20, gt=0)
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("watch_namespaces", "remediations", "namespaces", "secrets_opt_in", mode="before")
    @classmethod
    def _comma_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("remediations")
    @classmethod
    def _known_types(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value == ("all",):
            return tuple(REMEDIATIONS)
        unknown = [item for item in value if item not in REMEDIATIONS]
        if unknown:
            raise ValueError(f"unknown remediation types {', '.join(unknown)}; known: {', '.join(REMEDIATIONS)} or all")
        return value

    @field_validator("grant_keys")
    @classmethod
    def _keys(cls, value: dict[str, str]) -> dict[str, str]:
        if len(value) > 2:
            raise ValueError("at most two grant keys, while rotating")
        for kid, text in value.items():
            try:
                VerifyKey(bytes.fromhex(text))
            except (ValueError, CryptoError) as error:
                raise ValueError(f"grant key {kid!r} is not an Ed25519 public key in hex: {error}") from None
        return value

    @model_validator(mode="after")
    def _writes_need_a_key(self) -> "RunnerConfig":
        if self.mode == "writes" and not self.grant_keys:
            raise ValueError("mode writes needs grant_keys: the public key of the control plane that may sign grants")
        return self

    @property
    def identity_path(self) -> Path:
        return self.key_file or self.data_dir / "identity.json"

    def runner_mode(self) -> RunnerMode:
        writes = self.mode == "writes"
        return RunnerMode(
            writes=writes,
            remediations=self.remediations if writes else (),
            namespaces=self.namespaces or None,
            secrets_opt_in=self.secrets_opt_in,
        )

    def verify_keys(self) -> dict[str, VerifyKey]:
        return {kid: VerifyKey(bytes.fromhex(text)) for kid, text in self.grant_keys.items()}

    def enrolment_token(self) -> str | None:
        """None where there is no file either: a mounted Secret may be gone once it was used.

        Raises OSError when the file cannot be read.
        """
        if self.enrol_token is not None:
            return self.enrol_token.get_secret_value()
        if self.enrol_token_file is not None:
            with contextlib.suppress(FileNotFoundError):
                return self.enrol_token_file.read_text().strip() or None
        return None
