"""Changes that objects tell: revisions, last-applied, who and when."""

from knowledge.diagnosis.changes import changes_of, template_difference
from knowledge.diagnosis.fields import Obj
from knowledge.diagnosis.view import Key
from tests.unit.knowledge.shop import checkout_config, payments_oom, shop
from tests.unit.knowledge.world import ago, stamp


def test_a_revision_says_what_changed_when_and_by_whom() -> None:
    world = shop()
    world.revise(
        "payments",
        lambda spec: spec["containers"][0].update(image="registry.example/shop/payments:2", env=[{"name": "A", "value": "1"}]),
        at=ago(minutes=7),
        by="ci-bot",
    )
    found = changes_of(world.view(), Key("Deployment", "shop", "payments"))

    rows = {(change.path, change.before, change.after) for change in found}
    assert rows == {
        (
            "spec.template.spec.containers[payments].image",
            "registry.example/shop/payments:1.4.2",
            "registry.example/shop/payments:2",
        ),
        ("spec.template.spec.containers[payments].env[A].value", None, "1"),
    }
    assert {change.by for change in found} == {"ci-bot"}
    assert {stamp(change.at) for change in found if change.at} == {ago(minutes=7)}


def test_a_configmap_says_what_differs_from_what_was_applied() -> None:
    found = changes_of(checkout_config().view(), Key("ConfigMap", "shop", "checkout-config"))
    assert [(change.path, change.before, change.after, change.by) for change in found] == [
        ("data.PAYMENTS_URL", "http://payments:8080", "http://payments-v2:8080", "kubectl-edit")
    ]


def test_an_old_revision_is_no_recent_change() -> None:
    world = shop()
    world.revise("payments", lambda spec: spec.update(hostNetwork=True), at=ago(days=9))
    assert changes_of(world.view(), Key("Deployment", "shop", "payments")) == []


def test_controllers_are_not_who() -> None:
    world = payments_oom()
    deployment = world.get("Deployment", "payments")
    deployment["metadata"]["managedFields"].append(
        {"manager": "kube-controller-manager", "operation": "Update", "time": ago(minutes=1), "subresource": "status"}
    )
    assert {change.by for change in changes_of(world.view(), Key("Deployment", "shop", "payments"))} == {"kubectl-edit"}


def test_a_broken_annotation_tells_nothing() -> None:
    world = checkout_config()
    config = world.get("ConfigMap", "checkout-config")
    config["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = "{not json"
    assert changes_of(world.view(), Key("ConfigMap", "shop", "checkout-config")) == []


def test_template_difference_matches_lists_by_name() -> None:
    before: Obj = {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}], "volumes": None}
    after = {
        "containers": [{"name": "b", "image": "y:2"}, {"name": "a", "image": "x:1"}],
        "volumes": [{"name": "v", "emptyDir": dict[str, str]()}],
    }
    assert list(template_difference(before, after)) == [
        ("spec.template.spec.containers[b].image", "y:1", "y:2"),
        ("spec.template.spec.volumes[v].emptyDir", None, "{}"),
    ]
