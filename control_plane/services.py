"""The control plane as one value: what upper floors are given. Built by `control_plane.assembly`."""

from dataclasses import dataclass

from nacl.signing import SigningKey

from control_plane.accounts import Accounts
from control_plane.alerts.groups import Alerts
from control_plane.alerts.routes import AlertRoutes
from control_plane.alerts.threads import AlertThreads
from control_plane.alerts.tokens import AlertTokens
from control_plane.approvals import Approvals
from control_plane.audit import Audit
from control_plane.break_glass import BreakGlassSwitch
from control_plane.bus import Bus
from control_plane.cases import Cases
from control_plane.commands import Commands
from control_plane.conversations import Conversations
from control_plane.database import Database
from control_plane.durable import Durable
from control_plane.feedback import Feedback
from control_plane.fleet import Fleet
from control_plane.freezes import Freezes
from control_plane.limits import Limits
from control_plane.model_requests import ModelRequests
from control_plane.notifications import Notifications
from control_plane.replica import Replica
from control_plane.retention import Retention
from control_plane.settings import Settings
from control_plane.slack.channels import Channels
from control_plane.slack.groups import Groups
from control_plane.slack.inbox import Inbox
from control_plane.slack.installations import Workspaces
from control_plane.slack.outbox import Outbox
from control_plane.slack.people import People
from control_plane.slack.posts import Posts
from control_plane.slack.threads import Threads
from control_plane.soaks import Soaks
from control_plane.spending import Spending
from control_plane.usage import UsageBook
from control_plane.weights import Weights


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
    freezes: Freezes
    break_glass: BreakGlassSwitch
    notifications: Notifications
    cases: Cases
    soaks: Soaks
    feedback: Feedback
    weights: Weights
    spending: Spending
    usage: UsageBook
    model_requests: ModelRequests
    replica: Replica
    limits: Limits
    retention: Retention
    slack_inbox: Inbox
    slack_outbox: Outbox
    slack_posts: Posts
    slack_threads: Threads
    slack_channels: Channels
    slack_workspaces: Workspaces
    slack_people: People
    slack_groups: Groups
    alerts: Alerts
    alert_routes: AlertRoutes
    alert_tokens: AlertTokens
    alert_threads: AlertThreads
    grant_key: SigningKey
    grant_kid: str
