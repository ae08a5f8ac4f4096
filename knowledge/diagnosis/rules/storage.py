"""Claims that are not bound, volumes that cannot be mounted."""

from collections.abc import Iterator
from datetime import timedelta

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, rows, text
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_event, quote_field
from knowledge.diagnosis.pods import age
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.scope import consumers
from knowledge.diagnosis.view import Key

_WAITS_FOR_POD = ("WaitForFirstConsumer", "WaitForPodScheduled")


@rule("PersistentVolumeClaim")
def claim_not_bound(context: Context, key: Key, claim: Obj) -> Iterator[Hit]:
    """Pending or Lost. A claim that only waits for its first consumer, with no pod that wants it, is normal."""
    phase = text(claim, "status", "phase")
    if phase not in ("Pending", "Lost") or age(context.view, claim) < timedelta(seconds=60):
        return
    events = context.view.events(key)
    failed = next(
        (event for event in events if event.reason in ("ProvisioningFailed", "FailedBinding", "ExternalProvisioning")), None
    )
    if failed is None and any(event.reason in _WAITS_FOR_POD for event in events):
        return
    users = list(consumers(context.view, key))
    storage = text(claim, "spec", "storageClassName")
    facts: dict[str, Fact] = {"storage_class": storage, "size": text(claim, "spec", "resources", "requests", "storage")}
    evidence: list[Quote] = [quote_field(key, "status.phase", phase)]
    if failed is not None:
        evidence.append(quote_event(key, failed))
    if storage and context.view.knows("StorageClass") and not context.view.has("StorageClass", "", storage):
        evidence.append(quote_field(key, "spec.storageClassName", storage))
        classes = sorted(found.name for found in context.view.of_kind("StorageClass"))
        yield Hit(
            code="storage-class-missing",
            object=key,
            explanation=(
                f"Claim {key.name} names StorageClass {storage}, which does not exist; there are: {', '.join(classes)}."
            ),
            evidence=tuple(evidence),
            confidence=0.93,
            facts=facts | {"classes": ",".join(classes)},
            affected=tuple(users),
        )
        return
    yield Hit(
        code="pvc-pending",
        object=key,
        explanation=f"Claim {key.name} is {phase}" + (f": {failed.message}" if failed else "; nothing says why."),
        evidence=tuple(evidence),
        confidence=0.8 if failed else 0.6,
        facts=facts,
        since=failed.first if failed else None,
        affected=tuple(users),
    )


@rule("Pod")
def claim_missing(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """A pod that waits for a claim that is not there."""
    if text(pod, "status", "phase") != "Pending" or not context.view.knows("PersistentVolumeClaim"):
        said = [event for event in context.view.events(key, "FailedScheduling") if "persistentvolumeclaim" in event.message]
        if not said or text(pod, "status", "phase") != "Pending":
            return
    for volume in rows(pod, "spec", "volumes"):
        name = text(volume, "persistentVolumeClaim", "claimName")
        if name and not context.view.has("PersistentVolumeClaim", key.namespace, name):
            workload = context.view.workload(key)
            told = [e for e in context.view.events(key, "FailedScheduling", "FailedMount") if name in e.message][:1]
            yield Hit(
                code="pvc-missing",
                object=Key("PersistentVolumeClaim", key.namespace, name),
                explanation=f"{workload.kind} {workload.name} uses claim {name}, which does not exist.",
                evidence=(
                    quote_field(key, "spec.volumes[*].persistentVolumeClaim.claimName", name),
                    *(quote_event(key, e) for e in told),
                ),
                confidence=0.9,
                facts={"workload": str(workload), "name": name},
                affected=(key,),
            )


@rule("Pod")
def volume_mount_failed(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """FailedMount or FailedAttachVolume, fresh, while the pod waits. Missing ConfigMaps and Secrets have their own rule."""
    if text(pod, "status", "phase") != "Pending":
        return
    for event in context.view.events(key, "FailedMount", "FailedAttachVolume", "FailedMapVolume"):
        if event.at is None or context.now - event.at > timedelta(minutes=15):
            continue
        if "configmap" in event.message or "secret" in event.message or "non-existent" in event.message:
            continue
        workload = context.view.workload(key)
        yield Hit(
            code="volume-mount-failed",
            object=workload,
            explanation=f"A volume of {workload.kind} {workload.name} cannot be mounted: {event.message}",
            evidence=(quote_event(key, event),),
            confidence=0.75,
            facts={"node": text(pod, "spec", "nodeName"), "reason": event.reason},
            since=event.first,
            affected=(key,),
        )
        return
