"""Builds the control plane from settings, starts and stops its parts in order."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from control_plane import command_log, data_dir
from control_plane.accounts import Accounts
from control_plane.alerts.groups import Alerts
from control_plane.alerts.routes import AlertRoutes
from control_plane.alerts.threads import AlertThreads
from control_plane.alerts.tokens import AlertTokens
from control_plane.approvals import Approvals
from control_plane.audit import Audit
from control_plane.audit_signing import Signer
from control_plane.break_glass import BreakGlassSwitch
from control_plane.bus import Bus
from control_plane.cases import Cases
from control_plane.clock import Clock, utc_now
from control_plane.commands import Commands
from control_plane.conversations import Conversations
from control_plane.database import Database, Session
from control_plane.durable import Durable
from control_plane.feedback import Feedback
from control_plane.fleet import Fleet
from control_plane.freezes import Freezes
from control_plane.limits import Limits
from control_plane.model_requests import ModelRequests
from control_plane.notifications import Notifications
from control_plane.replica import Replica
from control_plane.retention import Retention
from control_plane.services import ControlPlane
from control_plane.settings import Settings
from control_plane.slack.channels import Channels
from control_plane.slack.groups import Groups
from control_plane.slack.inbox import Inbox
from control_plane.slack.installations import Workspaces
from control_plane.slack.outbox import Outbox
from control_plane.slack.people import People
from control_plane.slack.posts import Posts
from control_plane.slack.secrets import TokenBox
from control_plane.slack.threads import Threads
from control_plane.soaks import Soaks
from control_plane.spending import Spending
from control_plane.usage import UsageBook
from control_plane.weights import Weights


@asynccontextmanager
async def control_plane(settings: Settings, *, clock: Clock = utc_now) -> AsyncGenerator[ControlPlane]:
    """Hold the data directory by a file lock (a second opener gets Conflict with clear words), start database, bus and
    services; durable functions are registered by agent_runtime before `durable.launch()`. Stops everything on exit, in
    reverse order."""
    async with AsyncExitStack() as stack:
        stack.enter_context(data_dir.held(settings.data_dir))
        plane = _build(settings, clock)
        stack.push_async_callback(plane.database.stop)
        await plane.database.start()
        stack.push_async_callback(plane.replica.stop)
        await plane.replica.start()
        for part in (plane.retention, plane.bus, plane.fleet, plane.commands, plane.audit):
            stack.push_async_callback(part.stop)
            await part.start()
        stack.push_async_callback(plane.durable.close)
        yield plane


def _build(settings: Settings, clock: Clock) -> ControlPlane:
    key = data_dir.grant_key(settings.grant_key_file, settings.data_dir)
    kid = data_dir.kid_of(key)
    signer = Signer(data_dir.audit_key(settings.audit_key_file, settings.data_dir), settings.data_dir / "audit.head")
    bus = Bus(settings)
    database = Database(settings.database, bus)
    durable = Durable(settings)
    replica = Replica(database, durable, settings, kid=kid, clock=clock)
    approvals = Approvals(database, settings, clock=clock, guard=replica.guard)
    spending = Spending(database, settings, clock=clock)

    async def kill_switch_thrown(session: Session, cluster: str, by: str, reason: str) -> None:
        await approvals.cancel_open(session, cluster, by, reason)
        await command_log.stop_executions(session, cluster)

    fleet = Fleet(
        database,
        bus,
        clock=clock,
        grant_keys={kid: key.verify_key.encode().hex()},
        kill_switch_thrown=kill_switch_thrown,
    )
    conversations = Conversations(database, bus, fleet, clock=clock, guard=replica.guard)
    channels = Channels(database, clock=clock)
    return ControlPlane(
        settings=settings,
        database=database,
        bus=bus,
        durable=durable,
        replica=replica,
        retention=Retention(database, durable, settings, clock=clock),
        limits=Limits(database, holder=lambda: replica.holder, clock=clock),
        accounts=Accounts(database, clock=clock, wakeups=bus),
        fleet=fleet,
        commands=Commands(database, bus, fleet, clock=clock),
        conversations=conversations,
        approvals=approvals,
        audit=Audit(database, signer, clock=clock),
        freezes=Freezes(database, clock=clock),
        break_glass=BreakGlassSwitch(database, clock=clock),
        notifications=Notifications(database, clock=clock),
        cases=Cases(database, clock=clock),
        soaks=Soaks(database, settings, clock=clock),
        feedback=Feedback(database, clock=clock),
        weights=Weights(database, clock=clock),
        spending=spending,
        usage=UsageBook(database, settings, spending, clock=clock),
        model_requests=ModelRequests(database, settings, clock=clock),
        slack_inbox=Inbox(database, bus, clock=clock),
        slack_outbox=Outbox(database, bus, clock=clock),
        slack_posts=Posts(database, clock=clock),
        slack_threads=Threads(database, conversations, clock=clock),
        slack_channels=channels,
        slack_workspaces=Workspaces(database, TokenBox(key), clock=clock),
        slack_people=People(database, key, by_email=settings.slack_email_mapping, clock=clock),
        slack_groups=Groups(database, clock=clock),
        alerts=Alerts(database, bus, clock=clock),
        alert_routes=AlertRoutes(database, channels, clock=clock),
        alert_tokens=AlertTokens(database, clock=clock),
        alert_threads=AlertThreads(database, conversations, clock=clock),
        grant_key=key,
        grant_kid=kid,
    )
