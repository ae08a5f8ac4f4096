"""Access from inside a pod: the address by environment, the proof by the mounted service account. The official package is not
needed for it, nor its 9 MiB of memory."""

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class NotInCluster(Exception):
    """This is no pod, or it mounts no service account. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class PodAccount:
    """A mounted service account. Its token is read again and again: the kubelet replaces it before it runs out."""

    server: str
    namespace: str
    ssl_context: ssl.SSLContext
    token: Callable[[], str]
    """Reads the token. Raises OSError and NotInCluster."""


def pod_account(mount: Path = MOUNT, environment: Mapping[str, str] = os.environ) -> PodAccount:
    """Raises NotInCluster."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NotInCluster("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod")

    def token() -> str:
        read = (mount / "token").read_text().strip()
        if not read:
            raise NotInCluster(f"{mount / 'token'} is empty")
        return read

    try:
        token()
        # The file's own read names it when it is not there; ssl would not.
        trusted = ssl.create_default_context(cadata=(mount / "ca.crt").read_text())
        space = mount / "namespace"
        namespace = space.read_text().strip() if space.exists() else ""
    except (OSError, ssl.SSLError) as error:
        raise NotInCluster(f"the pod's service account can't be read: {error}; is automountServiceAccountToken off?") from error
    # An IPv6 address needs brackets in a URL.
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return PodAccount(f"https://{where}", namespace or "default", trusted, token)
