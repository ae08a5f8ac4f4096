"""Who else looks after an object and would take a change back: GitOps tools, Helm, autoscalers, operators. Pure: what there is
to read around the object is read by `surroundings`.

A tool takes back what its manifest sets. What it leaves out it leaves alone, and a tool whose own object says that it does
not correct drift takes a change back only with its next release. What can't be read counts as taken back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowledge.diagnosis.fields import rows, sub
from protocol.remediation import Owner, Remediation, ScaleWorkload
from runner.kube.resources import BUILT_IN
from runner.remediation.fieldsets import OF_KUBERNETES, applied_with_kubectl, sets_what_changes, writers_of_what_changes
from runner.remediation.git_patch import chart_of, git_patch, values_hint
from runner.remediation.types import Obj

_ARGO_TRACKING = "argocd.argoproj.io/tracking-id"
_ARGO_INSTANCE = "argocd.argoproj.io/instance"
_APP_INSTANCE = "app.kubernetes.io/instance"
_ARGO_MANAGERS = ("argocd-controller", "argocd-application-controller")
_KUSTOMIZE, _HELM_TOOLKIT = "kustomize.toolkit.fluxcd.io", "helm.toolkit.fluxcd.io"
_FLUX_MANAGERS = {_KUSTOMIZE: ("kustomize-controller", "gotk-kustomize-controller"), _HELM_TOOLKIT: ("helm-controller",)}
_HELM_RELEASE, _HELM_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"
_HELM_MANAGERS = ("helm",)
_NOBODYS = frozenset({"Pod", "Node"})
"""A pod's labels are its template's, and whoever made it makes another one; nodes come from no manifest."""
_FOR_GIT_TOO = frozenset({"argocd", "flux", "helm"})


@dataclass(frozen=True, slots=True)
class Keeper:
    """The object of a GitOps tool that an object belongs to, by what it says of itself."""

    kind: str
    """Application, Kustomization, HelmRelease, or Release for Helm's own command."""
    name: str
    namespace: str = ""
    """"" where the object does not say it (Argo CD)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was read around an object."""

    above: tuple[Obj, ...] = ()
    """Its controllers, nearest first. One that could not be read has its kind, apiVersion and name all the same."""
    hpas: Sequence[Obj] = ()
    vpas: Sequence[Obj] = ()
    keepers: Mapping[Keeper, Obj] = field(default_factory=dict[Keeper, Obj])
    """The keepers that could be read, as objects."""
    users: Sequence[Obj] = ()
    """Workloads that use an object that is not there yet."""


@dataclass(frozen=True, slots=True)
class _Change:
    action: Remediation
    before: Obj
    after: Obj | None
    around: Surroundings

    def sets(self, managers: Sequence[str]) -> bool | None:
        return sets_what_changes(self.before, self.after, managers) if self.after is not None else None


def owner_of(action: Remediation, before: Obj | None, after: Obj | None, around: Surroundings) -> Owner:
    """The strongest owner: one that takes the change back at once comes before one that does it some day."""
    if before is None:
        return _of_a_new_one(action, after, around)
    if action.target.kind in _NOBODYS:
        return Owner()
    change = _Change(action, before, after, around)
    found = _autoscaler(change) or _controller(change) or _keeper(change) or _unnamed(change)
    if found is None:
        return Owner()
    if found.kind in _FOR_GIT_TOO or (found.kind == "none" and found.detail):
        return found.model_copy(
            update={"git_patch": git_patch(action, before, after), "values_hint": _hint(found, action, before, after)}
        )
    return found


def keeper_of(obj: Obj) -> Keeper | None:
    """Whose the object is, by its labels, annotations and managedFields. Argo CD before Flux before Helm: the first two may
    install Helm charts."""
    metadata = sub(obj, "metadata")
    labels, annotations = sub(metadata, "labels"), sub(metadata, "annotations")
    managers = {str(row.get("manager")) for row in rows(metadata, "managedFields")}
    argo = _argo_name(obj, labels, annotations, by_argo=bool(managers.intersection(_ARGO_MANAGERS)))
    if argo:
        space, underscore, name = argo.partition("_")
        # Applications outside of Argo CD's own namespace are tracked as <namespace>_<name>.
        return Keeper("Application", name, space) if underscore else Keeper("Application", argo)
    for group, kind in ((_KUSTOMIZE, "Kustomization"), (_HELM_TOOLKIT, "HelmRelease")):
        if labels.get(f"{group}/name"):
            return Keeper(kind, str(labels[f"{group}/name"]), str(labels.get(f"{group}/namespace") or ""))
    if annotations.get(_HELM_RELEASE) and labels.get("app.kubernetes.io/managed-by") == "Helm":
        return Keeper("Release", str(annotations[_HELM_RELEASE]), str(annotations.get(_HELM_NAMESPACE) or ""))
    return None


def keeper_words(keeper: Keeper) -> str:
    """`Argo CD application shop`: for people."""
    place = f"{keeper.namespace}/{keeper.name}" if keeper.namespace else keeper.name
    return {
        "Application": f"Argo CD application {place}",
        "Kustomization": f"Flux Kustomization {place}",
        "HelmRelease": f"Flux HelmRelease {place}",
        "Release": f"Helm release {keeper.name}",
    }[keeper.kind]


def targets(autoscaler: Obj, kind: str, name: str) -> bool:
    spec = sub(autoscaler, "spec")
    ref = spec.get("scaleTargetRef") or sub(spec, "targetRef")
    return ref.get("kind") == kind and ref.get("name") == name


def _argo_name(obj: Obj, labels: Mapping[str, Any], annotations: Mapping[str, Any], *, by_argo: bool) -> str:
    """`app:group/Kind:namespace/name`; an operator may have copied it from another object, then it does not count."""
    name, _, rest = str(annotations.get(_ARGO_TRACKING) or "").partition(":")
    kind, _, place = rest.partition(":")
    if name and (not rest or (kind.rpartition("/")[2], place.rpartition("/")[2]) == (obj.get("kind"), obj["metadata"]["name"])):
        return name
    return str(labels.get(_ARGO_INSTANCE) or (labels.get(_APP_INSTANCE) if by_argo else "") or "")


# autoscalers


def _autoscaler(change: _Change) -> Owner | None:
    kind, name = change.action.target.kind, change.action.target.name
    if isinstance(change.action, ScaleWorkload):
        for hpa in change.around.hpas:
            if targets(hpa, kind, name):
                return _hpa(str(hpa["metadata"]["name"]), change.action)
    if change.action.type == "set_resources":
        for vpa in change.around.vpas:
            mode = str(sub(vpa, "spec").get("updatePolicy", {}).get("updateMode", "Auto"))
            if targets(vpa, kind, name) and mode != "Off" and not _left_alone(vpa, change.action.container):
                who = vpa["metadata"]["name"]
                detail = f"VerticalPodAutoscaler {who} ({mode}) sets resources of new pods"
                return Owner(kind="vpa", name=who, detail=detail, reverts=True)
    return None


def _hpa(who: str, action: ScaleWorkload) -> Owner:
    if action.replicas == 0:
        detail = f"HorizontalPodAutoscaler {who} is switched off as long as there are 0 replicas"
        return Owner(kind="hpa", name=who, detail=detail)
    detail = f"HorizontalPodAutoscaler {who} sets the replicas again within a minute; adjust its bounds"
    return Owner(kind="hpa", name=who, detail=detail, reverts=True)


def _left_alone(vpa: Obj, container: str) -> bool:
    policies = {row.get("containerName"): row.get("mode") for row in rows(vpa, "spec", "resourcePolicy", "containerPolicies")}
    return policies.get(container, policies.get("*")) == "Off"


# controllers


def _controller(change: _Change) -> Owner | None:
    """A workload that has a controller belongs to somebody else's loop."""
    if not change.around.above:
        return None
    nearest, top = change.around.above[0], change.around.above[-1]
    who = _named(nearest)
    hint = "change that instead" if nearest.get("kind") in BUILT_IN else "change its custom resource instead"
    detail = f"it is controlled by {who}, which reverts the change; {hint}"
    keeper = keeper_of(top)
    if keeper is not None:
        detail = (
            f"it is controlled by {who}, which reverts the change; {keeper_words(keeper)} keeps {_named(top)}: change it there"
        )
    elif top is not nearest:
        detail = f"it is controlled by {who}, which reverts the change; {_named(top)} controls that: change it instead"
    return Owner(kind="operator", name=who, detail=detail, reverts=True)


def _named(obj: Obj) -> str:
    return f"{obj.get('kind')}/{sub(obj, 'metadata').get('name')}"


# what comes from Git


def _keeper(change: _Change) -> Owner | None:
    keeper = keeper_of(change.before)
    if keeper is None:
        return None
    return _BY_KIND[keeper.kind](change, keeper, change.around.keepers.get(keeper))


def _argo(change: _Change, keeper: Keeper, app: Obj | None) -> Owner:
    who = keeper_words(keeper)

    def told(detail: str, *, reverts: bool) -> Owner:
        return Owner(kind="argocd", name=keeper.name, detail=detail, reverts=reverts)

    if change.sets(_ARGO_MANAGERS) is False or (app is not None and _ignored(app, change)):
        return told(f"{who} keeps it, but its manifest leaves this field alone", reverts=False)
    if app is None:
        return told(
            f"{who} may take it back at any time: its sync policy can't be read here; commit the patch there", reverts=True
        )
    policy = sub(app, "spec", "syncPolicy", "automated")
    if policy.get("selfHeal") and policy.get("enabled") is not False:
        return told(f"{who} heals itself: it takes this back within seconds; commit the patch there", reverts=True)
    return told(
        f"{who} does not heal itself: the change stays until its next sync; commit the patch before that", reverts=False
    )


def _ignored(app: Obj, change: _Change) -> bool:
    """The application is told to ignore the one field that a scale changes. Other rules are not understood here."""
    if change.action.type != "scale":
        return False
    target = change.action.target
    return any(
        row.get("kind") in (target.kind, "*")
        and row.get("name") in (None, "", target.name)
        and row.get("namespace") in (None, "", target.namespace)
        and ("/spec/replicas" in (row.get("jsonPointers") or ()) or ".spec.replicas" in (row.get("jqPathExpressions") or ()))
        for row in rows(app, "spec", "ignoreDifferences")
    )


def _kustomization(change: _Change, keeper: Keeper, found: Obj | None) -> Owner:
    who = keeper_words(keeper)

    def told(detail: str, *, reverts: bool) -> Owner:
        return Owner(kind="flux", name=keeper.name, detail=detail, reverts=reverts)

    annotations = sub(change.before, "metadata", "annotations")
    told_off = annotations.get(f"{_KUSTOMIZE}/reconcile") == "disabled" or annotations.get(f"{_KUSTOMIZE}/ssa") == "Ignore"
    if told_off or change.sets(_FLUX_MANAGERS[_KUSTOMIZE]) is False:
        return told(f"{who} keeps it, but its manifest leaves this field alone", reverts=False)
    if found is None:
        return told(f"{who} takes it back at its next reconciliation; commit the patch where it reads from", reverts=True)
    if sub(found, "spec").get("suspend"):
        return told(f"{who} is suspended: the change stays until it is resumed; commit the patch before that", reverts=False)
    every = sub(found, "spec").get("interval") or "10m"
    return told(f"{who} takes it back within {every}; commit the patch where it reads from", reverts=True)


def _helm_release(change: _Change, keeper: Keeper, found: Obj | None) -> Owner:
    """helm-controller corrects drift only where it is told to; the default is to leave it until the next upgrade."""
    who = keeper_words(keeper)

    def told(detail: str, *, reverts: bool) -> Owner:
        return Owner(kind="flux", name=keeper.name, detail=detail, reverts=reverts)

    if found is None:
        return told(f"{who} may take it back at its next reconciliation; put the change into its values", reverts=True)
    spec = sub(found, "spec")
    if spec.get("suspend"):
        return told(
            f"{who} is suspended: the change stays until it is resumed; put it into its values before that", reverts=False
        )
    if sub(spec, "driftDetection").get("mode") == "enabled":
        if change.sets(_FLUX_MANAGERS[_HELM_TOOLKIT]) is False:
            return told(f"{who} keeps it, but its manifest leaves this field alone", reverts=False)
        every = spec.get("interval") or "10m"
        return told(f"{who} corrects drift: it takes this back within {every}; put the change into its values", reverts=True)
    return told(f"{who} does not correct drift: the change stays until its next upgrade; put it into its values", reverts=False)


def _helm(change: _Change, keeper: Keeper, _: Obj | None) -> Owner:
    if change.sets(_HELM_MANAGERS) is False:
        return Owner(
            kind="helm", name=keeper.name, detail=f"{keeper_words(keeper)} keeps it, but its manifest leaves this field alone"
        )
    detail = f"it belongs to Helm release {keeper.name}: the change stays until the next upgrade; put it into the values too"
    return Owner(kind="helm", name=keeper.name, detail=detail)


_BY_KIND: Mapping[str, Callable[[_Change, Keeper, Obj | None], Owner]] = {
    "Application": _argo,
    "Kustomization": _kustomization,
    "HelmRelease": _helm_release,
    "Release": _helm,
}


def _hint(owner: Owner, action: Remediation, before: Obj, after: Obj | None) -> str | None:
    """Only where a chart is behind it."""
    charted = owner.kind == "helm" or bool(chart_of(before)) or "HelmRelease" in owner.detail
    return values_hint(action, before, after) if charted else None


# nobody says so, but somebody writes it


def _unnamed(change: _Change) -> Owner | None:
    """An operator without owner references, seen by the fields that it wrote; or a manifest that somebody applies."""
    if change.after is None or change.action.type == "restart":
        return None
    for manager in writers_of_what_changes(change.before, change.after):
        if manager not in OF_KUBERNETES and manager.endswith(("-operator", "-controller")):
            detail = f"{manager} wrote this field and may write it again; look for its custom resource"
            return Owner(kind="operator", name=manager, detail=detail, reverts=True)
    if applied_with_kubectl(change.before) and change.sets(()):
        detail = "it was applied from a manifest that sets this field: change that too, or the next apply takes it back"
        return Owner(detail=detail)
    return None


def _of_a_new_one(action: Remediation, after: Obj | None, around: Surroundings) -> Owner:
    """What does not exist has no owner, but those who wait for it may, and it belongs beside them in Git."""
    for user in around.users:
        keeper = keeper_of(user)
        if keeper is not None:
            owner = _BY_KIND[keeper.kind](_Change(action, user, None, around), keeper, None)
            detail = f"{keeper_words(keeper)} keeps {_named(user)}, which uses it, and does not know of it; commit it there too"
            return Owner(kind=owner.kind, name=keeper.name, detail=detail, git_patch=git_patch(action, None, after))
    return Owner()
