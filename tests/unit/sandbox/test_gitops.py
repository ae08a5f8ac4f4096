"""Argo CD in the practice cluster: it reverts drift while its Application says so, and follows Git."""

from sandbox.objects import Obj, annotations_of, condition, rows
from tests.unit.sandbox.bench import DEPLOYMENTS, Bench

APPLICATION = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/recommend"
GOOD, BAD = "registry.shop.example/recommend:2.0.3", "registry.shop.example/recommend:2.1.0"


def _image(bench: Bench) -> str:
    return rows(bench.get(f"{DEPLOYMENTS}/recommend"), "spec", "template", "spec", "containers")[0]["image"]


def _set_image(bench: Bench, image: str) -> None:
    containers = [{"name": "recommend", "image": image}]
    bench.patch(f"{DEPLOYMENTS}/recommend", {"spec": {"template": {"spec": {"containers": containers}}}})


def _commit(image: str) -> Obj:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "recommend", "image": image}]}}}}
    return {"app": "recommend", "patch": {"kind": "Deployment", "name": "recommend", "body": body}}


def test_a_fix_in_the_cluster_lasts_seconds_and_a_fix_in_git_stays() -> None:
    bench = Bench("recommend-gitops")
    tracked = annotations_of(bench.get(f"{DEPLOYMENTS}/recommend"))["argocd.argoproj.io/tracking-id"]
    assert tracked == "recommend:apps/Deployment:shop/recommend"
    _set_image(bench, GOOD)
    assert bench.get(APPLICATION)["status"]["sync"]["status"] == "OutOfSync"
    bench.pass_time(3)
    assert _image(bench) == GOOD
    bench.pass_time(3)
    assert _image(bench) == BAD
    writers = [e["manager"] for e in bench.get(f"{DEPLOYMENTS}/recommend")["metadata"]["managedFields"]]
    assert "argocd-controller" in writers
    bench.sandbox.scenarios.stage.commit(_commit(GOOD))
    bench.pass_time(60)
    assert _image(bench) == GOOD
    assert condition(bench.get(f"{DEPLOYMENTS}/recommend"), "Available")["status"] == "True"
    assert bench.get(APPLICATION)["status"]["sync"]["status"] == "Synced"


def test_with_self_heal_off_a_fix_stays_until_the_next_commit() -> None:
    bench = Bench("recommend-gitops")
    bench.patch(APPLICATION, {"spec": {"syncPolicy": {"automated": {"selfHeal": False}}}}, merge=True)
    _set_image(bench, GOOD)
    bench.pass_time(120)
    assert _image(bench) == GOOD
    assert bench.get(APPLICATION)["status"]["sync"]["status"] == "OutOfSync"
    bench.sandbox.scenarios.stage.commit(_commit(BAD))
    bench.pass_time(10)
    assert _image(bench) == BAD


def test_what_git_does_not_name_is_left_alone() -> None:
    bench = Bench("recommend-gitops")
    bench.patch(f"{DEPLOYMENTS}/recommend", {"metadata": {"labels": {"mine": "yes"}}})
    bench.pass_time(30)
    assert bench.get(f"{DEPLOYMENTS}/recommend")["metadata"]["labels"]["mine"] == "yes"
    assert bench.get(APPLICATION)["status"]["sync"]["status"] == "Synced"
