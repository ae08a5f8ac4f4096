"""From a Diagnosis to what to do about it, ranked: typed Remediations where one exists, else precise instructions.

A remedy is a row: catalogue code → function from one root cause to recommendations. Every code has at least one.
The risk is the action's own by protocol.risk; what counts is the policy's verdict on the frozen plan.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from knowledge.remedies import capacity, configuration, containers, images, network, platform
from knowledge.remedies.advice import by_hand
from knowledge.remedies.configuration import create_configmap
from knowledge.remedies.containers import memory_limit
from knowledge.remedies.general import GENERAL, general
from knowledge.weights import remedy_key
from protocol.diagnosis import Diagnosis, Recommendation, RootCause

__all__ = ["REMEDIES", "create_configmap", "memory_limit", "recommend", "remedies_of"]

STEP_BACK = 0.75

Remedy: TypeAlias = Callable[[RootCause], Iterator[Recommendation]]


def recommend(diagnosis: Diagnosis, weights: Mapping[str, float] | None = None) -> tuple[Recommendation, ...]:
    """Recommendations for all root causes: the best of the first cause first. None for a healthy or unknown diagnosis.
    `weights` (`code/remediation`, absent is 1) move a remedy within its cause only."""
    found: list[Recommendation] = []
    for cause in diagnosis.root_causes:
        found.extend(_by_weight(cause.code, remedies_of(cause), weights or {}))
    unique: dict[str, Recommendation] = {}
    for one in found:
        unique.setdefault(one.remediation.model_dump_json() if one.remediation else one.instructions or "", one)
    return tuple(unique.values())


def remedies_of(cause: RootCause) -> tuple[Recommendation, ...]:
    """Remedies of one root cause, best first. A remedy whose facts make no valid action is left out."""
    remedy = REMEDIES.get(cause.code)
    if remedy is None:
        return (
            by_hand(
                "Look at the evidence and correct the object by hand.", why=cause.explanation, effect="The finding closes."
            ),
        )
    return tuple(remedy(cause))


def _by_weight(code: str, remedies: tuple[Recommendation, ...], weights: Mapping[str, float]) -> tuple[Recommendation, ...]:
    """Each place further back is worth a quarter less, so that a remedy is overtaken only by one that is clearly better."""

    def worth(place: int) -> float:
        action = remedies[place].remediation
        return STEP_BACK**place * (weights.get(remedy_key(code, action.type), 1.0) if action is not None else 1.0)

    return tuple(remedies[place] for place in sorted(range(len(remedies)), key=lambda place: (-worth(place), place)))


REMEDIES: dict[str, Remedy] = {
    "memory-limit-too-low": containers.memory,
    "out-of-memory-on-node": containers.node_memory,
    "crash-on-start": containers.crash,
    "command-not-found": containers.command,
    "env-variable-missing": configuration.env_missing,
    "env-wrong-value": configuration.env_wrong,
    "liveness-probe-wrong": containers.liveness,
    "readiness-probe-failing": containers.readiness,
    "readiness-probe-wrong": containers.readiness_wrong,
    "init-container-waiting": containers.init,
    "configmap-wrong-value": configuration.config_value,
    "configmap-missing": configuration.config_missing,
    "configmap-key-missing": configuration.key_missing,
    "secret-missing": configuration.config_missing,
    "secret-key-missing": configuration.key_missing,
    "image-tag-not-found": images.image,
    "image-name-invalid": images.image,
    "image-architecture-mismatch": images.image,
    "image-pull-unauthorized": images.image_access,
    "image-pull-rate-limited": images.image_later,
    "image-registry-unreachable": images.image_later,
    "image-pull-failed": images.image_later,
    "insufficient-cpu": capacity.capacity,
    "insufficient-memory": capacity.capacity,
    "node-selector-unmatched": capacity.selector,
    "taint-not-tolerated": capacity.taint,
    "quota-exceeded": capacity.quota,
    "service-selector-mismatch": network.service_selector,
    "service-port-mismatch": network.service_port,
    "service-missing": network.service_gone,
    "dependency-unreachable": network.dependency,
    "network-policy-blocks": network.network_policy,
    "scaled-to-zero": network.zero,
    "pvc-pending": platform.claim,
    "storage-class-missing": platform.storage_class,
    "node-not-ready": platform.node,
    "node-pressure": platform.node,
    "pod-stuck-terminating": platform.stuck,
    "bad-rollout": platform.rollout,
    **{code: general(*words) for code, words in GENERAL.items()},
}
