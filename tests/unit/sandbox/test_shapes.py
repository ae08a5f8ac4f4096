"""What is of the wrong type is refused when it is decoded; what nobody foresaw does not stop the cluster."""

from typing import Any

import pytest

from sandbox.errors import ApiError
from sandbox.objects import Obj
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, Bench, deployment


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def _with(path: str, value: Any) -> Obj:
    made = deployment("odd")
    here: Any = made
    *steps, last = path.split(".")
    for step in steps:
        here = here[int(step)] if step.isdigit() else here[step]
    here[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("spec.replicas", "three", "string into Go struct field DeploymentSpec.spec.replicas of type int32"),
        ("spec.template", "x", "string into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec"),
        ("spec.template.spec.containers", {"name": "a"}, "object into Go struct field PodSpec"),
        ("spec.template.spec.containers.0.image", 5, "number into Go struct field Container"),
        ("spec.template.spec.containers.0.resources", {"limits": {"cpu": []}}, "of type v1.ResourceList"),
        ("metadata.labels", {"a": True}, "of type map[string]string"),
        ("spec.selector", ["app"], "array into Go struct field DeploymentSpec.spec.selector of type v1.LabelSelector"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(bench: Bench, path: str, value: Any, said: str) -> None:
    with pytest.raises(ApiError) as refused:
        bench.create(DEPLOYMENTS, _with(path, value))
    assert refused.value.code == 400
    assert refused.value.message.startswith(
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal'
    )
    assert said in refused.value.message


def test_null_is_an_absent_field(bench: Bench) -> None:
    made = bench.create(DEPLOYMENTS, {**_with("spec.replicas", None), "metadata": {"name": "nulls", "labels": None}})
    assert made["spec"]["replicas"] == 1


@pytest.mark.parametrize("body", [[], "x", 5, None, {"metadata": []}, {"metadata": {"name": 7}}, {"data": ["a"]}])
def test_a_body_that_is_no_object_is_refused(bench: Bench, body: Any) -> None:
    with pytest.raises(ApiError) as refused:
        bench.answer("POST", CONFIG_MAPS, body)
    assert refused.value.code in (400, 422)


def test_two_replica_sets_with_one_template_come_to_rest(bench: Bench) -> None:
    sets = "/apis/apps/v1/namespaces/shop/replicasets"
    twin = bench.get(sets, labelSelector="app=cart")["items"][0]
    twin["metadata"] = {**twin["metadata"], "name": "twin"}
    bench.create(sets, twin)
    bench.pass_time(120)
    assert bench.get(f"{DEPLOYMENTS}/cart")["status"]["readyReplicas"] == 2
    sizes = {s["metadata"]["name"]: s["spec"]["replicas"] for s in bench.get(sets, labelSelector="app=cart")["items"]}
    assert sorted(sizes.values()) == [0, 2]
