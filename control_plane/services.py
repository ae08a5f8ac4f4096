"""The control plane as one value: what upper floors are given. Built by `control_plane.assembly`."""

from dataclasses import dataclass

from nacl.signing import SigningKey

from control_plane.accounts import Accounts
from control_plane.approvals import Approvals
from control_plane.audit import Audit
from control_plane.bus import Bus
from control_plane.commands import Commands
from control_plane.conversations import Conversations
from control_plane.database import Database
from control_plane.durable import Durable
from control_plane.fleet import Fleet
from control_plane.replica import Replica
from control_plane.settings import Settings


@dataclass(frozen=True)
class ControlPlane:
    settings: Settings
    database: Database
    bus: Bus
    durable: Durable
    accounts: Accounts
    fleet: Fleet
    commands: Commands
    conversations: Conversations
    approvals: Approvals
    audit: Audit
    replica: Replica
    grant_key: SigningKey
    grant_kid: str
