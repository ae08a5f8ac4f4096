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


def server_config(*, host: str, port: int, directory: Path, secrets: ServerSecrets) -> str:
    """The configuration file's text. NATS reads JSON strings as they are, so a path needs no other quoting."""
    quote = json.dumps
    return f"""host: {quote(host)}
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
accounts {{
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
