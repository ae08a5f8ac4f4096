"""Cause and effect among hits: which hit explains which, which are roots, and in what order they are reported.

A hit explains another when it stands on the same object and is nearer to the root (catalogue tier), or when the other's
object depends on its object and the other's code can come from that kind of dependency (catalogue channels). What is
explained is never reported beside what explains it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from knowledge.diagnosis.catalogue import Channel, Tier, entry
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import number, text
from knowledge.diagnosis.hit import Hit
from knowledge.diagnosis.view import Key

JUST_BEFORE = timedelta(hours=2)
MAX_STEPS = 400
PASSED_ON = ("dependency-unreachable", "upstream-errors")
"""What a workload passes on to its callers while its own pods are ready."""


@dataclass(slots=True)
class Root:
    """A hit that nothing explains, with what it explains (transitively) and why it stands where it stands."""

    hit: Hit
    explained: list[Hit]
    score: float = 0.0
    confidence: float = 0.0
    reasons: list[str] = field(default_factory=list[str])


def find_roots(context: Context, hits: Sequence[Hit], weights: Mapping[str, float]) -> list[Root]:
    """Roots, best first. Supporting hits that explain nothing are no roots."""
    causes = _causes(context, hits)
    effects: dict[int, list[int]] = {}
    for effect, found in enumerate(causes):
        for cause in found:
            effects.setdefault(cause, []).append(effect)
    live = [n for n, hit in enumerate(hits) if not hit.supporting or effects.get(n)]
    order = sorted((n for n in live if not causes[n]), key=lambda n: -len(effects.get(n, ())))
    reached: dict[int, set[int]] = {}
    covered: set[int] = set()
    for n in order:
        reached[n] = _reach(n, effects)
        covered |= reached[n] | {n}
    for n in sorted((n for n in live if n not in covered), key=lambda n: _cycle_order(hits[n])):
        if n not in covered:  # a cycle: its best hit stands for it
            reached[n] = _reach(n, effects) - {n}
            covered |= reached[n] | {n}
    roots = [Root(hits[n], [hits[e] for e in sorted(found)]) for n, found in reached.items()]
    earliest = min((hit.since for hit in hits if hit.since), default=None)
    for root in roots:
        _score(context, root, weights, earliest is not None and root.hit.since == earliest)
    return sorted(roots, key=lambda root: (-root.score, str(root.hit.object)))


def _reach(start: int, effects: Mapping[int, list[int]]) -> set[int]:
    seen: set[int] = set()
    todo = list(effects.get(start, ()))
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo.extend(effects.get(here, ()))
    return seen - {start}


def _cycle_order(hit: Hit) -> tuple[int, float, str]:
    return -entry(hit.code).tier, hit.since.timestamp() if hit.since else math.inf, str(hit.object)


def _causes(context: Context, hits: Sequence[Hit]) -> list[list[int]]:
    """For each hit, the hits that explain it directly."""
    at: dict[Key, list[int]] = {}
    for n, hit in enumerate(hits):
        at.setdefault(hit.object, []).append(n)
    found: list[list[int]] = []
    for n, effect in enumerate(hits):
        mine = [c for c in at.get(effect.object, ()) if c != n and _explains_here(hits[c], effect)]
        for key in _depends_on(context, effect):
            others = at.get(key, ()) if key != effect.object else ()
            mine += [c for c in others if _explains_there(context, hits[c], effect)]
        found.append(list(dict.fromkeys(mine)))
    return found


def _explains_here(cause: Hit, effect: Hit) -> bool:
    """Same object: the tier decides; another container's trouble explains only what concerns the whole object."""
    if entry(cause.code).tier <= entry(effect.code).tier:
        return False
    if cause.supporting and not _fits_support(cause, effect):
        return False
    if cause.container and effect.container and cause.container != effect.container:
        return entry(effect.code).tier is Tier.SYMPTOM
    return True


def _explains_there(context: Context, cause: Hit, effect: Hit) -> bool:
    if cause.supporting and not _fits_support(cause, effect):
        return False
    if cause.object.kind == "Node":
        return _mostly_on(context, effect, cause.object.name)
    if context.graph.is_workload(cause.object) and cause.code not in PASSED_ON:
        return impaired(context, cause.object)
    return True


def _fits_support(cause: Hit, effect: Hit) -> bool:
    """A wrong setting explains what points at the thing it names; without such a pointer, only if it was changed before."""
    missing = str(cause.facts.get("missing_service", ""))
    if missing and effect.towards:
        return any(str(key) == missing for key in effect.towards)
    if cause.code == "scaled-to-zero" or not missing:
        return True
    return "previous" in cause.facts and (
        cause.since is None or effect.since is None or cause.since <= effect.since + JUST_BEFORE
    )


def _mostly_on(context: Context, effect: Hit, node: str) -> bool:
    nodes = [text(context.view.get(pod) or {}, "spec", "nodeName") for pod in effect.affected if pod.kind == "Pod"]
    return not nodes or sum(1 for name in nodes if name == node) * 2 >= len(nodes)


def impaired(context: Context, workload: Key) -> bool:
    """Does the workload fail those who call it? Not while a stuck roll-out leaves enough old pods ready."""
    pods = context.view.pods_of(workload)
    wanted = number(context.view.get(workload) or {}, "spec", "replicas", default=len(pods) or 1)
    ready = context.ready_pods(pods)
    if ready == 0 or ready < 0.7 * wanted:
        return True
    return any(
        container.ended_recently(context.now) for pod in pods if context.troubled(pod) for container in context.containers(pod)
    )


def _depends_on(context: Context, effect: Hit) -> set[Key]:
    """What the effect's object needs, one workload far. Evidence that names a dependency leaves only that one."""
    edges = context.graph.edges(effect.object)
    if effect.towards:
        # The setting that names the address stands in the object's own configuration; its own policies may stop the call.
        own = (Channel.CONFIG, Channel.TRAFFIC) if Channel.TRAFFIC in entry(effect.code).channels else (Channel.CONFIG,)
        starts = [*effect.towards, *(edge.to for edge in edges if edge.channel in own)]
    else:
        starts = [edge.to for edge in edges if edge.channel in entry(effect.code).channels]
    found: set[Key] = set()
    todo = starts[:MAX_STEPS]
    while todo and len(found) < MAX_STEPS:
        key = todo.pop()
        if key == effect.object or key in found:
            continue
        found.add(key)
        if context.graph.is_workload(key):
            found.update(pod for pod in context.view.pods_of(key) if context.troubled(pod))
        else:
            todo.extend(edge.to for edge in context.graph.edges(key))
    return found


def _score(context: Context, root: Root, weights: Mapping[str, float], first: bool) -> None:
    hit, code = root.hit, entry(root.hit.code)
    weight = min(2.0, max(0.5, weights.get(hit.code, 1.0)))
    objects = {effect.object for effect in root.explained} - {hit.object}
    root.score = code.tier / Tier.CAUSE * code.prior * weight * hit.confidence
    root.reasons.append(f"{code.tier.name.lower()}: {code.title.lower()} is {_nearness(code.tier)}")
    if root.explained:
        root.score += 0.12 * math.log2(1 + len(root.explained))
        names = ", ".join(sorted(str(key) for key in objects)[:4])
        root.reasons.append(f"explains {len(root.explained)} other findings" + (f" ({names})" if names else ""))
    root.reasons.append("nothing that was found explains it")
    if first:
        root.score += 0.08
        root.reasons.append("it is the first sign of trouble")
    change = _change_before(context, hit)
    if change:
        root.score += 0.1
        root.reasons.append(change)
    if weight != 1.0:
        root.reasons.append(f"weight {weight:g} from feedback")
    boost = 0.03 * bool(change) + 0.02 * bool(objects) + 0.04 * math.log2(weight)
    root.confidence = round(min(0.98, max(0.05, hit.confidence + boost)), 2)


def _nearness(tier: Tier) -> str:
    return {
        Tier.CAUSE: "something that can be put right directly",
        Tier.MECHANISM: "how it fails",
        Tier.CHANGE: "the change that it began with",
        Tier.FAILURE: "a failure whose reason is not seen",
        Tier.SYMPTOM: "only what is seen from outside",
    }[tier]


def _change_before(context: Context, hit: Hit) -> str:
    """In words: the object changed within JUST_BEFORE of the first sign. "" if not."""
    moment = hit.since or context.now
    for change in context.changes(hit.object):
        if change.at is not None and -JUST_BEFORE <= moment - change.at <= JUST_BEFORE:
            return f"{change.path} was changed at {change.at:%Y-%m-%d %H:%M:%S} UTC, near its first sign"
    return ""
