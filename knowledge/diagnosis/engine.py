"""diagnose: a view and a question in, a Diagnosis out. Pure; rules are independent, and one that raises becomes a limit."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from knowledge.diagnosis.answer import compose
from knowledge.diagnosis.context import Context
from knowledge.diagnosis.graph import Graph
from knowledge.diagnosis.hit import Hit
from knowledge.diagnosis.ranking import find_roots
from knowledge.diagnosis.resolve import Resolved, resolve
from knowledge.diagnosis.rules import RULES, Rule
from knowledge.diagnosis.scope import Scope, scope_of, scope_of_cluster, scope_of_namespace
from knowledge.diagnosis.view import ClusterView, Key
from protocol.commands import Diagnose
from protocol.diagnosis import Diagnosis

log = logging.getLogger(__name__)

MAX_EVIDENCE = 8


def diagnose(view: ClusterView, request: Diagnose, *, rules: Sequence[Rule] = RULES) -> Diagnosis:
    """What is wrong with the request's target, the objects that its words name, its namespace, or the whole cluster.

    Never raises for what is in the view. `healthy` is said only of objects that exist and were looked at.
    """
    graph = Graph(view)
    context = Context(view, graph, request.changes)
    asked = find_targets(view, request)
    limits = list(view.limits)
    if asked.unknown:
        limits.append(asked.unknown)
        return compose(context, request, asked, Scope((), frozenset(), frozenset()), [], limits)
    scope = _scope(graph, request, asked)
    hits, failed = run_rules(context, scope, rules)
    limits += failed
    roots = find_roots(context, hits, request.weights)
    found = compose(context, request, asked, scope, roots, limits)
    return found.model_copy(update={"steady_since": None}) if failed else found


def find_targets(view: ClusterView, request: Diagnose) -> Resolved:
    """The objects that a request means: its target, else what its words name. None named: a namespace or the cluster."""
    if request.target is not None:
        key = Key(request.target.kind, request.target.namespace, request.target.name)
        if view.get(key) is not None or (key.kind == "Namespace" and key.name in view.namespaces):
            return Resolved((key,))
        return resolve(view, (key.name,), key.namespace or None, kind=key.kind)
    if request.words:
        return resolve(view, request.words, request.namespace)
    if request.namespace and request.namespace not in view.namespaces:
        return Resolved((), unknown=f"there is no namespace {request.namespace} that can be seen")
    return Resolved(())


def _scope(graph: Graph, request: Diagnose, asked: Resolved) -> Scope:
    if asked.targets:
        namespaces = [key for key in asked.targets if key.kind == "Namespace"]
        return scope_of_namespace(graph, namespaces[0].name) if namespaces else scope_of(graph, asked.targets)
    if request.namespace:
        return scope_of_namespace(graph, request.namespace)
    return scope_of_cluster()


def run_rules(context: Context, scope: Scope, rules: Sequence[Rule]) -> tuple[list[Hit], list[str]]:
    """All hits in scope, merged by code, object and container; and a limit for each rule that raised."""
    found: list[Hit] = []
    failed: list[str] = []
    logged = {Key("Pod", key.namespace, key.pod) for key in context.view.logs}
    for rule in rules:
        try:
            for kind in rule.kinds:
                for key in _keys(context, scope, kind, rule, logged):
                    found.extend(rule.check(context, key, context.view.get(key) or {}))
        except Exception as error:
            log.exception("rule %s failed", rule.name)
            failed.append(f"rule {rule.name} failed ({type(error).__name__}) and was left out")
    return merge(found), failed


def _keys(context: Context, scope: Scope, kind: str, rule: Rule, logged: set[Key]) -> Iterable[Key]:
    keys = (
        context.view.of_kind(kind)
        if scope.whole
        else [key for key in scope.related if key.kind == kind and context.view.get(key)]
    )
    if kind != "Pod":
        return list(keys)
    return [key for key in keys if context.troubled(key) or (rule.logged and key in logged)]


def merge(hits: Iterable[Hit]) -> list[Hit]:
    """One hit a code, object and subject: pods add up, the surest explanation and its evidence come first."""
    groups: dict[tuple[str, Key, str], list[Hit]] = {}
    for hit in hits:
        subject = str(hit.facts.get("key") or hit.facts.get("host") or hit.container)
        groups.setdefault((hit.code, hit.object, subject), []).append(hit)
    return [_merged(group) for group in groups.values()]


def _merged(group: list[Hit]) -> Hit:
    if len(group) == 1:
        return replace(group[0], evidence=group[0].evidence[:MAX_EVIDENCE])
    best = max(group, key=lambda hit: (hit.confidence, len(hit.evidence)))
    evidence = dict.fromkeys(best.evidence)
    for hit in group[:20]:
        evidence.update(dict.fromkeys(hit.evidence))
    return replace(
        best,
        evidence=tuple(evidence)[:MAX_EVIDENCE],
        since=min((hit.since for hit in group if hit.since), default=None),
        affected=tuple(dict.fromkeys(pod for hit in group for pod in hit.affected)),
        towards=tuple(dict.fromkeys(key for hit in group for key in hit.towards)),
        supporting=all(hit.supporting for hit in group),
    )
