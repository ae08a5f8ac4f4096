"""Junk in any field of any object: the engine answers, no rule fails, remedies and wording hold."""

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.diagnosis import diagnose
from knowledge.remedies import recommend
from knowledge.wording import say
from protocol.commands import Diagnose
from tests.unit.knowledge.shop import catalog_image, checkout_config, payments_oom, reports_cpu, search_healthy, worker_env
from tests.unit.knowledge.world import World

WORLDS: list[Callable[[], World]] = [payments_oom, checkout_config, catalog_image, worker_env, reports_cpu, search_healthy]
JUNK: list[Any] = [None, 7, "x", [], {}, [1], [None], ["a"], True, -1, "2026-13-99", "\x00", {"a": None}, [{"name": None}], 1.5]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        rows = list(cast(dict[Any, Any], value).items())
    else:
        rows = list(enumerate(cast(list[Any], value))) if isinstance(value, list) else []
    for key, inner in rows:
        yield (*path, key)
        yield from places(inner, (*path, key))


def spoil(world: World, chance: Random) -> None:
    made: Any = chance.choice(world.objects)
    path = chance.choice(list(places(made)))
    for key in path[:-1]:
        made = made[key]
    made[path[-1]] = copy.deepcopy(chance.choice(JUNK))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(chance=st.randoms(use_true_random=False))
def test_junk_breaks_nothing(chance: Random) -> None:
    world = chance.choice(WORLDS)()
    view = world.view()  # the objects are spoilt after they were indexed, and before
    for _ in range(10):
        spoil(world, chance)
    for seen in (view, world.view()):
        for request in (Diagnose(), Diagnose(words=("payments", "web")), Diagnose(namespace="shop")):
            found = diagnose(seen, request)
            recommend(found)
            say(found, "zh")
            assert not [limit for limit in found.limits if limit.startswith("rule ")]
