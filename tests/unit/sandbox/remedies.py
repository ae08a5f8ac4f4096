"""The fixes and non-fixes that scenario files name, done the way kubectl does them."""

from typing import Any

from sandbox.objects import Obj, annotations_of, clone, owned_by, rows, sub, text
from sandbox.resources import BY_KIND
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, PODS, Bench

_REVISION = "deployment.kubernetes.io/revision"


def do(bench: Bench, remedy: Obj) -> None:
    """Carry out one row of `fixes` or `does_not_heal`."""
    name = text(remedy, "object").rpartition("/")[2]
    match remedy["action"]:
        case "set-resources":
            parts = {k: _amounts(sub(remedy, k)) for k in ("limits", "requests") if k in remedy}
            _patch_container(bench, name, {"name": remedy["container"], "resources": parts})
        case "set-image":
            _patch_container(bench, name, {"name": remedy["container"], "image": remedy["image"]})
        case "set-env":
            env = [{"name": k, "value": v} for k, v in sub(remedy, "env").items()]
            _patch_container(bench, name, {"name": remedy["container"], "env": env})
        case "rollback":
            _undo(bench, name)
        case "restart":
            note = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
            bench.patch(f"{DEPLOYMENTS}/{name}", {"spec": {"template": {"metadata": {"annotations": note}}}})
        case "scale":
            bench.patch(f"{path_of(text(remedy, 'object'))}/scale", {"spec": {"replicas": remedy["replicas"]}}, merge=True)
        case "delete-pod":
            _delete_unready_pods(bench)
        case "patch-configmap":
            bench.patch(f"{CONFIG_MAPS}/{name}", {"data": remedy["data"]}, merge=True)
        case "patch":
            _patch_object(bench, remedy)
        case "delete":
            bench.answer("DELETE", path_of(text(remedy, "object")))
        case "create":
            bench.create(path_of(text(remedy, "object")).rpartition("/")[0], remedy["body"])
        case "node":
            bench.sandbox.scenarios.stage.do({"node": {"name": name, "state": remedy["state"]}})
        case "git":
            body = {"app": remedy["app"], "patch": {"kind": "Deployment", "name": name, "body": remedy["body"]}}
            bench.sandbox.scenarios.stage.commit(body)
        case other:
            raise AssertionError(f"the scenario names an action that nobody can do: {other}")


def path_of(named: str) -> str:
    """The API path of Kind/namespace/name."""
    kind, namespace, name = named.split("/")
    resource = BY_KIND[kind]
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else "/api/v1"
    return f"{root}/namespaces/{namespace}/{resource.plural}/{name}" if namespace else f"{root}/{resource.plural}/{name}"


def _patch_object(bench: Bench, remedy: Obj) -> None:
    """Strategic, but merged where the body holds lists that are replaced whole."""
    named = text(remedy, "object")
    bench.patch(path_of(named), remedy["body"], merge=named.startswith(("NetworkPolicy", "ResourceQuota", "Service")))


def _amounts(wanted: Obj) -> Obj:
    return {what: str(amount).lstrip("<>=") for what, amount in wanted.items()}


def _patch_container(bench: Bench, name: str, container: Obj) -> None:
    bench.patch(f"{DEPLOYMENTS}/{name}", {"spec": {"template": {"spec": {"containers": [container]}}}})


def _undo(bench: Bench, name: str) -> None:
    """What `kubectl rollout undo` sends: the template of the revision before, without its hash label."""
    target = bench.get(f"{DEPLOYMENTS}/{name}")
    sets = bench.get("/apis/apps/v1/namespaces/shop/replicasets")["items"]
    mine = sorted((s for s in sets if owned_by(s, target)), key=lambda s: int(annotations_of(s)[_REVISION]))
    if len(mine) < 2:
        return
    template: Any = clone(mine[-2]["spec"]["template"])
    del template["metadata"]["labels"]["pod-template-hash"]
    body = [{"op": "replace", "path": "/spec/template", "value": template}]
    bench.answer("PATCH", f"{DEPLOYMENTS}/{name}", body, content_type="application/json-patch+json")


def _delete_unready_pods(bench: Bench) -> None:
    for pod in bench.get(PODS)["items"]:
        states = rows(pod, "status", "containerStatuses")
        if text(pod, "status", "phase") != "Succeeded" and not all(s.get("ready") for s in states):
            bench.answer("DELETE", f"{PODS}/{pod['metadata']['name']}")
