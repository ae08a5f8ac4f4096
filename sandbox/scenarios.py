"""Scenarios: what is broken, why, how it heals, all of it data in scenarios/*.yaml.

The past is not invented: the same controllers live through it on a clock that starts weeks ago, so
that restart counts, events, revisions and managedFields fit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, cast

import orjson
import yaml

from sandbox import patches, programs
from sandbox.clock import duration, epoch
from sandbox.cluster import Cluster
from sandbox.defaults import fill
from sandbox.deletion import delete_gracefully
from sandbox.errors import ApiError
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, clone, condition, labels_of, name_of, namespace_of, number, rows, sub, text, texts
from sandbox.programs import Outcome
from sandbox.resources import BY_KIND, DEPLOYMENT, NODE, POD, Resource
from sandbox.selectors import matches

DEFAULT_SCENARIOS = ("payments-oom", "checkout-configmap", "search-healthy")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SHOP = "shop"
_PATCH_TYPES = {"strategic": patches.STRATEGIC_PATCH, "merge": patches.MERGE_PATCH, "json": patches.JSON_PATCH}


@dataclass(frozen=True)
class Scenario:
    """One file. `steps` break the cluster, oldest first; `mend` is one right fix."""

    id: str
    title: str
    questions: dict[str, list[str]]
    truth: Obj
    fixes: list[Obj]
    wrong: list[Obj]
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
        steps=rows(raw, "break"),
        mend=rows(raw, "heal"),
        health=rows(raw, "health"),
    )


class Scenarios:
    """The scenarios of one running cluster: which were started, and how they stand."""

    def __init__(self, cluster: Cluster, kubelet: Kubelet, catalogue: programs.Catalogue) -> None:
        self.cluster, self.kubelet, self.catalogue = cluster, kubelet, catalogue
        self.started: list[str] = []

    def names(self) -> list[str]:
        return list(load())

    def hostile_lines(self) -> list[str]:
        """Log lines as an attacker would have a program write them."""
        return texts(_shop(), "hostile_lines")

    def play_history(self, chosen: Sequence[str], now: float) -> None:
        """Live through the weeks before `now`: the shop is set up, then what was chosen goes wrong."""
        unknown = [name for name in chosen if name not in load()]
        if unknown:
            raise ValueError(f"no scenario {unknown[0]!r}; there are: {', '.join(load())}")
        shop = _shop()
        for row in rows(shop, "programs"):
            program = programs.parse(row)
            self.catalogue.programs[program.image] = program
        steps = [(duration(str(step["ago"])), step) for step in rows(shop, "history")]
        for name in chosen:
            steps += [(duration(str(step["ago"])), step) for step in load()[name].steps]
            self.started.append(name)
        self.cluster.clock.now = now - max((ago for ago, _ in steps), default=0.0) - 1
        for ago, step in sorted(steps, key=lambda row: -row[0]):
            self.cluster.run_until(now - ago)
            self._do(step)
        self.cluster.run_until(now)

    def start(self, name: str) -> None:
        """Break it now. Raises ApiError 404."""
        for step in _find(name).steps:
            self._do(step)
        if name not in self.started:
            self.started.append(name)
        self.cluster.settle()

    def heal(self, name: str) -> None:
        """Apply the right fix. Raises ApiError 404."""
        for step in _find(name).mend:
            self._do(step)
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
        why = [said for check in _find(name).health if (said := self._unhealthy(check))]
        started = name in self.started
        return {
            "id": name,
            "started": started,
            "broken": started and bool(why),
            "healthy": not why,
            "why": "; ".join(why) or "all checks of the scenario pass",
        }

    def _unhealthy(self, check: Obj) -> str:
        name, wanted = text(check, "deployment"), number(check, "replicas", default=1)
        namespace = text(check, "namespace") or _SHOP
        found = self.cluster.store.get(DEPLOYMENT, namespace, name)
        if found is None:
            return f"Deployment/{namespace}/{name} does not exist"
        status, replicas = sub(found, "status"), number(found, "spec", "replicas")
        if replicas < wanted:
            return f"Deployment/{namespace}/{name} asks for {replicas} replicas, {wanted} are needed"
        if status.get("observedGeneration") != found["metadata"]["generation"]:
            return f"Deployment/{namespace}/{name}: the last change is not rolled out yet"
        for field in ("updatedReplicas", "readyReplicas", "replicas"):
            if status.get(field, 0) != replicas:
                return f"Deployment/{namespace}/{name}: {field} is {status.get(field, 0)} of {replicas}"
        steady = duration(str(check.get("for", "0s"))) / self.cluster.clock.speed
        selector = sub(found, "spec", "selector")
        for pod in self.cluster.store.list(POD, namespace):
            since = epoch(text(condition(pod, "Ready"), "lastTransitionTime"))
            if matches(selector, labels_of(pod)) and self.cluster.clock.now - since < steady:
                return f"Pod/{namespace}/{name_of(pod)} is ready for less than {steady:g} s"
        return ""

    def _do(self, step: Obj) -> None:
        manager = text(step, "by") or "kubectl"
        for obj in rows(step, "apply"):
            self._apply(obj, manager)
        if change := sub(step, "patch"):
            self._patch(change, manager)
        if target := sub(step, "delete"):
            resource, namespace = BY_KIND[text(target, "kind")], text(target, "namespace") or _SHOP
            obj = self.cluster.store.need(resource, namespace, text(target, "name"))
            delete_gracefully(self.cluster, resource, obj)
        if surge := sub(step, "surge"):
            self.kubelet.surge(_SHOP, text(surge, "workload"), duration(text(surge, "for")), float(surge["cpu"]))
        if crash := sub(step, "crash"):
            lines = tuple(str(line) for line in cast(list[Any], crash.get("log", [])))
            result = Outcome(0.0, number(crash, "exit"), text(crash, "reason") or "Error", lines)
            self.kubelet.crash(_SHOP, text(crash, "workload"), result)
        if blip := sub(step, "blip"):
            self.kubelet.blip(_SHOP, text(blip, "workload"), duration(text(blip, "for")), text(blip, "message"))

    def _apply(self, wanted: Obj, manager: str) -> None:
        resource = BY_KIND[text(wanted, "kind")]
        obj = clone(wanted)
        if resource.namespaced:
            obj["metadata"].setdefault("namespace", _SHOP)
        namespace = namespace_of(obj) if resource.namespaced else ""
        if resource is not NODE and manager == "kubectl-client-side-apply":
            notes = obj["metadata"].setdefault("annotations", {})
            plain: Obj = {**obj, "metadata": {**obj["metadata"], "annotations": {}}}
            notes[_LAST_APPLIED] = orjson.dumps(plain).decode() + "\n"
        fill(self.cluster, resource, obj)
        old = self.cluster.store.get(resource, namespace, name_of(obj))
        if old is None:
            self.cluster.store.create(resource, obj, manager)
            return
        merged = patches.strategic(clone(old), obj, "service" if resource.kind == "Service" else "")
        self.cluster.store.update(resource, merged, manager)

    def _patch(self, change: Obj, manager: str) -> None:
        resource: Resource = BY_KIND[text(change, "kind")]
        namespace = (text(change, "namespace") or _SHOP) if resource.namespaced else ""
        old = self.cluster.store.need(resource, namespace, text(change, "name"))
        kind = _PATCH_TYPES[text(change, "type") or "strategic"]
        obj = patches.patched(old, clone({"body": change["body"]})["body"], kind)
        fill(self.cluster, resource, obj)
        self.cluster.store.update(resource, obj, manager)


def _find(name: str) -> Scenario:
    found = load().get(name)
    if found is None:
        raise ApiError(404, f"no scenario {name!r}; there are: {', '.join(load())}")
    return found
