"""What the embedded nats-server is told: three accounts, auth callout, JetStream. Pure: a value in, a text out.

AUTH holds the connection that answers the callout, APP everything of Opsthread, SYS the server's own requests. Runners
have no user here: each connect of theirs is judged by the callout.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nkeys

from control_plane.bus.jwt import public_key, seed_of

AUTH_USER = "auth"
APP_USER = "cp"
SYS_USER = "sys"
APP_ACCOUNT = "APP"


@dataclass(frozen=True)
class ServerSecrets:
    """New for each start of the control plane; they never leave this machine."""

    issuer_seed: bytes
    """Account nkey that signs the callout's answers."""
    auth_password: str
    app_password: str
    sys_password: str
    server_name: str
    """Tells our server from another process on its port."""

    @classmethod
    def fresh(cls, random_bytes: Callable[[int], bytes] = os.urandom) -> "ServerSecrets":
        auth, app, system = (random_bytes(24).hex() for _ in range(3))
        return cls(
            seed_of(nkeys.PREFIX_BYTE_ACCOUNT, random_bytes(32)), auth, app, system, f"opsthread-{random_bytes(8).hex()}"
        )


@dataclass(frozen=True)
class Doors:
    """Where runners of other machines come in. By default nowhere: the server listens on this machine alone."""

    host: str = "127.0.0.1"
    cert_file: Path | None = None
    key_file: Path | None = None
    """With both, connections may be TLS; a runner that is given a `tls://` address takes no other. Ours stays on loopback."""
    websocket_port: int = 0
    """For runners that get out by HTTPS only: `wss://` of an ingress that ends TLS and passes WebSockets on. 0: closed."""

    @property
    def own_host(self) -> str:
        """Where this process reaches the server."""
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host


LOOPBACK = Doors()


def server_config(*, port: int, directory: Path, secrets: ServerSecrets, doors: Doors = LOOPBACK) -> str:
    """The configuration file's text. NATS reads JSON strings as they are, so a path needs no other quoting."""
    quote = json.dumps
    return f"""host: {quote(doors.host)}
port: {port}
server_name: {quote(secrets.server_name)}
max_payload: 1048576
max_connections: 65536
write_deadline: "10s"
ping_interval: "20s"
lame_duck_duration: "30s"
log_file: {quote(str(directory / "nats-server.log"))}
logfile_size_limit: 10485760
logfile_max_num: 2
jetstream {{ store_dir: {quote(str(directory / "jetstream"))} }}
{_tls(doors)}{_websocket(doors)}{accounts_config(secrets)}"""


def accounts_config(secrets: ServerSecrets) -> str:
    """The part that is the same wherever the server runs: three accounts, and who judges each connect."""
    quote = json.dumps
    return f"""accounts {{
  AUTH: {{ users: [ {{ user: {AUTH_USER}, password: {quote(secrets.auth_password)} }} ] }}
  {APP_ACCOUNT}: {{ jetstream: enabled, users: [ {{ user: {APP_USER}, password: {quote(secrets.app_password)} }} ] }}
  SYS: {{ users: [ {{ user: {SYS_USER}, password: {quote(secrets.sys_password)} }} ] }}
}}
system_account: SYS
authorization {{
  timeout: 5
  auth_callout {{
    issuer: {public_key(secrets.issuer_seed)}
    account: AUTH
    auth_users: [ {AUTH_USER}, {APP_USER}, {SYS_USER} ]
  }}
}}
"""


def _tls(doors: Doors) -> str:
    if doors.cert_file is None or doors.key_file is None:
        return ""
    # A server that also takes plain connections does not ask for TLS in its first line; a runner that insists on TLS does
    # not wait for that line but starts the handshake, which "auto" understands.
    files = f"cert_file: {json.dumps(str(doors.cert_file))}, key_file: {json.dumps(str(doors.key_file))}"
    return f"tls {{ {files}, handshake_first: auto }}\nallow_non_tls: true\n"


def _websocket(doors: Doors) -> str:
    if not doors.websocket_port:
        return ""
    # Runners are no browsers: whatever sends an Origin is turned away, so that no web page can use a reader's network for it.
    where = f"host: {json.dumps(doors.host)}, port: {doors.websocket_port}, same_origin: true"
    secure = "no_tls: true"
    if doors.cert_file is not None and doors.key_file is not None:
        secure = f"tls {{ cert_file: {json.dumps(str(doors.cert_file))}, key_file: {json.dumps(str(doors.key_file))} }}"
    return f"websocket {{ {where}, {secure} }}\n"
