"""How dangerous a Remediation is, as a table, and which undo fits which action."""

from collections.abc import Callable
from typing import Any

from protocol.remediation import RISK_ORDER, Remediation, Risk, ScaleWorkload

PROTECTED_NAMESPACES = frozenset(("kube-system", "kube-public", "kube-node-lease"))
PROTECTED_LABEL = "opsthread.dev/protected"
"""A namespace with this label set to "true" counts as protected."""

_Judged = tuple[Risk, str]


def _scale(action: ScaleWorkload, replicas: int | None) -> _Judged:
    if action.replicas == 0:
        return Risk.HIGH, "scaling to 0 stops the workload"
    if replicas is None:
        return Risk.MEDIUM, "how many replicas there are now is not known"
    if action.replicas < replicas:
        return Risk.MEDIUM, f"scaling down from {replicas} to {action.replicas} takes capacity away"
    return Risk.LOW, "scaling up adds pods and takes none away"


def _fixed(risk: Risk, reason: str) -> Callable[[Any, int | None], _Judged]:
    return lambda _action, _replicas: (risk, reason)


RISKS: dict[str, Callable[[Any, int | None], _Judged]] = {
    "restart": _fixed(Risk.LOW, "a restart rolls the same template out again"),
    "scale": _scale,
    "rollback": _fixed(Risk.MEDIUM, "a rollback changes the whole pod template"),
    "set_image": _fixed(Risk.MEDIUM, "another image is other code"),
    "set_resources": _fixed(Risk.MEDIUM, "new requests or limits restart the pods and change where they fit"),
    "set_env": _fixed(Risk.MEDIUM, "new environment variables restart the pods and change what they do"),
    "patch_configmap": _fixed(Risk.MEDIUM, "everything that reads the ConfigMap is changed"),
    "delete_pod": _fixed(Risk.LOW, "the pod's owner makes a new one"),
    "cordon": _fixed(Risk.LOW, "a cordon only keeps new pods away"),
    "uncordon": _fixed(Risk.MEDIUM, "an uncordoned node takes new pods"),
    "drain": _fixed(Risk.HIGH, "a drain evicts every pod of the node"),
    "expand_pvc": _fixed(Risk.MEDIUM, "a volume can't be made smaller again"),
    "create_configmap": _fixed(Risk.LOW, "a missing ConfigMap is created; nothing is overwritten"),
    "delete_configmap": _fixed(Risk.MEDIUM, "what reads the ConfigMap loses it"),
    "adjust_hpa": _fixed(Risk.MEDIUM, "the autoscaler's bounds change how far the workload scales"),
    "suspend_cronjob": _fixed(Risk.LOW, "running jobs go on; only the schedule is changed"),
}


def remediation_risk(
    action: Remediation, *, has_undo: bool, replicas: int | None = None, protected: bool | None = False
) -> tuple[Risk, str]:
    """Risk and the reason for it. An action without undo is at least medium; in a protected namespace it is high.

    `replicas` is the present number for a scale. `protected` is what the namespace's labels say (see `is_protected`), None
    when nobody could read them: then the risk is at least medium. The namespaces of the cluster itself are protected
    whatever they say.
    """
    namespace = action.target.namespace
    if is_protected(namespace) or protected:
        return Risk.HIGH, f"the namespace {namespace or 'of the cluster itself'} is protected"
    risk, reason = RISKS[action.type](action, replicas)
    if not has_undo and RISK_ORDER.index(risk) < RISK_ORDER.index(Risk.MEDIUM):
        return Risk.MEDIUM, f"{reason}, but it can't be undone"
    if protected is None and RISK_ORDER.index(risk) < RISK_ORDER.index(Risk.MEDIUM):
        return Risk.MEDIUM, f"{reason}, but whether the namespace {namespace} is protected can't be seen"
    return risk, reason


def is_protected(namespace: str, labels: dict[str, str] | None = None) -> bool:
    """Is this one of the cluster's own namespaces, or labelled as protected?"""
    return namespace in PROTECTED_NAMESPACES or (labels or {}).get(PROTECTED_LABEL) == "true"


_TEMPLATE_CHANGES = frozenset(("restart", "set_image", "set_resources", "set_env", "rollback"))
_UNDO_TYPES: dict[str, frozenset[str]] = {
    **{name: frozenset((name, "rollback")) for name in _TEMPLATE_CHANGES},
    "scale": frozenset(("scale",)),
    "patch_configmap": frozenset(("patch_configmap",)),
    "cordon": frozenset(("uncordon",)),
    "uncordon": frozenset(("cordon",)),
    "drain": frozenset(("uncordon",)),
    "create_configmap": frozenset(("delete_configmap",)),
    "adjust_hpa": frozenset(("adjust_hpa",)),
    "suspend_cronjob": frozenset(("suspend_cronjob",)),
}


def undo_misfit(action: Remediation, undo: Remediation | None) -> str | None:
    """Why `undo` can't be the undo of `action`; None when it fits. An undo rides on the action's approval, so it may only
    take back the same thing on the same object."""
    if undo is None:
        return None
    if undo.target != action.target:
        return f"the undo is about {undo.target}, the action about {action.target}"
    if undo.type not in _UNDO_TYPES.get(action.type, frozenset()):
        return f"{undo.type} is not an undo of {action.type}"
    return None
