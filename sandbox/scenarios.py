"""Scenarios: what is broken, why, how it heals, all of it data in scenarios/*.yaml.

The past is not invented: the same controllers live through it on a clock that starts weeks ago, so
that restart counts, events, revisions and managedFields fit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import cast

import yaml

from sandbox import programs, rbac
from sandbox.clock import duration
from sandbox.errors import ApiError
from sandbox.health import complaint
from sandbox.objects import Obj, rows, sub, text, texts
from sandbox.steps import Stage

DEFAULT_SCENARIOS = ("payments-oom", "checkout-configmap", "search-healthy", "invoices-silent", "rates-partner-down")
_SHOP = "shop"


@dataclass(frozen=True)
class Scenario:
    """One file. `steps` break the cluster, oldest first; `mend` is one right fix; `programs` are what only it runs."""

    id: str
    title: str
    questions: dict[str, list[str]]
    truth: Obj
    fixes: list[Obj]
    wrong: list[Obj]
    programs: list[Obj]
    steps: list[Obj]
    mend: list[Obj]
    health: list[Obj]


@cache
def load() -> dict[str, Scenario]:
    """All scenarios by id."""
    found: dict[str, Scenario] = {}
    for entry in sorted(resources.files("sandbox").joinpath("scenarios").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".yaml") and entry.name != f"{_SHOP}.yaml":
            raw = _read(entry)
            found[str(raw["id"])] = _scenario(raw)
    return found


@cache
def _shop() -> Obj:
    return _read(resources.files("sandbox").joinpath("scenarios", f"{_SHOP}.yaml"))


def _read(path: Traversable) -> Obj:
    """Parsed with libyaml where it is built in: 10 times faster, and start-up waits for it."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return cast(Obj, loader(path.read_text(encoding="utf-8")).get_single_data())


def _scenario(raw: Obj) -> Scenario:
    return Scenario(
        id=text(raw, "id"),
        title=text(raw, "title"),
        questions=cast(dict[str, list[str]], sub(raw, "questions")),
        truth=sub(raw, "truth"),
        fixes=rows(raw, "fixes"),
        wrong=rows(raw, "does_not_heal"),
        programs=rows(raw, "programs"),
        steps=rows(raw, "break"),
        mend=rows(raw, "heal"),
        health=rows(raw, "health"),
    )


class Scenarios:
    """The scenarios of one running cluster: which were started, and how they stand."""

    def __init__(self, stage: Stage, catalogue: programs.Catalogue) -> None:
        self.stage, self.catalogue = stage, catalogue
        self.cluster, self.kubelet = stage.cluster, stage.kubelet
        self.started: list[str] = []

    def names(self) -> list[str]:
        return list(load())

    def hostile_lines(self) -> list[str]:
        """Log lines as an attacker would have a program write them."""
        return texts(_shop(), "hostile_lines")

    def learn_programs(self) -> None:
        """Know how the programs of the shop and of all scenarios behave."""
        told = (row for scenario in load().values() for row in scenario.programs)
        for row in (*rows(_shop(), "programs"), *told):
            program = programs.parse(row)
            self.catalogue.programs[program.image] = program

    def play_history(self, chosen: Sequence[str], now: float) -> None:
        """Live through the weeks before `now`: the shop is set up, then what was chosen goes wrong."""
        unknown = [name for name in chosen if name not in load()]
        if unknown:
            raise ValueError(f"no scenario {unknown[0]!r}; there are: {', '.join(load())}")
        self.learn_programs()
        shop = _shop()
        steps = [(duration(str(step["ago"])), step) for step in rows(shop, "history")]
        for name in chosen:
            steps += [(duration(str(step["ago"])), step) for step in load()[name].steps]
            self.started.append(name)
        self.cluster.clock.now = now - max((ago for ago, _ in steps), default=0.0) - 1
        rbac.install(self.cluster)
        for ago, step in sorted(steps, key=lambda row: -row[0]):
            self.cluster.run_until(now - ago)
            self.stage.do(step)
        self.cluster.run_until(now)

    def start(self, name: str) -> None:
        """Break it now. Raises ApiError 404."""
        for step in _find(name).steps:
            self.stage.do(step)
            self.cluster.settle()
        if name not in self.started:
            self.started.append(name)
        self.cluster.settle()

    def heal(self, name: str) -> None:
        """Apply the right fix. Raises ApiError 404."""
        for step in _find(name).mend:
            self.stage.do(step)
            self.cluster.settle()

    def describe(self, name: str) -> Obj:
        scenario = _find(name)
        return {
            "id": scenario.id,
            "title": scenario.title,
            "questions": scenario.questions,
            "truth": scenario.truth,
            "fixes": scenario.fixes,
            "does_not_heal": scenario.wrong,
            **self.status(name),
        }

    def status(self, name: str) -> Obj:
        """{id, started, broken, healthy, why}. Raises ApiError 404."""
        started = name in self.started
        judged = (complaint(self.cluster, self.kubelet, check, started=started) for check in _find(name).health)
        why = [said for said in judged if said]
        return {
            "id": name,
            "started": started,
            "broken": started and bool(why),
            "healthy": not why,
            "why": "; ".join(why) or "all checks of the scenario pass",
        }


def _find(name: str) -> Scenario:
    found = load().get(name)
    if found is None:
        raise ApiError(404, f"no scenario {name!r}; there are: {', '.join(load())}")
    return found
