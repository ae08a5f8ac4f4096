"""HorizontalPodAutoscalers (autoscaling/v2) on CPU and memory utilisation: looked at every 15 s while the cluster lives.

The size is ceil(size × used ÷ wanted), left alone within 10 %; up at most to the double or by four in one look, down
only when no look of the last five minutes wanted more. Metrics come from what metrics-server would say.
"""

import math
from collections.abc import Iterable

from sandbox import quantity
from sandbox.clock import rfc3339
from sandbox.cluster import Cluster, Key, with_condition
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, clone, name_of, namespace_of, number, rows, sub, text
from sandbox.resources import AUTOSCALER, BY_KIND
from sandbox.runtime import Trace
from sandbox.selectors import matches
from sandbox.store import Change

MANAGER = "kube-controller-manager"
SOURCE = "horizontal-pod-autoscaler"
LOOK_EVERY = 15.0
_TOLERANCE, _CALM = 0.1, 300.0
_FOUND = "the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)"


class Autoscalers:
    """`metrics` is False while metrics-server is away."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet) -> None:
        self.cluster, self.kubelet = cluster, kubelet
        self.metrics = True
        self._wished: dict[Key, list[tuple[float, int]]] = {}

    def wake(self, change: Change) -> Iterable[Key]:
        if (
            change.resource is AUTOSCALER
            and change.type != "DELETED"
            and (change.old is None or change.old.get("spec") != change.obj.get("spec"))
        ):
            yield namespace_of(change.obj), name_of(change.obj)

    def keep_looking(self) -> None:
        """Look at every autoscaler now and every 15 s from now on."""
        self.kubelet.share_loads(LOOK_EVERY)
        for scaler in self.cluster.store.list(AUTOSCALER):
            self.cluster.enqueue(self, (namespace_of(scaler), name_of(scaler)))
        self.cluster.clock.after(LOOK_EVERY, self.keep_looking)

    def reconcile(self, key: Key) -> None:
        scaler = self.cluster.store.get(AUTOSCALER, *key)
        if scaler is None:
            return
        ref = sub(scaler, "spec", "scaleTargetRef")
        resource = BY_KIND.get(text(ref, "kind"))
        target = self.cluster.store.get(resource, key[0], text(ref, "name")) if resource else None
        if resource is None or target is None:
            why = f"the HPA controller was unable to get the target's current scale: {text(ref, 'name')} not found"
            self._report(scaler, {}, [("AbleToScale", False, "FailedGetScale", why)])
            return
        size = number(target, "spec", "replicas", default=1)
        if size == 0:
            why = "scaling is disabled since the replica count of the target is zero"
            self._report(scaler, {}, [("ScalingActive", False, "ScalingDisabled", why)])
            return
        self._scale(key, scaler, target, size)

    def _scale(self, key: Key, scaler: Obj, target: Obj, size: int) -> None:
        used = [(row, self._used(target, row)) for row in rows(scaler, "spec", "metrics")]
        low, high = number(scaler, "spec", "minReplicas", default=1), number(scaler, "spec", "maxReplicas", default=1)
        counts: Obj = {"currentReplicas": number(target, "status", "replicas")}
        wishes = [_wish(size, percent, row) for row, percent in used if percent is not None]
        wish = self._calmed(key, max(wishes)) if wishes else size
        wanted = min(max(wish, low), high)
        if wanted > size:
            wanted = min(wanted, max(size * 2, size + 4))
        if wanted != size:
            self._resize(scaler, target, size, wanted, wish, (low, high))
            counts["lastScaleTime"] = rfc3339(self.cluster.clock.now)
        conditions = [("AbleToScale", True, "ReadyForNewScale", "recommended size matches current size")]
        if wishes or not used:
            conditions.append(("ScalingActive", True, "ValidMetricFound", _FOUND))
        else:
            said = f"the HPA was unable to compute the replica count: failed to get cpu utilization: {self._no_metrics(target)}"
            conditions.append(("ScalingActive", False, "FailedGetResourceMetric", said))
            self.cluster.event(scaler, "FailedGetResourceMetric", said, component=SOURCE, warning=True)
        conditions.append(_limited(wish, low, high))
        counts |= {"desiredReplicas": wanted, "currentMetrics": [_current(row, percent) for row, percent in used if percent]}
        self._report(scaler, counts, conditions)

    def _resize(self, scaler: Obj, target: Obj, size: int, wanted: int, wish: int, bounds: tuple[int, int]) -> None:
        resource = BY_KIND[text(scaler, "spec", "scaleTargetRef", "kind")]
        scaled = clone(target)
        scaled["spec"]["replicas"] = wanted
        self.cluster.store.update(resource, scaled, MANAGER)
        why = "cpu resource utilization (percentage of request) above target" if wanted > size else "All metrics below target"
        if size < bounds[0]:
            why = "Current number of replicas below Spec.MinReplicas"
        elif size > bounds[1] >= wish:
            why = "Current number of replicas above Spec.MaxReplicas"
        self.cluster.event(scaler, "SuccessfulRescale", f"New size: {wanted}; reason: {why}", component=SOURCE)

    def _calmed(self, key: Key, wish: int) -> int:
        """The highest wish of the last five minutes: no autoscaler goes down in haste."""
        now = self.cluster.clock.now
        since = now - _CALM / self.cluster.clock.speed
        kept = [(at, size) for at, size in self._wished.get(key, []) if at > since] + [(now, wish)]
        self._wished[key] = kept
        return max(size for _, size in kept)

    def _report(self, scaler: Obj, counts: Obj, said: list[tuple[str, bool, str, str]]) -> None:
        conditions = rows(scaler, "status", "conditions")
        for kind, holds, reason, message in said:
            conditions = with_condition(conditions, self.cluster.clock.now, kind, holds, reason, message)
        last = {k: v for k, v in sub(scaler, "status").items() if k == "lastScaleTime"}
        base = {"currentReplicas": 0, "desiredReplicas": 0}
        self.cluster.set_status(AUTOSCALER, scaler, {**last, **base, **counts, "conditions": conditions}, MANAGER)

    def _used(self, target: Obj, metric: Obj) -> int | None:
        """Mean utilisation in percent of the request; None when it can't be told."""
        what = text(metric, "resource", "name")
        if not self.metrics or what not in ("cpu", "memory"):
            return None
        now = self.cluster.clock.now
        shares: list[float] = []
        for trace in self._traces(target):
            asked = quantity.value(sub(trace.resources, "requests").get(what))
            spent = trace.cpu(now) if what == "cpu" else trace.memory(now)
            if asked and spent is not None:
                shares.append(100 * spent / asked)
        return round(sum(shares) / len(shares)) if shares else None

    def _traces(self, target: Obj) -> list[Trace]:
        selector, space = sub(target, "spec", "selector"), namespace_of(target)
        return [t for t in self.kubelet.traces if t.gone is None and t.namespace == space and matches(selector, t.labels)]

    def _no_metrics(self, target: Obj) -> str:
        if not self.metrics:
            return (
                "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could "
                "not find the requested resource (get pods.metrics.k8s.io)"
            )
        pods = sorted({trace.pod for trace in self._traces(target)})
        return (
            f"missing request for cpu in container of Pod {pods[0]}"
            if pods
            else "no metrics returned from resource metrics API"
        )


def _limited(wish: int, low: int, high: int) -> tuple[str, bool, str, str]:
    if wish < low:
        return "ScalingLimited", True, "TooFewReplicas", "the desired replica count is less than the minimum replica count"
    if wish > high:
        return "ScalingLimited", True, "TooManyReplicas", "the desired replica count is more than the maximum replica count"
    return "ScalingLimited", False, "DesiredWithinRange", "the desired count is within the acceptable range"


def _wish(size: int, percent: int, metric: Obj) -> int:
    wanted = number(metric, "resource", "target", "averageUtilization", default=80)
    ratio = percent / max(wanted, 1)
    return size if abs(ratio - 1) <= _TOLERANCE else math.ceil(size * ratio)


def _current(metric: Obj, percent: int) -> Obj:
    name = text(metric, "resource", "name")
    return {"type": "Resource", "resource": {"name": name, "current": {"averageUtilization": percent}}}
