"""Pods that no node takes: the scheduler's message read clause by clause, compared with what the nodes have."""

import re
from collections.abc import Iterator
from datetime import timedelta

from knowledge.diagnosis import quantity
from knowledge.diagnosis.context import Context, path_of_template
from knowledge.diagnosis.fields import Obj, rows, strings, sub, text, time_at
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_event, quote_field
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

# "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) didn't match Pod's node affinity/selector. preemption: …"
_HEAD = re.compile(r"^(\d+)/(\d+) nodes are available: ?(.*)$", re.DOTALL)
_CLAUSE = re.compile(r"(\d+) ((?:[^,{]|\{[^}]{0,300}\}|, (?!\d))+)")

CLAUSES: tuple[tuple[str, str], ...] = (
    ("insufficient-cpu", "Insufficient cpu"),
    ("insufficient-memory", "Insufficient memory"),
    ("node-selector-unmatched", "didn't match Pod's node affinity"),
    ("node-selector-unmatched", "didn't match node selector"),
    ("volume-node-conflict", "volume node affinity conflict"),
    ("pod-affinity-unsatisfied", "pod affinity"),
    ("pod-affinity-unsatisfied", "anti-affinity"),
    ("pod-affinity-unsatisfied", "topology spread"),
    ("taint-not-tolerated", "taint"),
    ("taint-not-tolerated", "were unschedulable"),
)
_FREEING = (
    "insufficient-cpu",
    "insufficient-memory",
    "node-selector-unmatched",
    "volume-node-conflict",
    "pod-affinity-unsatisfied",
    "taint-not-tolerated",
)


@rule("Pod")
def unschedulable(context: Context, key: Key, pod: Obj) -> Iterator[Hit]:
    """PodScheduled is False with reason Unschedulable. Claims that wait are the storage rules' business."""
    row = next((row for row in rows(pod, "status", "conditions") if row.get("type") == "PodScheduled"), None)
    if row is None or row.get("status") != "False" or text(row, "reason") != "Unschedulable" or text(pod, "spec", "nodeName"):
        return
    message = text(row, "message")
    at = time_at(row, "lastTransitionTime")
    if at is not None and context.now - at < timedelta(seconds=15):
        return
    workload = context.view.workload(key)
    clauses = read_clauses(message)
    n = rows(pod, "status", "conditions").index(row)
    evidence: list[Quote] = [quote_field(key, f"status.conditions[{n}].message", message, at)]
    evidence += [
        quote_event(key, event) for event in context.view.events(key, "FailedScheduling")[:1] if event.message != message
    ]
    code = _decisive(clauses)
    facts: dict[str, Fact] = {"message": message[:300], **{f"nodes_{name}": count for name, count in clauses.items()}}
    said, more = _compare(context, pod, workload, code)
    facts |= said
    yield Hit(
        code=code,
        object=workload,
        explanation=f"No node takes the pods of {workload.kind} {workload.name}: {_in_words(code, facts)}",
        evidence=(*evidence, *more),
        confidence=0.9 if code != "unschedulable" else 0.6,
        facts=facts,
        since=at,
        affected=(key,),
    )


def read_clauses(message: str) -> dict[str, int]:
    """Catalogue code → number of nodes that the scheduler excluded for it, of the part before "preemption:"."""
    head = _HEAD.match(message.split("preemption:")[0].strip()[:4000])
    found: dict[str, int] = {}
    if head is None:
        return found
    for count, clause in _CLAUSE.findall(head[3]):
        for code, needle in CLAUSES:
            if needle in clause:
                found[code] = found.get(code, 0) + int(count)
                break
    return found


def _decisive(clauses: dict[str, int]) -> str:
    """The one constraint to lift: the first of _FREEING that the most nodes fail, control-plane taints aside."""
    if not clauses:
        return "unschedulable"
    named = {code: count for code, count in clauses.items() if code != "taint-not-tolerated"} or clauses
    return max(named, key=lambda code: (named[code], -_FREEING.index(code)))


def _compare(context: Context, pod: Obj, workload: Key, code: str) -> tuple[dict[str, Fact], list[Quote]]:
    facts: dict[str, Fact] = {}
    quotes: list[Quote] = []
    if code in ("insufficient-cpu", "insufficient-memory"):
        resource = code.removeprefix("insufficient-")
        name, asked = _largest_request(pod, resource)
        if name:
            facts |= {"container": name, "request": asked}
            quotes.append(quote_field(workload, path_of_template(workload, name, f"resources.requests.{resource}"), asked))
            before = text(context.container_before(workload, name), "resources", "requests", resource)
            revision = context.revision_before(workload)
            if before and before != asked and revision:
                facts |= {"previous": before, "revision": revision[0]}
                quotes += context.change_quotes(workload, f"[{name}]", f"requests.{resource}")
        largest = _largest_node(context, resource)
        if largest:
            facts |= {"largest_node": largest[0].name, "largest": largest[1]}
            quotes.append(quote_field(largest[0], f"status.allocatable.{resource}", largest[1]))
            facts["fits_no_node"] = (quantity.parse(asked) or 0) > (quantity.parse(largest[1]) or 0)
    elif code == "node-selector-unmatched":
        selector = strings(sub(pod, "spec"), "nodeSelector")
        if selector:
            facts["selector"] = ",".join(f"{label}={value}" for label, value in sorted(selector.items()))
            quotes.append(quote_field(workload, "spec.template.spec.nodeSelector", selector))
            quotes += context.change_quotes(workload, "nodeSelector")
            revision = context.revision_before(workload)
            if revision and any("nodeSelector" in c.path or "affinity" in c.path for c in context.changes(workload)):
                facts["revision"] = revision[0]
    return facts, quotes


def _largest_request(pod: Obj, resource: str) -> tuple[str, str]:
    asked = [(text(row, "name"), text(row, "resources", "requests", resource)) for row in rows(pod, "spec", "containers")]
    return (
        max(asked, key=lambda pair: quantity.parse(pair[1]) or 0.0, default=("", ""))
        if any(size for _, size in asked)
        else ("", "")
    )


def _largest_node(context: Context, resource: str) -> tuple[Key, str] | None:
    sizes = [(key, text(node, "status", "allocatable", resource)) for key, node in context.view.of_kind("Node").items()]
    return max(sizes, key=lambda pair: quantity.parse(pair[1]) or 0.0, default=None)


def _in_words(code: str, facts: dict[str, Fact]) -> str:
    if code in ("insufficient-cpu", "insufficient-memory"):
        resource = "CPU" if code.endswith("cpu") else "memory"
        if facts.get("fits_no_node"):
            return (
                f"container {facts.get('container')} requests {facts.get('request')} "
                f"{resource}, more than the largest node has ({facts.get('largest')})."
            )
        return (
            f"container {facts.get('container', '?')} requests "
            f"{facts.get('request', '?')} {resource}, and no node has as much left."
        )
    if code == "node-selector-unmatched":
        return f"no node matches its node selector or affinity ({facts.get('selector', 'affinity')})."
    return str(facts["message"])
