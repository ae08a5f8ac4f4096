"""Which objects a question means."""

import pytest

from knowledge.diagnosis import resolve
from tests.unit.knowledge.shop import shop
from tests.unit.knowledge.world import World, container


def world() -> World:
    made = shop()
    made.deployment("payments-worker", container("payments-worker"))
    made.deployment("billing", namespace="default")
    made.add("StatefulSet", "shop", "db", meta={"labels": {"app": "postgres"}}, spec={"replicas": 0, "template": {"spec": {}}})
    made.add("CronJob", "shop", "nightly", spec={})
    made.add("PersistentVolumeClaim", "shop", "data-db-0", spec={}, status={"phase": "Bound"})
    made.add("Deployment", "kube-system", "payments", meta={"labels": {}}, spec={"replicas": 0, "template": {"spec": {}}})
    return made


@pytest.mark.parametrize(
    ("question", "namespace", "expected"),
    [
        ("why does payments keep restarting", "shop", ["Deployment/shop/payments"]),
        ("payments", "kube-system", ["Deployment/kube-system/payments"]),
        ("payments", None, ["Deployment/kube-system/payments", "Deployment/shop/payments"]),
        ("is Checkout broken?", None, ["Deployment/shop/checkout"]),
        ("what about service checkout", None, ["Service/shop/checkout"]),
        ("svc/checkout", None, ["Service/shop/checkout"]),
        ("shop/checkout", None, ["Deployment/shop/checkout"]),
        ("deploy/shop/checkout", None, ["Deployment/shop/checkout"]),
        ("payments-7d9f8b6c5d-x2k4q", None, ["Pod/shop/payments-7d9f8b6c5d-x2k4q"]),
        ("payments-84d7c9f9b6-zzzzz", "shop", ["Deployment/shop/payments"]),  # a pod that is gone
        ("why is an alert firing for pod/shop/payments-84d7c9f9b6-zzzzz", None, ["Deployment/shop/payments"]),
        ("pod/payments-84d7c9f9b6-zzzzz", "kube-system", ["Deployment/kube-system/payments"]),
        ("pod/default/payments-84d7c9f9b6-zzzzz", None, []),  # of that namespace nothing is called so
        ("pod/shop/db-7", None, ["StatefulSet/shop/db"]),
        ("pod/shop/db", None, []),
        ("postgres", None, ["StatefulSet/shop/db"]),  # by label app
        ("bill", None, ["Deployment/default/billing"]),  # by prefix
        ("worker-1", None, ["Node//worker-1"]),
        ("checkout-config", None, ["ConfigMap/shop/checkout-config"]),
        ("data-db-0", None, ["PersistentVolumeClaim/shop/data-db-0"]),
        ("nightly", None, ["CronJob/shop/nightly"]),
        ("what is wrong in shop", None, ["Namespace//shop"]),
        ("search in shop", None, ["Deployment/shop/search"]),
        ("payemnts", "shop", ["Deployment/shop/payments"]),  # typos
        ("chekout", None, ["Deployment/shop/checkout"]),
        ("serach", None, ["Deployment/shop/search"]),
        ("'checkout'。", None, []),
        ("`checkout`,", None, ["Deployment/shop/checkout"]),
        ("why is everything broken", None, []),
        ("", None, []),
    ],
)
def test_words_mean_objects(question: str, namespace: str | None, expected: list[str]) -> None:
    found = resolve(world().view(), question.split(), namespace)
    assert [str(key) for key in found.targets] == expected


def test_a_typo_is_said() -> None:
    assert resolve(world().view(), ["chekout"]).guessed == "chekout was read as checkout"


def test_what_an_alert_is_called_is_no_name() -> None:
    question = "why is an alert firing for pod/shop/zebra-7d9f8b6c5d-x2k4q and pod/shop/zebra-1"
    found = resolve(world().view(), question.split())
    assert found.unknown == "nothing called pod/shop/zebra-7d9f8b6c5d-x2k4q, pod/shop/zebra-1 can be seen"


def test_nothing_near_is_said_with_what_comes_closest() -> None:
    found = resolve(world().view(), ["chutney"])
    assert found.targets == ()
    assert "nothing called chutney" in found.unknown

    assert (
        "checkout" in resolve(world().view(), ["check-in-desk"]).unknown
        or resolve(world().view(), ["check-in-desk"]).near == ()
    )


def test_words_without_any_name_mean_nothing_in_particular() -> None:
    found = resolve(world().view(), ["why", "is", "it", "down"])
    assert found.targets == ()
    assert found.unknown == ""


@pytest.mark.parametrize("word", ["../../etc", "a" * 5000, "$(reboot)", "<b>", "\x00", "..."])
def test_odd_words_are_harmless(word: str) -> None:
    assert resolve(world().view(), [word]).targets == ()


@pytest.mark.parametrize(
    "question",
    [
        "several pods are stuck in Terminating since yesterday",
        "what happened after the last rollout?",
        "customers got timeouts again, did anyone deploy something?",
        "is traffic still going down now",
    ],
)
def test_a_question_that_names_nothing_is_about_everything(question: str) -> None:
    found = resolve(world().view(), question.split())
    assert (found.targets, found.unknown) == ((), "")
