"""Jobs and CronJobs: run to completion, retry up to the limit, start by the clock."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sandbox.clock import rfc3339
from sandbox.cluster import Cluster, Key, with_condition
from sandbox.controllers.replicasets import MANAGER, create_pod, finished, owned_pods
from sandbox.controllers.waking import own_and_parts
from sandbox.defaults import fill
from sandbox.deletion import delete_gracefully
from sandbox.errors import ApiError
from sandbox.objects import (
    Obj,
    being_deleted,
    clone,
    condition,
    controller_of,
    is_ready,
    name_of,
    namespace_of,
    number,
    owned_by,
    owner_reference,
    rows,
    sub,
    text,
)
from sandbox.resources import CRON_JOB, JOB, POD
from sandbox.store import Change

JOB_SOURCE, CRON_SOURCE = "job-controller", "cronjob-controller"


class Jobs:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def wake(self, change: Change) -> Iterable[Key]:
        yield from own_and_parts(change, JOB, POD)

    def reconcile(self, key: Key) -> None:
        job = self.cluster.store.get(JOB, *key)
        if job is None or being_deleted(job) or _over(job):
            return
        pods = owned_pods(self.cluster, job)
        succeeded = sum(1 for pod in pods if text(pod, "status", "phase") == "Succeeded")
        failed = sum(1 for pod in pods if text(pod, "status", "phase") == "Failed")
        active = [pod for pod in pods if not finished(pod) and not being_deleted(pod)]
        wanted = number(job, "spec", "completions", default=1)
        conditions = rows(job, "status", "conditions")
        now = self.cluster.clock.now
        status: Obj = {**sub(job, "status")}
        status.setdefault("startTime", rfc3339(now))
        if sub(job, "spec").get("suspend"):
            return
        if succeeded >= wanted:
            conditions = with_condition(
                conditions, now, "Complete", True, "CompletionsReached", "Reached expected number of succeeded pods"
            )
            status["completionTime"] = rfc3339(now)
            self.cluster.event(job, "Completed", "Job completed", component=JOB_SOURCE)
        elif failed > number(job, "spec", "backoffLimit", default=6):
            message = "Job has reached the specified backoff limit"
            conditions = with_condition(conditions, now, "Failed", True, "BackoffLimitExceeded", message)
            self.cluster.event(job, "BackoffLimitExceeded", message, component=JOB_SOURCE, warning=True)
        else:
            room = min(number(job, "spec", "parallelism", default=1), wanted - succeeded) - len(active)
            for _ in range(room):
                try:
                    active.append(create_pod(self.cluster, job, f"{name_of(job)}-{self.cluster.suffix()}", JOB_SOURCE))
                except ApiError:
                    self.cluster.retry(self, key)
                    break
            else:
                self.cluster.forgive(self, key)
        counts = {
            "active": len(active),
            "ready": sum(1 for pod in active if is_ready(pod)),
            "succeeded": succeeded,
            "failed": failed,
        }
        status = {k: v for k, v in status.items() if k not in counts} | {k: v for k, v in counts.items() if v or k == "ready"}
        if conditions:
            status["conditions"] = conditions
        self.cluster.set_status(JOB, job, status, MANAGER)


def _over(job: Obj) -> bool:
    return any(condition(job, kind).get("status") == "True" for kind in ("Complete", "Failed"))


class CronJobs:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._armed: dict[Key, float] = {}

    def wake(self, change: Change) -> Iterable[Key]:
        if change.resource is CRON_JOB and change.type != "DELETED":
            yield namespace_of(change.obj), name_of(change.obj)
        elif change.resource is JOB and controller_of(change.obj).get("kind") == "CronJob":
            yield namespace_of(change.obj), str(controller_of(change.obj)["name"])

    def reconcile(self, key: Key) -> None:
        cron = self.cluster.store.get(CRON_JOB, *key)
        if cron is None or being_deleted(cron):
            return
        jobs = [j for j in self.cluster.store.list(JOB, key[0]) if owned_by(j, cron)]
        self._forget(cron, jobs)
        active = [_reference(job) for job in jobs if not _over(job)]
        status = {k: v for k, v in sub(cron, "status").items() if k != "active"}
        if active:
            status["active"] = active
        succeeded = [text(j, "status", "completionTime") for j in jobs if text(j, "status", "completionTime")]
        if succeeded:
            status["lastSuccessfulTime"] = max(succeeded)
        self.cluster.set_status(CRON_JOB, cron, status, MANAGER)
        self._arm(key, cron)

    def _arm(self, key: Key, cron: Obj) -> None:
        due = next_run(text(cron, "spec", "schedule"), self.cluster.clock.now)
        if due is None or self._armed.get(key) == due:
            return
        self._armed[key] = due
        wait = (due - self.cluster.clock.now) * self.cluster.clock.speed
        self.cluster.clock.after(wait, lambda: self._fire(key, due))

    def _fire(self, key: Key, due: float) -> None:
        cron = self.cluster.store.get(CRON_JOB, *key)
        if cron is None or self._armed.get(key) != due:
            return
        del self._armed[key]
        if not sub(cron, "spec").get("suspend"):
            name = f"{key[1]}-{int(due // 60)}"
            template = clone(sub(cron, "spec", "jobTemplate"))
            job: Obj = {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {
                    **sub(template, "metadata"),
                    "name": name,
                    "namespace": key[0],
                    "ownerReferences": [owner_reference(cron)],
                },
                "spec": sub(template, "spec"),
            }
            fill(self.cluster, JOB, job)
            if self.cluster.store.get(JOB, key[0], name) is None:
                self.cluster.store.create(JOB, job, MANAGER)
            self.cluster.event(cron, "SuccessfulCreate", f"Created job {name}", component=CRON_SOURCE)
            status = {**sub(cron, "status"), "lastScheduleTime": rfc3339(due)}
            self.cluster.set_status(CRON_JOB, cron, status, MANAGER)
        self.cluster.enqueue(self, key)

    def _forget(self, cron: Obj, jobs: list[Obj]) -> None:
        for kind, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
            done = [job for job in jobs if condition(job, kind).get("status") == "True"]
            done.sort(key=lambda job: text(job, "metadata", "creationTimestamp"))
            for job in done[: max(len(done) - number(cron, "spec", field, default=1), 0)]:
                delete_gracefully(self.cluster, JOB, job)


def _reference(job: Obj) -> Obj:
    return {
        "kind": "Job",
        "apiVersion": "batch/v1",
        "namespace": namespace_of(job),
        "name": name_of(job),
        "uid": job["metadata"]["uid"],
    }


_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
}


def next_run(schedule: str, now: float) -> float | None:
    """When a cron schedule is due next (UTC), None if it is not one or not within a year."""
    parts = _MACROS.get(schedule, schedule).split()
    if len(parts) != len(_FIELDS):
        return None
    try:
        minutes, hours, days, months, weekdays = (_values(p, *limits) for p, limits in zip(parts, _FIELDS, strict=True))
    except ValueError:
        return None
    moment = datetime.fromtimestamp(now, UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for day in range(367):
        date = moment + timedelta(days=day)
        weekday = (date.weekday() + 1) % 7
        if date.month not in months or date.day not in days or weekday not in weekdays:
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                due = date.replace(hour=hour, minute=minute)
                if due >= moment:
                    return due.timestamp()
    return None


def _values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            start, _, end = span.partition("-")
            first, last = int(start), int(end or start)
            if step and not end:
                last = high
        found |= set(range(first, last + 1, int(step or 1)))
    return found
