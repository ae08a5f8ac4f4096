"""Every type of remediation by its name."""

from protocol.remediation import Remediation
from runner.remediation.others import OTHER_ROWS
from runner.remediation.types import Row
from runner.remediation.workloads import WORKLOAD_ROWS

ROWS: dict[str, Row] = {**WORKLOAD_ROWS, **OTHER_ROWS}


def row_of(action: Remediation) -> Row:
    return ROWS[action.type]
