"""Does an approved plan still hold, the moment before it runs? Pure; who people are and the time come in by parameter.

The runner checks the object itself (uid and fields) and the grant; here it is people, time, the plan, the kill
switch and freeze windows, and whether what it should heal is still failing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from control_plane.approvals import Approval
from control_plane.fleet import Cluster
from control_plane.principals import Principal
from protocol.approval import Role, role_at_least
from protocol.diagnosis import Diagnosis
from protocol.events import DiagnosisMade, LogEntry
from protocol.objects import ObjectRef

CALM = timedelta(minutes=3)
"""So long without an end of a container, a lost readiness or a warning, and it is no pause between two crashes: kubelet waits
160 s after the fifth of them. Of more than that the diagnosis itself remembers the ends, for ten minutes and longer."""


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


def to_heal(approval: Approval, entries: Sequence[LogEntry]) -> tuple[ObjectRef, ...]:
    """What the plan should heal: the object of the root cause of its turn that it is meant for, and what it changes. Nothing
    for what a person asked for without one: that runs because they say so."""
    if not approval.case_code:
        return ()
    made = [entry.event.diagnosis for entry in entries if isinstance(entry.event, DiagnosisMade)]
    causes = [cause.object for found in made for cause in found.root_causes if cause.code == approval.case_code]
    return tuple(dict.fromkeys((causes[-1], approval.plan.body.action.target))) if causes else ()


def healed(about: ObjectRef, found: Diagnosis | None, *, proposed_at: datetime, now: datetime, calm: timedelta = CALM) -> str:
    """That there is nothing left to heal, in words; "" when there may be. `found` is a fresh look at `about`, None when it got
    no answer.

    Only what is healthy, became so after it was proposed, and has stayed so for `calm`. What was just as steady when it was
    proposed shows its trouble elsewhere, or somebody asks for the change although it is well: both run.
    """
    if found is None or not found.healthy or found.root_causes or found.symptoms or found.steady_since is None:
        return ""
    if str(about) not in found.checked:
        return ""  # it was taken for something of a like name
    if found.steady_since <= proposed_at or now - found.steady_since < calm:
        return ""
    return (
        f"{about} became healthy without it: no restart and no warning since {found.steady_since:%H:%M:%S} UTC, looked at "
        f"{now:%H:%M:%S} UTC; nothing was changed, propose again if it comes back"
    )


def _holds(principal: Principal | None, approval: Approval, needed: Role) -> bool:
    role = principal.role_in(approval.cluster, approval.namespace or None) if principal else None
    return role is not None and role_at_least(role, needed)
