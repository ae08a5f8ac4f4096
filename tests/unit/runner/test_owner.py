"""Who would take a change back: each kind of owner with each kind of change, by what the objects themselves say."""

import copy
from typing import Any

import orjson
import pytest
import yaml

from protocol.objects import ObjectRef
from protocol.remediation import (
    AdjustHpa,
    CreateConfigMap,
    DeletePod,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    SuspendCronJob,
)
from runner.remediation.owner import Keeper, Surroundings, keeper_of, owner_of
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Situation
from tests.unit.runner.test_git_patch import DEPLOYMENT, NIGHTLY, SCALER, SETTINGS, live, planned
from tests.unit.runner.test_remediation_rows import CONFIG, CRON, HPA, NOW, WEB

IMAGE = SetImage(target=WEB, container="app", image="registry.example:5000/web:2")
SCALE = ScaleWorkload(target=WEB, replicas=5)
MEMORY = SetResources(target=WEB, container="app", limits={"memory": "1Gi"})
RESTART = RestartWorkload(target=WEB)
NEW_ENV = SetEnv(target=WEB, container="app", env={"NEW": "1"})
OLD_ENV = SetEnv(target=WEB, container="app", env={"URL": "http://b"})
CHANGES: list[tuple[Remediation, Obj]] = [
    (SCALE, DEPLOYMENT),
    (IMAGE, DEPLOYMENT),
    (MEMORY, DEPLOYMENT),
    (OLD_ENV, DEPLOYMENT),
    (PatchConfigMap(target=CONFIG, data={"a": "9"}), SETTINGS),
    (AdjustHpa(target=HPA, max_replicas=9), SCALER),
    (SuspendCronJob(target=CRON, suspend=True), NIGHTLY),
]

ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/web"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}
FLUX_HELM = {"labels": {"helm.toolkit.fluxcd.io/name": "shop", "helm.toolkit.fluxcd.io/namespace": "shop"}}
HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "shop"}}


def kept(obj: Obj, metadata: dict[str, Any], fields: Obj | None = None, manager: str = "", **more: Any) -> Obj:
    """The object with an owner's marks; `fields` is what the manager's last apply set."""
    made = copy.deepcopy(obj)
    made["metadata"] |= copy.deepcopy(metadata)
    if fields is not None:
        made["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply", "fieldsV1": fields, **more}]
    return made


def owner(action: Remediation, obj: Obj, **around: Any) -> Any:
    return owner_of(action, obj, planned(action, obj), Surroundings(**around))


def application(**spec: Any) -> dict[str, Any]:
    return {"kind": "Application", "metadata": {"name": "shop", "namespace": "argocd"}, "spec": spec}


def by_argo(**spec: Any) -> dict[str, Any]:
    return {"keepers": {Keeper("Application", "shop"): application(**spec)}}


def by_flux(**spec: Any) -> dict[str, Any]:
    return {"keepers": {Keeper("Kustomization", "apps", "flux-system"): {"kind": "Kustomization", "spec": spec}}}


def by_flux_helm(**spec: Any) -> dict[str, Any]:
    return {"keepers": {Keeper("HelmRelease", "shop", "shop"): {"kind": "HelmRelease", "spec": spec}}}


HEALS = {"automated": {"selfHeal": True}}
IGNORES = [{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]
DRIFT = {"mode": "enabled"}


@pytest.mark.parametrize(
    ("metadata", "around", "kind", "reverts", "words"),
    [
        (ARGO, {}, "argocd", True, "may take it back at any time"),
        (ARGO, by_argo(syncPolicy=HEALS), "argocd", True, "within seconds"),
        (ARGO, by_argo(syncPolicy={"automated": {"selfHeal": True, "enabled": False}}), "argocd", False, "until its next sync"),
        (ARGO, by_argo(syncPolicy={"automated": {}}), "argocd", False, "until its next sync"),
        (ARGO, by_argo(), "argocd", False, "until its next sync"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, by_argo(syncPolicy=HEALS), "argocd", True, "within seconds"),
        (FLUX, {}, "flux", True, "at its next reconciliation"),
        (FLUX, by_flux(interval="5m"), "flux", True, "within 5m"),
        (FLUX, by_flux(interval="5m", suspend=True), "flux", False, "is suspended"),
        ({**FLUX, "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}, by_flux(), "flux", False, "alone"),
        (FLUX_HELM, {}, "flux", True, "may take it back"),
        (FLUX_HELM, by_flux_helm(), "flux", False, "until its next upgrade"),
        (FLUX_HELM, by_flux_helm(driftDetection={"mode": "warn"}), "flux", False, "until its next upgrade"),
        (FLUX_HELM, by_flux_helm(driftDetection=DRIFT, interval="1h"), "flux", True, "within 1h"),
        (FLUX_HELM, by_flux_helm(driftDetection=DRIFT, suspend=True), "flux", False, "is suspended"),
        (HELM, {}, "helm", False, "until the next upgrade"),
    ],
)
@pytest.mark.parametrize(("action", "obj"), CHANGES, ids=lambda value: getattr(value, "type", ""))
def test_each_owner_with_each_change(
    action: Remediation, obj: Obj, metadata: dict[str, Any], around: dict[str, Any], kind: str, reverts: bool, words: str
) -> None:
    marks = copy.deepcopy(metadata)
    if "argocd.argoproj.io/tracking-id" in marks.get("annotations", {}):
        marks["annotations"]["argocd.argoproj.io/tracking-id"] = f"shop:x/{obj['kind']}:shop/{obj['metadata']['name']}"
    found = owner(action, kept(obj, marks), **around)
    assert (found.kind, found.reverts) == (kind, reverts)
    assert words in found.detail
    patch = yaml.safe_load(found.git_patch)
    assert patch["kind"] == obj["kind"]
    assert patch["metadata"]["name"] == obj["metadata"]["name"]


def fields(*containers: str, replicas: bool = False) -> Obj:
    """What an apply set: of each container the image."""
    rows: Obj = {f'k:{{"name":"{name}"}}': {".": {}, "f:name": {}, "f:image": {}} for name in containers}
    spec: Obj = {"f:template": {"f:spec": {"f:containers": rows}}}
    return {"f:spec": {**spec, "f:replicas": {}} if replicas else spec}


@pytest.mark.parametrize(
    ("action", "manifest", "reverts"),
    [
        (SCALE, fields("app", replicas=True), True),
        (SCALE, fields("app"), False),
        (IMAGE, fields("app"), True),
        (IMAGE, fields("side"), False),
        (RESTART, fields("app", replicas=True), False),
        (NEW_ENV, fields("app"), False),
        (MEMORY, fields("app"), False),
    ],
)
@pytest.mark.parametrize(
    ("metadata", "manager", "around"),
    [
        (ARGO, "argocd-controller", by_argo(syncPolicy=HEALS)),
        (ARGO, "argocd-controller", {}),
        (FLUX, "kustomize-controller", by_flux()),
        (FLUX_HELM, "helm-controller", by_flux_helm(driftDetection=DRIFT)),
    ],
)
def test_what_a_manifest_leaves_out_is_not_taken_back(
    action: Remediation, manifest: Obj, reverts: bool, metadata: dict[str, Any], manager: str, around: dict[str, Any]
) -> None:
    found = owner(action, kept(DEPLOYMENT, metadata, manifest, manager), **around)
    assert found.reverts == reverts
    assert ("leaves this field alone" in found.detail) != reverts


def test_a_field_that_somebody_else_wrote_last_may_still_be_in_the_manifest() -> None:
    """Who changes a field takes it over in managedFields; the next sync takes it back."""
    obj = kept(DEPLOYMENT, ARGO, fields("side"), "argocd-controller")
    obj["metadata"]["managedFields"].append({"manager": "kubectl-set", "operation": "Update", "fieldsV1": fields("app")})
    assert owner(IMAGE, obj, **by_argo(syncPolicy=HEALS)).reverts


def test_an_autoscaler_that_wrote_the_replicas_does_not_hide_that_git_has_none() -> None:
    obj = kept(DEPLOYMENT, ARGO, fields("app"), "argocd-controller")
    scaled = {"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale"}
    obj["metadata"]["managedFields"].append({**scaled, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
    assert not owner(SCALE, obj, **by_argo(syncPolicy=HEALS)).reverts


@pytest.mark.parametrize(("action", "reverts"), [(IMAGE, True), (SCALE, False), (MEMORY, False), (NEW_ENV, False)])
def test_last_applied_says_what_a_manifest_sets(action: Remediation, reverts: bool) -> None:
    container = {"name": "app", "image": "registry.example:5000/web:1"}
    manifest = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [container]}}}}
    obj = kept(DEPLOYMENT, {})
    obj["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": orjson.dumps(manifest).decode()}
    found = owner(action, obj)
    assert (found.kind, found.reverts) == ("none", False)
    assert ("next apply takes it back" in found.detail) == reverts
    assert (found.git_patch is not None) == reverts
    obj["metadata"]["annotations"] |= ARGO["annotations"]
    assert owner(action, obj, **by_argo(syncPolicy=HEALS)).reverts == reverts


def test_an_application_may_ignore_replicas() -> None:
    obj = kept(DEPLOYMENT, ARGO)
    assert not owner(SCALE, obj, **by_argo(syncPolicy=HEALS, ignoreDifferences=IGNORES)).reverts
    assert owner(IMAGE, obj, **by_argo(syncPolicy=HEALS, ignoreDifferences=IGNORES)).reverts
    other = [{**IGNORES[0], "name": "another"}]
    assert owner(SCALE, obj, **by_argo(syncPolicy=HEALS, ignoreDifferences=other)).reverts


@pytest.mark.parametrize(
    ("metadata", "keeper"),
    [
        (ARGO, Keeper("Application", "shop")),
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "team-a_shop:apps/Deployment:shop/web"}},
            Keeper("Application", "shop", "team-a"),
        ),
        # An operator that copies annotations from its custom resource to what it makes:
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:db.example/Postgres:shop/web"}}, None),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/other"}}, None),
        ({"labels": {"app.kubernetes.io/instance": "shop"}}, None),
        (
            {"labels": {"app.kubernetes.io/instance": "shop"}, "managedFields": [{"manager": "argocd-controller"}]},
            Keeper("Application", "shop"),
        ),
        ({**FLUX, **ARGO}, Keeper("Application", "shop")),
        (FLUX, Keeper("Kustomization", "apps", "flux-system")),
        (FLUX_HELM, Keeper("HelmRelease", "shop", "shop")),
        (HELM, Keeper("Release", "shop")),
        ({"annotations": HELM["annotations"]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_whose_it_is(metadata: dict[str, Any], keeper: Keeper | None) -> None:
    assert keeper_of(kept(DEPLOYMENT, metadata)) == keeper


def controlled(kind: str, name: str, api_version: str = "example.com/v1", **more: Any) -> Obj:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **more}}


@pytest.mark.parametrize(
    ("above", "words"),
    [
        ((controlled("Rollout", "web"),), "Rollout/web, which reverts the change; change its custom resource"),
        ((controlled("Deployment", "web", "apps/v1"),), "Deployment/web, which reverts the change; change that instead"),
        ((controlled("Deployment", "web", "apps/v1"), controlled("Shop", "main")), "Shop/main controls that"),
        ((controlled("Shop", "main", labels=FLUX["labels"]),), "Flux Kustomization flux-system/apps keeps Shop/main"),
    ],
)
def test_controllers_above(above: tuple[Obj, ...], words: str) -> None:
    found = owner(IMAGE, kept(DEPLOYMENT, {}), above=above)
    assert (found.kind, found.reverts, found.name) == ("operator", True, f"{above[0]['kind']}/{above[0]['metadata']['name']}")
    assert words in found.detail


def test_a_pods_labels_are_its_templates() -> None:
    """Argo CD and Helm label templates too; a deleted pod comes back by design, and nothing is overridden."""
    ref = ObjectRef.parse("Pod/shop/web-1")
    marks = {"labels": {"argocd.argoproj.io/instance": "shop"}, **{"annotations": HELM["annotations"]}}
    owners = [{"kind": "ReplicaSet", "name": "web-7d9", "controller": True}]
    pod = kept(live(ref), {**marks, "ownerReferences": owners})
    above = (controlled("ReplicaSet", "web-7d9", "apps/v1"),)
    assert owner_of(DeletePod(target=ref), pod, None, Surroundings(above=above)).kind == "none"


def test_an_operator_without_owner_references_is_known_by_what_it_wrote() -> None:
    found = owner(IMAGE, kept(DEPLOYMENT, {}, fields("app"), "shop-operator"))
    assert (found.kind, found.name, found.reverts) == ("operator", "shop-operator", True)
    assert owner(IMAGE, kept(DEPLOYMENT, {}, fields("side"), "shop-operator")).kind == "none"
    assert owner(IMAGE, kept(DEPLOYMENT, {}, fields("app"), "kubectl")).kind == "none"
    assert owner(IMAGE, kept(DEPLOYMENT, {}, fields("app"), "deployment-controller")).kind == "none"


HPA_OBJECT = {"metadata": {"name": "h"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}}}
VPA_OBJECT = {"metadata": {"name": "v"}, "spec": {"targetRef": {"kind": "Deployment", "name": "web"}}}


def vpa(**spec: Any) -> Obj:
    return {**VPA_OBJECT, "spec": {**VPA_OBJECT["spec"], **spec}}


@pytest.mark.parametrize(
    ("action", "around", "kind", "reverts"),
    [
        (SCALE, {"hpas": [HPA_OBJECT]}, "hpa", True),
        (ScaleWorkload(target=WEB, replicas=0), {"hpas": [HPA_OBJECT]}, "hpa", False),
        (IMAGE, {"hpas": [HPA_OBJECT]}, "none", False),
        (MEMORY, {"hpas": [HPA_OBJECT], "vpas": [vpa()]}, "vpa", True),
        (MEMORY, {"vpas": [vpa(updatePolicy={"updateMode": "Initial"})]}, "vpa", True),
        (MEMORY, {"vpas": [vpa(updatePolicy={"updateMode": "Off"})]}, "none", False),
        (
            MEMORY,
            {"vpas": [vpa(resourcePolicy={"containerPolicies": [{"containerName": "app", "mode": "Off"}]})]},
            "none",
            False,
        ),
        (
            MEMORY,
            {"vpas": [vpa(resourcePolicy={"containerPolicies": [{"containerName": "side", "mode": "Off"}]})]},
            "vpa",
            True,
        ),
    ],
)
def test_autoscalers(action: Remediation, around: dict[str, Any], kind: str, reverts: bool) -> None:
    found = owner(action, kept(DEPLOYMENT, {}), **around)
    assert (found.kind, found.reverts) == (kind, reverts)


def test_a_new_object_belongs_where_its_users_come_from() -> None:
    action = CreateConfigMap(target=CONFIG, data={"LOG_LEVEL": "info"})
    made = row_of(action).after(action, Situation(None, NOW))
    user = kept(DEPLOYMENT, ARGO)
    found = owner_of(action, None, made, Surroundings(users=[user]))
    assert (found.kind, found.reverts) == ("argocd", False)
    assert "Deployment/web, which uses it" in found.detail
    assert yaml.safe_load(found.git_patch or "")["data"] == {"LOG_LEVEL": "info"}
    assert owner_of(action, None, made, Surroundings(users=[DEPLOYMENT])).kind == "none"


@pytest.mark.parametrize(
    ("metadata", "hinted"),
    [(HELM, True), (FLUX_HELM, True), (FLUX, False), (ARGO, False), ({**ARGO, "labels": {"helm.sh/chart": "shop-1"}}, True)],
)
def test_values_are_hinted_where_a_chart_is_behind_it(metadata: dict[str, Any], hinted: bool) -> None:
    found = owner(SCALE, kept(DEPLOYMENT, metadata))
    assert found.values_hint == ("replicaCount: 5\n" if hinted else None)


def test_what_labels_say_is_not_obeyed_by_the_parser() -> None:
    """Anybody may write labels and annotations: nothing they hold makes a plan fail."""
    odd: list[Any] = ["", ":", "::", "a:b", "a:b:c", "_:x/Deployment:y/web", None, 7, {"a": 1}]
    for value in odd:
        obj = kept(DEPLOYMENT, {"annotations": {"argocd.argoproj.io/tracking-id": value, "meta.helm.sh/release-name": value}})
        obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = value
        obj["metadata"]["managedFields"] = [
            {"manager": value, "fieldsV1": {"f:spec": value}},
            {"fieldsV1": {"f:spec": {"k:{": {}}}},
        ]
        assert owner(SCALE, obj).kind in ("none", "argocd", "operator")
