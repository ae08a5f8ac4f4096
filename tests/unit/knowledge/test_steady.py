"""Since when something has been well: a table of what may still be a pause between two crashes."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from knowledge.diagnosis import diagnose
from knowledge.diagnosis.hit import Hit
from knowledge.diagnosis.rules import RULES, Rule
from protocol.commands import Diagnose
from protocol.objects import ObjectRef
from tests.unit.knowledge.shop import payments_oom, shop
from tests.unit.knowledge.world import NOW, Obj, World, ago

PAYMENTS = Diagnose(target=ObjectRef.parse("Deployment/shop/payments"))
DAYS = NOW - timedelta(days=6)


def first(world: World) -> Obj:
    return world.pods_named("payments")[0]


def restarted(world: World) -> None:
    """Once, and it runs and is ready: the rules call that history."""
    last = {"exitCode": 1, "reason": "Error", "finishedAt": ago(seconds=60)}
    first(world)["status"]["containerStatuses"][0].update(restartCount=1, lastState={"terminated": last})


def restarted_at_an_unknown_time(world: World) -> None:
    first(world)["status"]["containerStatuses"][0].update(restartCount=1, lastState={"terminated": {"exitCode": 1}})


def ready_again(world: World) -> None:
    first(world)["status"]["conditions"][1].update(lastTransitionTime=ago(minutes=4))


def warned(world: World) -> None:
    world.event(first(world), "Unhealthy", "Readiness probe failed", first=ago(minutes=9), last=ago(seconds=90), count=3)


def warned_of_itself(world: World) -> None:
    world.event(world.get("Deployment", "payments"), "Odd", "something odd", first=ago(minutes=2), last=ago(minutes=2))


def told_without_alarm(world: World) -> None:
    world.event(first(world), "Pulled", "image is there", first=ago(minutes=1), last=ago(minutes=1), warning=False)


def another_restarted(world: World) -> None:
    last = {"exitCode": 1, "reason": "Error", "finishedAt": ago(seconds=60)}
    world.pods_named("web")[0]["status"]["containerStatuses"][0].update(restartCount=1, lastState={"terminated": last})


def without_pods(world: World) -> None:
    world.get("Deployment", "payments")["spec"]["replicas"] = 0
    for pod in world.pods_named("payments"):
        world.objects.remove(pod)


ROWS: list[tuple[Callable[[World], None], datetime | None]] = [
    (lambda _: None, DAYS),
    (restarted, NOW - timedelta(seconds=60)),
    (restarted_at_an_unknown_time, None),
    (ready_again, NOW - timedelta(minutes=4)),
    (warned, NOW - timedelta(seconds=90)),
    (warned_of_itself, NOW - timedelta(minutes=2)),
    (told_without_alarm, DAYS),
    (another_restarted, DAYS),
    (without_pods, None),
]


@pytest.mark.parametrize(("change", "since"), ROWS, ids=[change.__name__.strip("<>") for change, _ in ROWS])
def test_since_when_payments_is_well(change: Callable[[World], None], since: datetime | None) -> None:
    world = shop()
    change(world)
    found = diagnose(world.view(), PAYMENTS)
    assert (found.healthy, found.steady_since) == (True, since)


def test_what_is_in_trouble_is_not_steady() -> None:
    found = diagnose(payments_oom().view(), PAYMENTS)
    assert (found.healthy, found.steady_since) == (False, None)


def test_the_whole_cluster_is_not_dated() -> None:
    found = diagnose(shop().view(), Diagnose())
    assert (found.healthy, found.steady_since) == (True, None)


def test_a_rule_that_failed_may_have_missed_something() -> None:
    def broken(*_: object) -> list[Hit]:
        raise RuntimeError("a rule with a fault")

    rules = (*RULES, Rule("broken", ("Deployment",), broken))
    found = diagnose(shop().view(), PAYMENTS, rules=rules)
    assert (found.healthy, found.steady_since) == (True, None)
