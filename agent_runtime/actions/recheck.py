"""Does an approved plan still hold, the moment before it runs? Pure; who people are and the time come in by parameter.

The runner checks the object itself (uid and fields) and the grant; here it is people, time, the plan, the kill
switch and freeze windows.
"""

from collections.abc import Mapping
from datetime import datetime

from control_plane.approvals import Approval
from control_plane.fleet import Cluster
from control_plane.principals import Principal
from protocol.approval import Role, role_at_least


def why_not(approval: Approval, *, people: Mapping[str, Principal | None], cluster: Cluster, now: datetime) -> str:
    """The first reason why it may not run, in words; "" when it may. `people` has the requester and every decider as they
    stand now, None for an account that is disabled or gone."""
    if now >= approval.expires_at:
        return f"the approval expired at {approval.expires_at:%H:%M:%S} UTC"
    if not approval.plan.verify_hash():
        return "the stored plan does not match its hash"
    if approval.plan.body.cluster != approval.cluster:
        return "the plan is for another cluster"
    if approval.plan.cannot_run:
        return f"the plan can't run: {approval.plan.cannot_run}"
    if cluster.kill_switch:
        return f"the kill switch of cluster {cluster.name} is on"
    if approval.freeze is not None and approval.break_glass is None:
        return approval.freeze.words(cluster.name)
    if not _holds(people.get(approval.requester), approval, Role.OPERATOR):
        return f"{approval.requester_name} asked for it and no longer has the role {Role.OPERATOR} there"
    yes = {d.by: d for d in approval.decisions if d.verdict == "approve" and d.plan_hash == approval.plan.plan_hash}
    if approval.break_glass is not None:
        # Who broke it answers for it alone: another's word was one of several, and is not enough by itself.
        yes = {account: d for account, d in yes.items() if account == approval.break_glass.by}
    good = [account for account in yes if _holds(people.get(account), approval, approval.quorum.role)]
    if not approval.quorum.requester_may:
        good = [account for account in good if account != approval.requester]
    if len(good) < approval.quorum.needed:
        lost = ", ".join(d.by_name for account, d in yes.items() if account not in good) or "nobody"
        return (
            f"it needs {approval.quorum.needed} approval(s) by the role {approval.quorum.role} and now has {len(good)}; "
            f"no longer counted: {lost}"
        )
    if cluster.runner is None or not cluster.online:
        return f"the runner of cluster {cluster.name} is offline; propose again when it is back"
    return ""


def _holds(principal: Principal | None, approval: Approval, needed: Role) -> bool:
    role = principal.role_in(approval.cluster, approval.namespace or None) if principal else None
    return role is not None and role_at_least(role, needed)
