"""What would be committed to Git: kustomize itself makes of it exactly the object that was planned."""

import asyncio
import copy
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from protocol.objects import ObjectRef
from protocol.remediation import (
    REMEDIATIONS,
    AdjustHpa,
    CordonNode,
    CreateConfigMap,
    DeletePod,
    DrainNode,
    ExpandPvc,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    RollbackWorkload,
    ScaleWorkload,
    SetEnv,
    SetImage,
    SetResources,
    SuspendCronJob,
)
from runner.remediation.git_patch import git_patch, split_image, values_hint
from runner.remediation.rows import row_of
from runner.remediation.types import Obj, Revision, Situation
from tests.unit.runner.test_remediation_rows import CONFIG, CRON, HPA, NODE, NOW, PVC, WEB

KINDS = {
    "Deployment": "apps/v1",
    "ConfigMap": "v1",
    "PersistentVolumeClaim": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "CronJob": "batch/v1",
}


def live(ref: ObjectRef, **parts: Any) -> Obj:
    metadata = {"name": ref.name, "namespace": ref.namespace, "uid": "u1", "resourceVersion": "7"}
    return {"apiVersion": KINDS.get(ref.kind, "v1"), "kind": ref.kind, "metadata": metadata, **parts}


def template(**more: Any) -> Obj:
    app: Obj = {
        "name": "app",
        "image": "registry.example:5000/web:1",
        "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
        "env": [
            {"name": "URL", "value": "http://a"},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "ports": [{"containerPort": 80, "protocol": "TCP"}, {"containerPort": 80, "protocol": "UDP"}],
        "volumeMounts": [{"name": "data", "mountPath": "/a"}, {"name": "data", "mountPath": "/b"}],
        "args": ["--one", "--two"],
        **more,
    }
    volumes: list[Obj] = [{"name": "data", "emptyDir": {}}]
    spec: Obj = {"containers": [app, {"name": "side", "image": "s:1"}], "volumes": volumes}
    return {"metadata": {"labels": {"app": "web"}}, "spec": spec}


def older() -> Obj:
    """Another template in everything: rows and keys that come, go and change."""
    made = template(
        image="registry.example:5000/web:0",
        env=[{"name": "NODE", "value": "fixed"}, {"name": "OLD", "value": "1"}],
        ports=[{"containerPort": 80, "protocol": "UDP"}, {"containerPort": 8080, "protocol": "TCP"}],
        volumeMounts=[{"name": "data", "mountPath": "/a", "readOnly": True}],
        args=["--three"],
        livenessProbe={"httpGet": {"path": "/ok", "port": 80}},
    )
    made["spec"]["containers"] = made["spec"]["containers"][:1]
    made["spec"]["volumes"] = [{"name": "data", "configMap": {"name": "settings"}}]
    return made


DEPLOYMENT = live(WEB, spec={"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template()})
SETTINGS = live(CONFIG, data={"a": "1", "b": "2"})
CLAIM = live(PVC, spec={"resources": {"requests": {"storage": "1Gi"}}})
SCALER = live(HPA, spec={"minReplicas": 1, "maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"}})
JOBS = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "n:1"}], "restartPolicy": "Never"}}}}
NIGHTLY = live(CRON, spec={"suspend": False, "schedule": "1 1 * * *", "jobTemplate": JOBS})

STATES: list[tuple[Remediation, Obj]] = [
    (ScaleWorkload(target=WEB, replicas=5), DEPLOYMENT),
    (RollbackWorkload(target=WEB, to_revision=1), DEPLOYMENT),
    (SetImage(target=WEB, container="app", image="registry.example:5000/web:2"), DEPLOYMENT),
    (SetImage(target=CRON, container="app", image="n:2"), NIGHTLY),
    (SetResources(target=WEB, container="app", limits={"memory": "512Mi"}, requests={"cpu": "200m"}), DEPLOYMENT),
    (SetEnv(target=WEB, container="app", env={"URL": None, "NODE": "fixed", "NEW": "1"}), DEPLOYMENT),
    (PatchConfigMap(target=CONFIG, data={"a": "9", "b": None, "c": "3"}), SETTINGS),
    (ExpandPvc(target=PVC, size="2Gi"), CLAIM),
    (AdjustHpa(target=HPA, max_replicas=9), SCALER),
    (SuspendCronJob(target=CRON, suspend=True), NIGHTLY),
]
ACTS: list[tuple[Remediation, Obj]] = [
    (RestartWorkload(target=WEB), DEPLOYMENT),
    (DeletePod(target=ObjectRef.parse("Pod/shop/web-1")), live(ObjectRef.parse("Pod/shop/web-1"))),
    (CordonNode(target=NODE), live(NODE, spec={})),
    (DrainNode(target=NODE), live(NODE, spec={})),
]


def planned(action: Remediation, obj: Obj) -> Obj:
    revisions = (Revision(1, older()), Revision(2, template()))
    after = row_of(action).after(action, Situation(copy.deepcopy(obj), NOW, revisions=revisions, current_revision=2))
    assert after is not None
    return after


def in_order(value: Any) -> Any:
    """Order of rows is not part of what a merge promises."""
    if isinstance(value, dict):
        table = cast(Obj, value)
        return {
            key: in_order(part) for key, part in table.items() if part is not None and key not in ("uid", "resourceVersion")
        }
    if isinstance(value, list):
        parts = cast(list[Any], value)
        return sorted((in_order(part) for part in parts), key=str) if all(isinstance(part, dict) for part in parts) else parts
    return value


async def kustomized(folder: Path, rows: list[tuple[Obj, str]]) -> list[Obj]:
    """All rows by one run of the real kustomize, each object under a name of its own."""
    program = shutil.which("kubectl")
    assert program, "kubectl is needed: install it from https://kubernetes.io/docs/tasks/tools/"
    patches: list[Obj] = []
    for at, (obj, patch) in enumerate(rows):
        (folder / f"{at}.yaml").write_text(yaml.safe_dump(obj))
        (folder / f"{at}.patch.yaml").write_text(patch)
        patches.append({"path": f"{at}.patch.yaml"})
    (folder / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": [f"{at}.yaml" for at in range(len(rows))], "patches": patches})
    )
    run = await asyncio.create_subprocess_exec(
        program, "kustomize", str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(run.communicate(), 60)
    assert run.returncode == 0, err.decode()
    return list(yaml.safe_load_all(out))


async def test_kustomize_makes_of_each_patch_exactly_what_was_planned(tmp_path: Path) -> None:
    rows: list[tuple[Obj, str]] = []
    wanted: dict[str, Obj] = {}
    for at, (action, obj) in enumerate(STATES):
        after = planned(action, obj)
        named, target = copy.deepcopy(obj), copy.deepcopy(after)
        for one in (named, target):
            one["metadata"]["name"] = f"row-{at}"
        rows.append((named, git_patch(action, named, target) or ""))
        wanted[f"row-{at}"] = target
    for made in await kustomized(tmp_path, rows):
        assert in_order(made) == in_order(wanted.pop(made["metadata"]["name"]))
    assert not wanted


def test_every_type_is_a_state_or_an_act() -> None:
    covered = {action.type for action, _ in [*STATES, *ACTS]}
    assert covered | {"uncordon", "create_configmap", "delete_configmap"} == set(REMEDIATIONS)


@pytest.mark.parametrize(("action", "obj"), STATES, ids=lambda value: getattr(value, "type", ""))
def test_a_patch_names_its_object_and_only_what_differs(action: Remediation, obj: Obj) -> None:
    text = git_patch(action, obj, planned(action, obj)) or ""
    assert text.startswith("# a strategic merge patch")
    assert text == git_patch(action, copy.deepcopy(obj), planned(action, obj))
    patch = yaml.safe_load(text)
    assert {key: patch[key] for key in ("apiVersion", "kind")} == {key: obj[key] for key in ("apiVersion", "kind")}
    assert patch["metadata"] == {"name": obj["metadata"]["name"], "namespace": "shop"}
    assert len(text) < 1200
    assert "uid" not in text
    assert "selector" not in text


@pytest.mark.parametrize(("action", "obj"), ACTS, ids=lambda value: getattr(value, "type", ""))
def test_an_act_is_nothing_to_commit(action: Remediation, obj: Obj) -> None:
    assert git_patch(action, obj, obj) is None


def test_a_new_object_is_a_whole_manifest() -> None:
    action = CreateConfigMap(target=CONFIG, data={"LOG_LEVEL": "info"})
    made = row_of(action).after(action, Situation(None, NOW))
    text = git_patch(action, None, made) or ""
    assert text.startswith("# a new manifest")
    assert yaml.safe_load(text) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "shop"},
        "data": {"LOG_LEVEL": "info"},
    }


def test_what_is_blacked_out_is_said() -> None:
    action = PatchConfigMap(target=CONFIG, data={"DB_PASSWORD": "correct-horse-battery"})
    text = git_patch(action, SETTINGS, planned(action, SETTINGS)) or ""
    assert "correct-horse" not in text
    assert "# 1 values are blacked out here" in text


@pytest.mark.parametrize(
    ("action", "obj", "values"),
    [
        (STATES[0][0], DEPLOYMENT, {"replicaCount": 5}),
        (STATES[2][0], DEPLOYMENT, {"image": {"repository": "registry.example:5000/web", "tag": "2"}}),
        (STATES[4][0], DEPLOYMENT, {"resources": {"requests": {"cpu": "200m"}, "limits": {"memory": "512Mi"}}}),
        (STATES[8][0], SCALER, {"autoscaling": {"maxReplicas": 9}}),
        (STATES[5][0], DEPLOYMENT, None),
        (STATES[1][0], DEPLOYMENT, None),
        (SetImage(target=WEB, container="side", image="s:2"), DEPLOYMENT, None),
    ],
)
def test_values_of_a_chart(action: Remediation, obj: Obj, values: Obj | None) -> None:
    hint = values_hint(action, obj, planned(action, obj))
    assert (yaml.safe_load(hint) if hint else None) == values


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("web", {"repository": "web"}),
        ("web:1", {"repository": "web", "tag": "1"}),
        ("host:5000/web", {"repository": "host:5000/web"}),
        ("host:5000/team/web:1.2", {"repository": "host:5000/team/web", "tag": "1.2"}),
        ("web@sha256:abc", {"repository": "web", "digest": "sha256:abc"}),
    ],
)
def test_images(image: str, parts: Obj) -> None:
    assert split_image(image) == parts
