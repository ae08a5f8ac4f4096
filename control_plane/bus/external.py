"""What an external NATS needs to be told, and what Opsthread needs to know of it. Pure: a value in, texts out."""

import json
import shlex
from dataclasses import dataclass
from pathlib import PurePath

from control_plane.bus.config import APP_USER, AUTH_USER, SYS_USER, ServerSecrets, accounts_config

CONFIG_FILE = "nats-server.conf"
SEED_FILE = "issuer.seed"
ENV_FILE = "opsthread.env"


@dataclass(frozen=True)
class External:
    """Where that NATS listens, how it is reached, and where it keeps its streams."""

    address: str
    """host:port, as replicas and runners reach it."""
    listen: str = "0.0.0.0:4222"
    store_dir: str = "/data/jetstream"
    server_name: str = "opsthread-nats-0"


def external_config(external: External, secrets: ServerSecrets) -> str:
    """A whole configuration file of nats-server. For a cluster of servers: the same file on each, with a `server_name` of its
    own and a `cluster` block."""
    quote = json.dumps
    return f"""# For `nats-server -c {CONFIG_FILE}`. It holds passwords: keep it as a secret.
listen: {quote(external.listen)}
server_name: {quote(external.server_name)}
max_payload: 1048576
max_connections: 65536
write_deadline: "10s"
ping_interval: "20s"
lame_duck_duration: "30s"
jetstream {{ store_dir: {quote(external.store_dir)} }}
# TLS for runners of other networks: tls {{ cert_file: "…", key_file: "…" }}, and tls:// in the addresses.
{accounts_config(secrets)}"""


def external_env(external: External, secrets: ServerSecrets, seed_file: PurePath) -> str:
    """The settings of every replica that uses that NATS."""
    at = external.address
    rows = {
        "OPSTHREAD_NATS_URL": f"nats://{APP_USER}:{secrets.app_password}@{at}",
        "OPSTHREAD_NATS_PUBLIC_URL": f"nats://{at}",
        "OPSTHREAD_NATS_AUTH_URL": f"nats://{AUTH_USER}:{secrets.auth_password}@{at}",
        "OPSTHREAD_NATS_SYSTEM_URL": f"nats://{SYS_USER}:{secrets.sys_password}@{at}",
        "OPSTHREAD_NATS_ISSUER_SEED_FILE": str(seed_file),
    }
    return "".join(f"{key}={shlex.quote(value)}\n" for key, value in rows.items())
