"""Where the API server is and how to prove oneself: kubeconfig (certificates, tokens, exec plugins, OIDC) or the pod's
service account, by the official package's loader, which is used for nothing else."""

import asyncio
import importlib
import ssl
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

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
    _checked: float = field(default=0.0)

    async def authorization(self, *, renew: bool = False) -> str | None:
        """The Authorization header's value, or None where a certificate is the proof."""
        configuration = self._configuration
        hook = getattr(configuration, "refresh_api_key_hook", None)
        due = renew or time.monotonic() - self._checked > _REFRESH_EVERY_S
        if hook is not None and due:
            await asyncio.to_thread(hook, configuration)
            self._checked = time.monotonic()
        return cast(str | None, configuration.api_key.get("BearerToken")) if configuration is not None else None


async def load_access(kubeconfig: Path | None, context: str | None, *, in_cluster: bool) -> Access:
    """Raises AccessError. Exec plugins run here, so this happens in a thread."""
    return await asyncio.to_thread(_load, kubeconfig, context, in_cluster)


def warm_up() -> None:
    """Load the official package now: half a second that is better spent before anybody waits."""
    importlib.import_module("kubernetes.client")
    importlib.import_module("kubernetes.config.kube_config")


def _load(kubeconfig: Path | None, context: str | None, in_cluster: bool) -> Access:
    # Imported here: 9 MiB that nothing else needs. It has no types worth the name.
    package: Any = importlib.import_module("kubernetes.config.kube_config")
    incluster: Any = importlib.import_module("kubernetes.config.incluster_config")
    configuration: Any = importlib.import_module("kubernetes.client").Configuration()
    configuration.proxy = None
    path = str(kubeconfig) if kubeconfig else str(package.KUBE_CONFIG_DEFAULT_LOCATION)
    wanted, in_cluster = in_cluster, False
    try:
        if wanted or (kubeconfig is None and not _exists(path)):
            incluster.load_incluster_config(client_configuration=configuration)
            namespace, in_cluster = _pod_namespace(), True
        else:
            package.load_kube_config(
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
            namespace = _context_namespace(package.list_kube_config_contexts(config_file=path), context)
    except (package.ConfigException, OSError, ValueError, TypeError) as error:
        where = "the pod's service account" if wanted else f"kubeconfig {path}"
        raise AccessError(f"no access to a cluster by {where}: {error}") from error
    server = str(configuration.host).rstrip("/")
    return Access(
        server=server,
        ssl_context=_ssl_context(configuration) if server.startswith("https") else None,
        namespace=namespace,
        in_cluster=in_cluster,
        proxy=configuration.proxy,
        tls_server_name=configuration.tls_server_name,
        _configuration=configuration,
        _checked=time.monotonic(),
    )


def _ssl_context(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


def _exists(paths: str) -> bool:
    return any(Path(part).expanduser().exists() for part in paths.split(":") if part)


def _context_namespace(listed: Any, wanted: str | None) -> str:
    contexts, active = listed
    chosen = next((c for c in contexts if c["name"] == wanted), active) if wanted else active
    return str(chosen.get("context", {}).get("namespace") or "default")


def _pod_namespace() -> str:
    path = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return path.read_text().strip() if path.exists() else "default"
