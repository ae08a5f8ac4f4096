"""Every table class, imported here so that `Table.metadata` is whole."""

from control_plane.tables.accounts import AccountRow, LinkRow, RoleRow, SessionRow, SignInFailureRow
from control_plane.tables.alerts import AlertGroupRow, AlertRouteRow, AlertRow, AlertTokenRow
from control_plane.tables.approvals import ApprovalRow, DecisionRow, ShowingRow
from control_plane.tables.audit import AuditCheckpointRow, AuditEntryRow, AuditHeadRow
from control_plane.tables.base import DEFAULT_TENANT, Table, UtcTime
from control_plane.tables.cases import (
    CaseRow,
    FeedbackRow,
    LearningHeadRow,
    SoakRow,
    WeightChangeRow,
    WeightVoteRow,
)
from control_plane.tables.commands import CommandEntryRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow, TurnRow
from control_plane.tables.fleet import ClusterRow, EnrolmentTokenRow, RunnerRow
from control_plane.tables.models import BudgetRow, ModelCallRow, SpendTotalRow
from control_plane.tables.replicas import LeaseRow, OpenStreamRow, RateCountRow
from control_plane.tables.safety import BreakGlassRow, ClusterSafetyRow, FreezeRow, NotificationRow, NotificationSeenRow
from control_plane.tables.slack import (
    SlackChannelRow,
    SlackGroupRow,
    SlackInboxRow,
    SlackLinkRow,
    SlackOutboxRow,
    SlackPersonRow,
    SlackPostRow,
    SlackThreadRow,
    SlackWorkspaceRow,
)

__all__ = [
    "DEFAULT_TENANT",
    "AccountRow",
    "AlertGroupRow",
    "AlertRouteRow",
    "AlertRow",
    "AlertTokenRow",
    "ApprovalRow",
    "AuditCheckpointRow",
    "AuditEntryRow",
    "AuditHeadRow",
    "BreakGlassRow",
    "BudgetRow",
    "CaseRow",
    "ClusterRow",
    "ClusterSafetyRow",
    "CommandEntryRow",
    "ConversationRow",
    "DecisionRow",
    "EnrolmentTokenRow",
    "FeedbackRow",
    "FreezeRow",
    "LearningHeadRow",
    "LeaseRow",
    "LinkRow",
    "LogEntryRow",
    "ModelCallRow",
    "NotificationRow",
    "NotificationSeenRow",
    "OpenStreamRow",
    "RateCountRow",
    "RoleRow",
    "RunnerRow",
    "SessionRow",
    "ShowingRow",
    "SignInFailureRow",
    "SlackChannelRow",
    "SlackGroupRow",
    "SlackInboxRow",
    "SlackLinkRow",
    "SlackOutboxRow",
    "SlackPersonRow",
    "SlackPostRow",
    "SlackThreadRow",
    "SlackWorkspaceRow",
    "SoakRow",
    "SpendTotalRow",
    "Table",
    "TurnRow",
    "UtcTime",
    "WeightChangeRow",
    "WeightVoteRow",
]
