"""Nodes that are not ready or short of something."""

from collections.abc import Iterator

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, rows, sub, text, time_at
from knowledge.diagnosis.hit import Hit, Quote, quote_event, quote_part
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key

PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable")


@rule("Node")
def node_not_ready(context: Context, key: Key, node: Obj) -> Iterator[Hit]:
    """Ready is False or Unknown. Everything on the node follows from it."""
    for n, row in enumerate(rows(node, "status", "conditions")):
        if row.get("type") == "Ready" and row.get("status") in ("False", "Unknown"):
            at = time_at(row, "lastTransitionTime")
            evidence: list[Quote] = [
                quote_part(key, f"status.conditions[{n}]", row, "type", "status", "reason", "message", at=at)
            ]
            evidence += [
                quote_event(key, event)
                for event in context.view.events(key, "NodeNotReady", "Rebooted", "ContainerGCFailed")[:1]
            ]
            silent = row.get("status") == "Unknown"
            yield Hit(
                code="node-not-ready",
                object=key,
                explanation=f"Node {key.name} "
                + ("has stopped reporting" if silent else "is not ready")
                + (f": {text(row, 'message')}" if text(row, "message") else "."),
                evidence=tuple(evidence),
                confidence=0.92,
                facts={"reason": text(row, "reason"), "silent": silent},
                since=at,
                affected=_pods_on(context, key),
            )


@rule("Node")
def node_pressure(context: Context, key: Key, node: Obj) -> Iterator[Hit]:
    """A pressure condition that is True now. A condition that came and went is history."""
    for n, row in enumerate(rows(node, "status", "conditions")):
        kind = text(row, "type")
        if kind in PRESSURES and row.get("status") == "True":
            at = time_at(row, "lastTransitionTime")
            yield Hit(
                code="node-pressure",
                object=key,
                explanation=f"Node {key.name} reports {kind}: {text(row, 'message') or text(row, 'reason')}",
                evidence=(quote_part(key, f"status.conditions[{n}]", row, "type", "status", "reason", "message", at=at),),
                confidence=0.88,
                facts={"condition": kind},
                since=at,
                affected=_pods_on(context, key, kind),
            )


def _pods_on(context: Context, node: Key, pressure: str = "") -> tuple[Key, ...]:
    """Pods in trouble on the node; under pressure only those evicted for it."""
    found: list[Key] = []
    for pod, obj in context.view.of_kind("Pod").items():
        if text(obj, "spec", "nodeName") == node.name and context.troubled(pod):
            if pressure and text(obj, "status", "reason") != "Evicted" and "deletionTimestamp" not in sub(obj, "metadata"):
                continue
            found.append(pod)
    return tuple(found[:50])
