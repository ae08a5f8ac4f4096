"""Where the API server is and how to prove oneself: the pod's service account, or a kubeconfig (certificates, tokens, exec
plugins, OIDC) by the official package's loader, which is used for nothing else."""

import asyncio
import importlib
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import structlog

from runner.clocks import elapsed
from runner.kube.in_cluster import MOUNT, NotInCluster, pod_account

log = structlog.get_logger("runner")

_REFRESH_EVERY_S = 30.0


class AccessError(Exception):
    """The credentials could not be loaded. The message says which file or context."""


@dataclass(slots=True)
class Access:
    """Credentials of one cluster. `authorization` renews tokens of exec plugins, OIDC and projected files."""

    server: str
    ssl_context: ssl.SSLContext | None
    namespace: str = "default"
    """The default namespace of the context, or the pod's own."""
    in_cluster: bool = False
    """By the pod's service account."""
    proxy: str | None = None
    tls_server_name: str | None = None
    _configuration: Any = None
    """Of the official package, for a kubeconfig."""
    _read_token: Callable[[], str] | None = None
    """For a pod."""
    _token: str = ""
    _checked: float = field(default=0.0)

    async def authorization(self, *, renew: bool = False) -> str | None:
        """The Authorization header's value, or None where a certificate is the proof."""
        due = renew or elapsed() - self._checked > _REFRESH_EVERY_S
        if self._read_token is not None:
            if due or not self._token:
                self._token = await self._token_of_the_pod(self._read_token)
            return f"Bearer {self._token}"
        configuration = self._configuration
        hook = getattr(configuration, "refresh_api_key_hook", None)
        if hook is not None and due:
            await asyncio.to_thread(hook, configuration)
            self._checked = elapsed()
        return cast(str | None, configuration.api_key.get("BearerToken")) if configuration is not None else None

    async def _token_of_the_pod(self, read: Callable[[], str]) -> str:
        """The mounted token as it is now; the one before while the file can't be read."""
        self._checked = elapsed()
        try:
            return await asyncio.to_thread(read)
        except (OSError, NotInCluster) as error:
            log.warning("token_not_read", error=str(error))
            return self._token


async def load_access(kubeconfig: Path | None, context: str | None, *, in_cluster: bool, mount: Path = MOUNT) -> Access:
    """Raises AccessError. Exec plugins run here, so this happens in a thread."""
    if in_cluster or (kubeconfig is None and not _exists(_default_kubeconfig())):
        return await asyncio.to_thread(_of_the_pod, mount)
    return await asyncio.to_thread(_of_kubeconfig, kubeconfig, context)


def _of_the_pod(mount: Path) -> Access:
    try:
        account = pod_account(mount)
    except NotInCluster as error:
        raise AccessError(f"no access to a cluster by the pod's service account: {error}") from error
    return Access(account.server, account.ssl_context, account.namespace, in_cluster=True, _read_token=account.token)


def warm_up() -> None:
    """Load the official package now: half a second that is better spent before anybody waits."""
    importlib.import_module("kubernetes.client")
    importlib.import_module("kubernetes.config.kube_config")


def _of_kubeconfig(kubeconfig: Path | None, context: str | None) -> Access:
    # Imported here: 9 MiB that nothing else needs. It has no types worth the name.
    package: Any = importlib.import_module("kubernetes.config.kube_config")
    configuration: Any = importlib.import_module("kubernetes.client").Configuration()
    configuration.proxy = None
    path = str(kubeconfig) if kubeconfig else _default_kubeconfig()
    try:
        package.load_kube_config(config_file=path, context=context, client_configuration=configuration, persist_config=False)
        namespace = _context_namespace(package.list_kube_config_contexts(config_file=path), context)
    except (package.ConfigException, OSError, ValueError, TypeError) as error:
        raise AccessError(f"no access to a cluster by kubeconfig {path}: {error}") from error
    server = str(configuration.host).rstrip("/")
    return Access(
        server=server,
        ssl_context=_ssl_context(configuration) if server.startswith("https") else None,
        namespace=namespace,
        proxy=configuration.proxy,
        tls_server_name=configuration.tls_server_name,
        _configuration=configuration,
        _checked=elapsed(),
    )


def _ssl_context(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


def _default_kubeconfig() -> str:
    """As kubectl finds it: $KUBECONFIG, a list of paths, or the one in the home."""
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _exists(paths: str) -> bool:
    return any(Path(part).expanduser().exists() for part in paths.split(":") if part)


def _context_namespace(listed: Any, wanted: str | None) -> str:
    contexts, active = listed
    chosen = next((c for c in contexts if c["name"] == wanted), active) if wanted else active
    return str(chosen.get("context", {}).get("namespace") or "default")
