"""What a request carries to prove itself: headers and TLS. Files are read again when they have changed."""

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from runner.metrics.settings import MetricsSettings

TENANT_HEADER = "X-Scope-OrgID"
_MOST = 64 * 1024


class ProofUnreadable(Exception):
    """A file with a credential cannot be used. The message names the file and never its content."""


@dataclass(slots=True)
class Proof:
    """Credentials for the configured URL. `headers` and `tls` touch files: call them in a thread."""

    settings: MetricsSettings
    _texts: dict[Path, tuple[int, str]] = field(default_factory=dict[Path, tuple[int, str]])
    _tls: tuple[tuple[int, ...], ssl.SSLContext] | None = None

    def headers(self) -> dict[str, str]:
        """Raises ProofUnreadable."""
        settings = self.settings
        found = dict(settings.prometheus_headers)
        found |= {name: self._text(path) for name, path in settings.prometheus_header_files.items()}
        if settings.prometheus_tenant:
            found[TENANT_HEADER] = settings.prometheus_tenant
        if settings.prometheus_user:
            secret = settings.prometheus_password
            password = self._text(settings.prometheus_password_file) if secret is None else secret.get_secret_value()
            pair = f"{settings.prometheus_user}:{password}".encode()
            found["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        elif settings.prometheus_token_file is not None:
            found["Authorization"] = f"Bearer {self._text(settings.prometheus_token_file)}"
        elif settings.prometheus_token is not None:
            found["Authorization"] = f"Bearer {settings.prometheus_token.get_secret_value()}"
        return found

    def tls(self) -> ssl.SSLContext:
        """Raises ProofUnreadable."""
        paths = [
            path
            for path in (
                self.settings.prometheus_ca_file,
                self.settings.prometheus_cert_file,
                self.settings.prometheus_key_file,
            )
            if path is not None
        ]
        stamps = tuple(_stamp(path) for path in paths)
        if self._tls is None or self._tls[0] != stamps:
            self._tls = (stamps, self._context(paths))
        return self._tls[1]

    def _context(self, paths: list[Path]) -> ssl.SSLContext:
        settings = self.settings
        try:
            context = ssl.create_default_context(cafile=settings.prometheus_ca_file)
            if settings.prometheus_cert_file is not None:
                context.load_cert_chain(settings.prometheus_cert_file, settings.prometheus_key_file, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            names = ", ".join(str(path) for path in paths)
            why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            raise ProofUnreadable(f"The certificates for the metrics server can't be used ({names}): {why}") from None
        return context

    def _text(self, path: Path | None) -> str:
        if path is None:
            return ""
        stamp = _stamp(path)
        known = self._texts.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        try:
            with path.open() as file:
                text = file.read(_MOST).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ProofUnreadable(f"{path} can't be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None
        if not text or any(ord(character) < 32 for character in text):
            raise ProofUnreadable(f"{path} must hold one line of text")
        self._texts[path] = (stamp, text)
        return text


def _stamp(path: Path) -> int:
    """Changes when the file does; a projected Secret is a link whose target changes."""
    try:
        found = path.stat()
    except OSError as error:
        raise ProofUnreadable(f"{path} can't be read: {error.strerror}") from None
    return hash((found.st_mtime_ns, found.st_ino, found.st_size))


def _no_password() -> str:
    """A key with a password would otherwise ask at a terminal that nobody sits at."""
    raise ValueError("its private key has a password")
