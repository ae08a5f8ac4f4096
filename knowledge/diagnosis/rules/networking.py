"""Services, their selectors and ports, and Ingress backends."""

from collections.abc import Iterator

from knowledge.diagnosis.context import Context
from knowledge.diagnosis.fields import Obj, number, rows, strings, sub, text
from knowledge.diagnosis.graph import ingress_backends, workloads_for_selector
from knowledge.diagnosis.hit import Fact, Hit, Quote, quote_change, quote_field
from knowledge.diagnosis.rules.registry import rule
from knowledge.diagnosis.view import Key


@rule("Service")
def service_endpoints(context: Context, key: Key, service: Obj) -> Iterator[Hit]:
    """A Service that selects no pod, or none that is ready. Selector-less and ExternalName Services are left alone."""
    selector = strings(service, "spec", "selector")
    if not selector or text(service, "spec", "type") == "ExternalName":
        return
    pods = context.view.pods_matching(key.namespace, selector)
    if pods:
        if not context.ready_pods(pods):
            yield _no_ready(key, pods, selector)
        return
    behind = list(workloads_for_selector(context.view, key.namespace, selector))
    if behind:
        return  # scaled to zero, or its pods cannot be made: those rules speak
    meant = _meant_workload(context, key, selector)
    if meant is None:
        return
    labels = strings(context.view.get(meant) or {}, "spec", "template", "metadata", "labels")
    wrong = {name: value for name, value in selector.items() if labels.get(name) != value}
    right = {name: labels[name] for name in wrong if name in labels}
    facts: dict[str, Fact] = {
        "workload": str(meant),
        "selector": ",".join(f"{name}={value}" for name, value in sorted(selector.items())),
        "labels": ",".join(f"{name}={value}" for name, value in sorted(labels.items())),
    }
    if right:
        facts["right"] = ",".join(f"{name}={value}" for name, value in sorted(right.items()))
    evidence: list[Quote] = [
        quote_field(key, "spec.selector", selector),
        quote_field(meant, "spec.template.metadata.labels", labels),
    ]
    evidence += [quote_change(change, key) for change in context.changes(key) if "selector" in change.path]
    yield Hit(
        code="service-selector-mismatch",
        object=key,
        explanation=f"Service {key.name} selects {facts['selector']}, which "
        f"matches no pod; the pods of {meant.kind} {meant.name} "
        f"have {facts['labels']}.",
        evidence=tuple(evidence),
        confidence=0.88,
        facts=facts,
        affected=(meant,),
    )


def _no_ready(key: Key, pods: tuple[Key, ...], selector: dict[str, str]) -> Hit:
    return Hit(
        code="service-no-endpoints",
        object=key,
        explanation=f"None of the {len(pods)} pods behind Service {key.name} is ready.",
        evidence=(quote_field(key, "spec.selector", selector),),
        confidence=0.6,
        affected=pods[:20],
    )


def _meant_workload(context: Context, key: Key, selector: dict[str, str]) -> Key | None:
    """The workload that the Service most likely means: the same name, or labels that share all but one pair."""
    best: tuple[int, Key] | None = None
    for kind in ("Deployment", "StatefulSet", "DaemonSet"):
        for candidate in context.view.within(kind, key.namespace):
            obj = context.view.get(candidate) or {}
            if sub(obj, "spec").get("replicas") == 0:
                continue
            labels = strings(obj, "spec", "template", "metadata", "labels")
            shared = sum(1 for name, value in selector.items() if labels.get(name) == value)
            near = sum(1 for name in selector if name in labels)
            score = (4 if candidate.name == key.name else 0) + 2 * shared + near
            named = candidate.name == key.name or key.name.startswith(candidate.name) or candidate.name.startswith(key.name)
            if (named or (shared and shared == len(selector) - 1)) and (best is None or score > best[0]):
                best = (score, candidate)
    return best[1] if best else None


@rule("Service")
def service_port(context: Context, key: Key, service: Obj) -> Iterator[Hit]:
    """A targetPort that no selected pod has: a name that is not declared, or a number while others are declared."""
    pods = context.view.pods_matching(key.namespace, strings(service, "spec", "selector"))
    if not pods:
        return
    pod = context.view.get(pods[0]) or {}
    ports = [port for container in rows(pod, "spec", "containers") for port in rows(container, "ports")]
    numbers, names = {number(port, "containerPort") for port in ports}, {text(port, "name") for port in ports}
    for n, row in enumerate(rows(service, "spec", "ports")):
        target = row.get("targetPort", row.get("port"))
        wrong = (isinstance(target, str) and target not in names) or (
            isinstance(target, int) and bool(numbers) and target not in numbers
        )
        if not wrong:
            continue
        workload = context.view.workload(pods[0])
        yield Hit(
            code="service-port-mismatch",
            object=key,
            explanation=f"Service {key.name} sends to port {target}, but the pods of {workload.kind} {workload.name} declare "
            f"{', '.join(str(port) for port in sorted(numbers)) or 'no port'}.",
            evidence=(
                quote_field(key, f"spec.ports[{n}].targetPort", target),
                quote_field(pods[0], "spec.containers[*].ports", [dict(port) for port in ports]),
            ),
            # A port need not be declared to be served, so a number alone is weaker than a name.
            confidence=0.85 if isinstance(target, str) else 0.6,
            facts={
                "target_port": str(target),
                "declared": ",".join(str(port) for port in sorted(numbers)),
                "workload": str(workload),
            },
            affected=(workload,),
            supporting=isinstance(target, int),
        )


@rule("Ingress")
def ingress_backend(context: Context, key: Key, ingress: Obj) -> Iterator[Hit]:
    """An Ingress whose backend Service does not exist."""
    for name in dict.fromkeys(ingress_backends(ingress)):
        if context.view.knows("Service") and not context.view.has("Service", key.namespace, name):
            yield Hit(
                code="ingress-backend-missing",
                object=key,
                explanation=(
                    f"Ingress {key.name} sends traffic to Service {name}, which does not exist in namespace {key.namespace}."
                ),
                evidence=(quote_field(key, "spec.rules[*].http.paths[*].backend.service.name", name),),
                confidence=0.9,
                facts={"service": name},
            )
