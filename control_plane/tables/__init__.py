"""Every table class, imported here so that `Table.metadata` is whole."""

from control_plane.tables.accounts import AccountRow, LinkRow, RoleRow, SessionRow, SignInFailureRow
from control_plane.tables.approvals import ApprovalRow, DecisionRow
from control_plane.tables.audit import AuditEntryRow, AuditHeadRow
from control_plane.tables.base import DEFAULT_TENANT, Table, UtcTime
from control_plane.tables.commands import CommandEntryRow
from control_plane.tables.conversations import ConversationRow, LogEntryRow, TurnRow
from control_plane.tables.fleet import ClusterRow, EnrolmentTokenRow, RunnerRow

__all__ = [
    "DEFAULT_TENANT",
    "AccountRow",
    "ApprovalRow",
    "AuditEntryRow",
    "AuditHeadRow",
    "ClusterRow",
    "CommandEntryRow",
    "ConversationRow",
    "DecisionRow",
    "EnrolmentTokenRow",
    "LinkRow",
    "LogEntryRow",
    "RoleRow",
    "RunnerRow",
    "SessionRow",
    "SignInFailureRow",
    "Table",
    "TurnRow",
    "UtcTime",
]
