"""Who else looks after an object and would revert a change. Pure, but for what the caller reads: autoscalers."""

from collections.abc import Sequence

from knowledge.diagnosis.fields import Obj, rows, sub
from protocol.remediation import Owner, Remediation
from runner.kube.resources import BUILT_IN

_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_ARGO_INSTANCE = "argocd.argoproj.io/instance"
_FLUX = ("kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io")
_HELM_RELEASE = "meta.helm.sh/release-name"


def owner_of(action: Remediation, obj: Obj | None, *, hpas: Sequence[Obj], vpas: Sequence[Obj], git_patch: str | None) -> Owner:
    """The strongest owner: one that reverts at once comes before one that reverts some day. Its patch for Git comes along."""
    if obj is None:
        return Owner()
    metadata = sub(obj, "metadata")
    labels, annotations = sub(metadata, "labels"), sub(metadata, "annotations")
    return (
        _autoscaler(action, hpas, vpas)
        or _argo(labels, annotations, git_patch)
        or _flux(labels, git_patch)
        or _controller(obj, metadata)
        or _helm(labels, annotations, git_patch)
        or Owner()
    )


def targets(autoscaler: Obj, kind: str, name: str) -> bool:
    spec = sub(autoscaler, "spec")
    ref = spec.get("scaleTargetRef") or sub(spec, "targetRef")
    return ref.get("kind") == kind and ref.get("name") == name


def _autoscaler(action: Remediation, hpas: Sequence[Obj], vpas: Sequence[Obj]) -> Owner | None:
    kind, name = action.target.kind, action.target.name
    if action.type == "scale":
        for hpa in hpas:
            if targets(hpa, kind, name):
                who = hpa["metadata"]["name"]
                detail = f"HorizontalPodAutoscaler {who} sets the replicas again within a minute; adjust its bounds"
                return Owner(kind="hpa", name=who, detail=detail, reverts=True)
    if action.type == "set_resources":
        for vpa in vpas:
            mode = str(sub(vpa, "spec").get("updatePolicy", {}).get("updateMode", "Auto"))
            if targets(vpa, kind, name) and mode != "Off":
                who = vpa["metadata"]["name"]
                return Owner(
                    kind="vpa",
                    name=who,
                    detail=f"VerticalPodAutoscaler {who} ({mode}) sets resources of new pods",
                    reverts=True,
                )
    return None


def _argo(labels: Obj, annotations: Obj, git_patch: str | None) -> Owner | None:
    tracking = str(annotations.get(_ARGO_TRACKING) or "")
    name = tracking.split(":", 1)[0] or str(labels.get(_ARGO_INSTANCE) or "")
    if not name:
        return None
    detail = f"Argo CD application {name} reverts it at its next sync, at once with self-heal; commit the patch there"
    return Owner(kind="argocd", name=name, detail=detail, reverts=True, git_patch=git_patch)


def _flux(labels: Obj, git_patch: str | None) -> Owner | None:
    for prefix in _FLUX:
        name = labels.get(f"{prefix}/name")
        if name:
            what = "HelmRelease" if prefix.startswith("helm") else "Kustomization"
            namespace = labels.get(f"{prefix}/namespace", "")
            detail = (
                f"Flux {what} {namespace}/{name} reverts it at its next reconciliation; commit the patch where it reads from"
            )
            return Owner(kind="flux", name=str(name), detail=detail, reverts=True, git_patch=git_patch)
    return None


def _controller(obj: Obj, metadata: Obj) -> Owner | None:
    """Pods of a ReplicaSet are meant to have a controller; a workload that has one belongs to somebody else's loop."""
    if obj.get("kind") == "Pod":
        return None
    for row in rows(metadata, "ownerReferences"):
        if row.get("controller"):
            who = f"{row.get('kind')}/{row.get('name')}"
            hint = "change that instead" if row.get("kind") in BUILT_IN else "change its custom resource instead"
            return Owner(
                kind="operator", name=who, detail=f"it is controlled by {who}, which reverts the change; {hint}", reverts=True
            )
    return None


def _helm(labels: Obj, annotations: Obj, git_patch: str | None) -> Owner | None:
    release = annotations.get(_HELM_RELEASE)
    if not release or labels.get("app.kubernetes.io/managed-by") != "Helm":
        return None
    detail = f"it belongs to Helm release {release}: the change stays until the next upgrade; put it into the values too"
    return Owner(kind="helm", name=str(release), detail=detail, reverts=False, git_patch=git_patch)
