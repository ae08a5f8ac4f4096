"""Controllers: pods that are not made, roll-outs that fail, too few ready, Jobs that gave up, autoscalers that cannot work."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, number, rows, sub, text, time_at
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_change, quote_event, quote_field, quote_part
from knowledge.diagnosis.pods import RECENT, is_ready
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

GRACE = timedelta(seconds=90)
"""A roll-out or a restart this young is normal life."""

_QUOTA = re.compile(r"exceeded quota: ([\w.-]{1,253}), requested: ([^;]{1,200}?), used: ([^;]{1,200}?), limited: (.{1,200})")
_ACCOUNT = re.compile(r"serviceaccount \"([\w.-]{1,253})\" not found", re.IGNORECASE)


@rule("ReplicaSet", "StatefulSet", "DaemonSet", "Job")
def pods_not_created(context: Context, key: Key, obj: Obj) -> Iterator[Hit]:
    """FailedCreate, while pods are still missing: quota, service account, admission."""
    wanted = number(
        obj, "spec", "replicas", default=1 if key.kind == "Job" else number(obj, "status", "desiredNumberScheduled")
    )
    if not wanted or number(obj, "status", "replicas", default=number(obj, "status", "active")) >= wanted:
        return
    if key.kind == "Job" and (number(obj, "status", "succeeded") or number(obj, "status", "active")):
        return
    quote = _refusal(context, key, obj)
    if quote is None:
        return
    workload = context.view.workload(key)
    message, facts = quote.excerpt, dict[str, Fact]({"workload": str(workload)})
    quota, account = _QUOTA.search(message), _ACCOUNT.search(message)
    if quota:
        name = Key("ResourceQuota", key.namespace, quota[1])
        facts |= {"quota": quota[1], "requested": quota[2], "used": quota[3], "limited": quota[4].strip()[:120]}
        fits = number(context.view.get(workload) or {}, "status", "replicas")
        if fits and workload.kind in ("Deployment", "StatefulSet"):
            facts |= {"fits": fits, "wanted": number(context.view.get(workload) or {}, "spec", "replicas")}
        code, target, said = (
            "quota-exceeded",
            name,
            f"ResourceQuota {quota[1]} refuses the pods of {workload.kind} {workload.name}: ",
        )
        said += f"requested {quota[2]}, used {quota[3]}, limited {facts['limited']}."
    elif account:
        facts["name"] = account[1]
        code, target = "service-account-missing", Key("ServiceAccount", key.namespace, account[1])
        said = f"{workload.kind} {workload.name} names ServiceAccount {account[1]}, which does not exist."
    else:
        code, target, said = "pods-not-created", workload, f"The pods of {workload.kind} {workload.name} are refused: {message}"
    yield Hit(
        code=code,
        object=target,
        explanation=said,
        evidence=(quote,),
        confidence=0.9 if code != "pods-not-created" else 0.75,
        facts=facts,
        since=quote.at,
        affected=(workload,),
    )


def _refusal(context: Context, key: Key, obj: Obj) -> Quote | None:
    for n, row in enumerate(rows(obj, "status", "conditions")):
        if row.get("type") == "ReplicaFailure" and row.get("status") == "True":
            return quote_field(key, f"status.conditions[{n}].message", text(row, "message"), time_at(row, "lastTransitionTime"))
    for event in context.view.events(key, "FailedCreate", "ReplicaSetCreateError"):
        if event.at is not None and context.now - event.at <= RECENT:
            return quote_event(key, event)
    return None


@rule("Deployment")
def bad_rollout(context: Context, key: Key, deployment: Obj) -> Iterator[Hit]:
    """The newest revision is recent, its pods fail, and the one before worked. Better reasons explain it."""
    newest, before = context.newest_revision(key), context.revision_before(key)
    if newest is None or before is None or not number(deployment, "spec", "replicas", default=1):
        return
    pods = [pod for pod in context.view.pods_of(newest[1]) if context.troubled(pod)]
    changed = [
        change for change in context.changes(key) if change.source == "revision" and change.path.startswith("spec.template")
    ]
    started = max((change.at for change in changed if change.at), default=None)
    if not pods or not changed or started is None or context.now - started > timedelta(days=2):
        return
    if not any(_fails(context, pod, started) for pod in pods):
        return
    by = next((change.by for change in changed if change.by), None)
    yield Hit(
        code="bad-rollout",
        object=key,
        explanation=f"Revision {newest[0]} of Deployment {key.name} fails since {started:%Y-%m-%d %H:%M} UTC"
        + (f" (changed by {by})" if by else "")
        + f"; it changed {', '.join(change.path.removeprefix('spec.template.spec.') for change in changed[:3])}.",
        evidence=(
            *(quote_change(change, key) for change in changed[:3]),
            quote_field(newest[1], "metadata.annotations[deployment.kubernetes.io/revision]", str(newest[0])),
        ),
        confidence=0.72,
        facts={"revision": before[0], "current_revision": newest[0], "changed": changed[0].path},
        since=started,
        affected=tuple(pods),
    )


def _fails(context: Context, pod: Key, started: datetime) -> bool:
    """Has the pod had time, and crashed, hung unready or not pulled?"""
    return any(
        container.ended_recently(context.now) or (not container.ready and context.now - started > GRACE)
        for container in context.containers(pod)
        if not (container.init and container.ready)
    )


@rule("Deployment", "StatefulSet", "DaemonSet")
def workload_unavailable(context: Context, key: Key, obj: Obj) -> Iterator[Hit]:
    """Fewer ready than wanted, for longer than a normal roll-out takes. Scaled to zero is a wish, not a fault."""
    daemon = key.kind == "DaemonSet"
    wanted = number(obj, "status", "desiredNumberScheduled") if daemon else number(obj, "spec", "replicas", default=1)
    ready = number(obj, "status", "numberReady" if daemon else "readyReplicas")
    pods = context.view.pods_of(key)
    if pods and not daemon:
        ready = (
            min(wanted, max(ready, context.ready_pods(pods)))
            if "readyReplicas" in sub(obj, "status")
            else context.ready_pods(pods)
        )
    if not wanted or ready >= wanted:
        return
    waiting = [pod for pod in pods if not is_ready(context.view.get(pod) or {})]
    young = [
        pod
        for pod in waiting
        if context.now - (time_at(context.view.get(pod) or {}, "metadata", "creationTimestamp") or context.now) < GRACE
    ]
    late = any(row.get("type") == "Progressing" and row.get("status") == "False" for row in rows(obj, "status", "conditions"))
    if waiting and len(young) == len(waiting) and not late:
        return
    counts = ("desiredNumberScheduled", "numberReady", "replicas", "readyReplicas", "availableReplicas", "unavailableReplicas")
    evidence: list[Quote] = [quote_part(key, "status", sub(obj, "status"), *counts)]
    for n, row in enumerate(rows(obj, "status", "conditions")):
        if (row.get("type"), row.get("status")) in (("Progressing", "False"), ("Available", "False")):
            evidence.append(
                quote_part(
                    key,
                    f"status.conditions[{n}]",
                    row,
                    "type",
                    "status",
                    "reason",
                    "message",
                    at=time_at(row, "lastTransitionTime"),
                )
            )
    yield Hit(
        code="workload-unavailable",
        object=key,
        explanation=f"{key.kind} {key.name} has {ready} of {wanted} pods ready.",
        evidence=tuple(evidence),
        confidence=0.6,
        facts={"ready": ready, "wanted": wanted},
        affected=tuple(waiting),
    )


@rule("Deployment", "StatefulSet")
def scaled_to_zero(_context: Context, key: Key, obj: Obj) -> Iterator[Hit]:
    """No replicas are wanted. Only a cause when somebody who needs it fails."""
    if sub(obj, "spec").get("replicas") != 0:
        return
    yield Hit(
        code="scaled-to-zero",
        object=key,
        explanation=f"{key.kind} {key.name} is scaled to zero.",
        evidence=(quote_field(key, "spec.replicas", 0),),
        confidence=0.85,
        facts={"replicas": 0},
        supporting=True,
    )


@rule("Job")
def job_failed(context: Context, key: Key, job: Obj) -> Iterator[Hit]:
    """Condition Failed, within a day. A newer success of the same CronJob makes it history."""
    for n, row in enumerate(rows(job, "status", "conditions")):
        at = time_at(row, "lastTransitionTime")
        if row.get("type") != "Failed" or row.get("status") != "True" or (at and context.now - at > timedelta(days=1)):
            continue
        if _succeeded_since(context, key, at):
            return
        yield Hit(
            code="job-failed",
            object=context.view.workload(key),
            explanation=f"Job {key.name} failed: {text(row, 'message') or text(row, 'reason')}",
            evidence=(quote_part(key, f"status.conditions[{n}]", row, "type", "reason", "message", at=at),),
            confidence=0.6,
            facts={"reason": text(row, "reason"), "job": key.name},
            since=at,
            affected=context.view.pods_of(key),
        )


def _succeeded_since(context: Context, key: Key, at: datetime | None) -> bool:
    owner = context.view.owner(key)
    if owner is None or at is None:
        return False
    done = [time_at(context.view.get(job) or {}, "status", "completionTime") for job in context.view.owned(owner, "Job")]
    return any(moment and moment > at for moment in done)


@rule("HorizontalPodAutoscaler")
def hpa_cannot_scale(_context: Context, key: Key, hpa: Obj) -> Iterator[Hit]:
    """AbleToScale or ScalingActive is False. ScalingDisabled (target scaled to zero) is a wish."""
    for n, row in enumerate(rows(hpa, "status", "conditions")):
        if (
            row.get("type") in ("AbleToScale", "ScalingActive")
            and row.get("status") == "False"
            and text(row, "reason") != "ScalingDisabled"
        ):
            yield Hit(
                code="hpa-cannot-scale",
                object=key,
                explanation=f"HorizontalPodAutoscaler {key.name} cannot scale: {text(row, 'message')}",
                evidence=(quote_part(key, f"status.conditions[{n}]", row, "type", "status", "reason", "message"),),
                confidence=0.8,
                facts={"reason": text(row, "reason"), "target": text(hpa, "spec", "scaleTargetRef", "name")},
                since=time_at(row, "lastTransitionTime"),
            )
            return
