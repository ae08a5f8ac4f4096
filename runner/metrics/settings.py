"""Where the metrics are and how to prove oneself there: the `prometheus_…` part of the runner's configuration."""

import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = frozenset({"authorization", "host", "content-length", "content-type", "connection", "transfer-encoding", "cookie"})
_ENDINGS = ("/api/v1/query_range", "/api/v1/query", "/api/v1", "/graph")


class MetricsSettings(BaseSettings):
    """Nothing here is needed: without a URL the well-known services of the cluster are looked at."""

    prometheus_url: str | None = None
    """With the base path, such as https://mimir.example.org/prometheus; a missing one is tried."""
    prometheus_token: SecretStr | None = None
    prometheus_token_file: Path | None = None
    """Bearer token; the file is read again when it has changed."""
    prometheus_user: str = ""
    prometheus_password: SecretStr | None = None
    prometheus_password_file: Path | None = None
    prometheus_ca_file: Path | None = None
    prometheus_cert_file: Path | None = None
    prometheus_key_file: Path | None = None
    prometheus_server_name: str = ""
    """The name in the server's certificate, when it is not the one in the URL."""
    prometheus_tenant: str = ""
    """X-Scope-OrgID, for Mimir, Cortex and Thanos with tenants."""
    prometheus_headers: dict[str, str] = {}
    prometheus_header_files: dict[str, Path] = {}
    """Header name to a file that holds its value, for values that are secret."""
    prometheus_labels: dict[str, str] = {}
    """Labels that mark this cluster's series on a server that holds those of several (Thanos, Mimir): {"cluster": "prod-1"}.
    They are added to every selector of every query."""
    prometheus_discover: bool = True
    """Without a URL: use a well-known metrics service of this cluster. It is asked without credentials."""
    prometheus_namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces in which such a service is believed; the usual ones of monitoring when empty."""

    @field_validator("prometheus_namespaces", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("prometheus_url")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the metrics URL must be http://host… or https://host…")
        if parts.username or parts.password:
            raise ValueError(
                "a URL is shown to people: put user and password into prometheus_user and prometheus_password_file"
            )
        if parts.query or parts.fragment:
            raise ValueError("the metrics URL must end with its path: no ? and no #")
        url = value.rstrip("/")
        for ending in _ENDINGS:
            url = url.removesuffix(ending).rstrip("/")
        return url

    @field_validator("prometheus_headers", "prometheus_header_files")
    @classmethod
    def _header_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not _HEADER.fullmatch(name):
                raise ValueError(f"{name!r} is not the name of a header")
            if name.lower() in _OURS:
                raise ValueError(f"the header {name} is not set here: tokens and passwords have settings of their own")
        return value

    @field_validator("prometheus_labels")
    @classmethod
    def _matchers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _LABEL.fullmatch(name) or any(character in '"\\' or ord(character) < 32 for character in text):
                raise ValueError(f"{name!r} must be a label's name, with a value without quotes, backslashes and line breaks")
        return value

    @field_validator("prometheus_tenant")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if any(ord(character) < 32 for character in value):
            raise ValueError("a tenant is one line")
        return value

    @model_validator(mode="after")
    def _one_proof(self) -> "MetricsSettings":
        bearer = self.prometheus_token is not None or self.prometheus_token_file is not None
        if bearer and self.prometheus_user:
            raise ValueError("prometheus_token and prometheus_user exclude each other: one of them is the proof")
        if self.prometheus_user and self.prometheus_password is None and self.prometheus_password_file is None:
            raise ValueError("prometheus_user needs prometheus_password_file")
        if (self.prometheus_cert_file is None) != (self.prometheus_key_file is None):
            raise ValueError("prometheus_cert_file and prometheus_key_file belong together")
        return self
