"""What a person's roles reach: as a condition that the database filters by, and what of a cluster is shown to them.

The condition keeps lists from walking past what others may see. `readers.may_read` and `Principal.role_in` still have the
last word about each row.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, false, or_, true
from sqlalchemy.orm import InstrumentedAttribute

from control_plane.principals import Principal
from protocol.bus import ClusterSummary, RunnerMode
from protocol.commands import ScopeLimit

WHOLE_CLUSTER = ""
"""In a column of namespaces: the row is about the whole cluster, which only a grant over all namespaces reaches."""
UNKNOWN = "-"
"""No namespace: the row was written by the release before, and only its scope tells."""


def reaches(
    principal: Principal, cluster: InstrumentedAttribute[str], namespace: InstrumentedAttribute[str]
) -> ColumnElement[bool]:
    """Rows of clusters and namespaces that one of the principal's grants covers."""
    grants: list[ColumnElement[bool]] = []
    for grant in principal.roles:
        limits: list[ColumnElement[bool]] = [true()]
        if "*" not in grant.clusters:
            limits.append(cluster.in_(grant.clusters))
        if "*" not in grant.namespaces:
            limits.append(namespace.in_([UNKNOWN, *(name for name in grant.namespaces if name != WHOLE_CLUSTER)]))
        grants.append(and_(*limits))
    return or_(false(), *grants)


def first_namespace(scope: ScopeLimit) -> str:
    """For the column: whoever reads all of a scope reads the first namespace of it."""
    return WHOLE_CLUSTER if scope.namespaces is None else min(scope.namespaces, default=UNKNOWN)


def summary_within(summary: ClusterSummary, scope: ScopeLimit) -> ClusterSummary:
    """Without what tells of other namespaces: counts over the whole cluster, their names, addresses of services there."""
    if scope.namespaces is None:
        return summary
    return ClusterSummary(
        namespaces=tuple(name for name in summary.namespaces if name in scope.namespaces),
        metrics_api=summary.metrics_api,
        prometheus=summary.prometheus,
        cache=summary.cache,
    )


def mode_within(mode: RunnerMode, scope: ScopeLimit) -> RunnerMode:
    """Where the runner may write, as far as the reader knows of these namespaces."""
    seen = scope.namespaces
    if seen is None:
        return mode
    shown: dict[str, Any] = {"secrets_opt_in": tuple(name for name in mode.secrets_opt_in if name in seen)}
    if mode.namespaces is not None:
        shown["namespaces"] = tuple(name for name in mode.namespaces if name in seen)
    return mode.model_copy(update=shown)
