"""Is an object of the types that its kind has? What is not is refused when it is decoded, in the API server's words.

The tables of `schemas` (for `explain`) are the source, and what they leave out stands here. Fields that no table knows
pass; null is an absent field.
"""

from typing import Any, cast

from sandbox.errors import ApiError
from sandbox.objects import Obj
from sandbox.resources import Resource
from sandbox.schemas import TYPES, WITHOUT_SPEC

_MORE: dict[str, dict[str, str]] = {
    "ObjectMeta": {"labels": "map", "annotations": "map", "ownerReferences": "[]OwnerReference", "managedFields": "[]object"},
    "OwnerReference": {"apiVersion": "string", "kind": "string", "name": "string", "uid": "string", "controller": "boolean"},
    "LabelSelector": {"matchLabels": "map", "matchExpressions": "[]Requirement"},
    "Requirement": {"key": "string", "operator": "string", "values": "[]string"},
    "Container": {"ports": "[]ContainerPort", "envFrom": "[]object", "volumeMounts": "[]Named"},
    "ContainerPort": {"name": "string", "containerPort": "integer", "protocol": "string", "hostPort": "integer"},
    "ResourceRequirements": {"limits": "quantities", "requests": "quantities"},
    "Probe": {"httpGet": "ProbeTarget", "tcpSocket": "ProbeTarget", "grpc": "object", "exec": "object"},
    "ProbeTarget": {"path": "string", "port": "intstr", "scheme": "string"},
    "PodSpec": {"volumes": "[]Named", "nodeSelector": "map", "affinity": "Affinity", "tolerations": "[]Toleration"},
    "Affinity": {"nodeAffinity": "object", "podAffinity": "object", "podAntiAffinity": "object"},
    "Toleration": {
        "key": "string", "operator": "string", "value": "string", "effect": "string", "tolerationSeconds": "integer",
    },
    "Named": {"name": "string"},
    "DeploymentSpec": {"strategy": "Strategy"},
    "Strategy": {"type": "string", "rollingUpdate": "Rolling"},
    "Rolling": {"maxSurge": "intstr", "maxUnavailable": "intstr", "partition": "integer"},
    "StatefulSetSpec": {"updateStrategy": "Strategy", "volumeClaimTemplates": "[]ClaimTemplate"},
    "DaemonSetSpec": {"updateStrategy": "Strategy"},
    "ClaimTemplate": {"metadata": "ObjectMeta", "spec": "PersistentVolumeClaimSpec"},
    "ReplicaSetSpec": {"replicas": "integer", "selector": "LabelSelector", "template": "PodTemplateSpec"},
    "JobSpec": {"selector": "LabelSelector"},
    "CronJobSpec": {"schedule": "string", "suspend": "boolean", "jobTemplate": "JobTemplate", "concurrencyPolicy": "string"},
    "JobTemplate": {"metadata": "ObjectMeta", "spec": "JobSpec"},
    "ServiceSpec": {"selector": "map", "ports": "[]ServicePort", "clusterIPs": "[]string"},
    "ServicePort": {"name": "string", "port": "integer", "targetPort": "intstr", "nodePort": "integer", "protocol": "string"},
    "NodeSpec": {"unschedulable": "boolean", "taints": "[]Taint", "podCIDR": "string"},
    "Taint": {"key": "string", "value": "string", "effect": "string"},
    "NamespaceSpec": {"finalizers": "[]string"},
    "ResourceQuotaSpec": {"hard": "quantities"},
    "LimitRangeSpec": {"limits": "[]LimitRangeItem"},
    "LimitRangeItem": {
        "type": "string", "default": "quantities", "defaultRequest": "quantities", "max": "quantities", "min": "quantities",
    },
    "HorizontalPodAutoscalerSpec": {"scaleTargetRef": "Reference", "metrics": "[]MetricSpec"},
    "Reference": {"apiVersion": "string", "kind": "string", "name": "string"},
    "MetricSpec": {"type": "string", "resource": "ResourceMetric"},
    "ResourceMetric": {"name": "string", "target": "MetricTarget"},
    "MetricTarget": {"type": "string", "averageUtilization": "integer"},
    "PodDisruptionBudgetSpec": {"minAvailable": "intstr", "maxUnavailable": "intstr", "selector": "LabelSelector"},
    "NetworkPolicySpec": {
        "podSelector": "LabelSelector", "policyTypes": "[]string", "ingress": "[]PolicyRow", "egress": "[]PolicyRow",
    },
    "PolicyRow": {"from": "[]Peer", "to": "[]Peer", "ports": "[]PolicyPort"},
    "Peer": {"podSelector": "LabelSelector", "namespaceSelector": "LabelSelector", "ipBlock": "object"},
    "PolicyPort": {"port": "intstr", "endPort": "integer", "protocol": "string"},
    "IngressSpec": {"rules": "[]object", "tls": "[]object", "ingressClassName": "string"},
    "LeaseSpec": {"holderIdentity": "string", "leaseDurationSeconds": "integer", "renewTime": "string"},
    "PersistentVolumeSpec": {
        "capacity": "quantities", "accessModes": "[]string", "claimRef": "object", "storageClassName": "string",
    },
    "Rule": {
        "verbs": "[]string", "apiGroups": "[]string", "resources": "[]string", "resourceNames": "[]string",
        "nonResourceURLs": "[]string",
    },
    "Subject": {"kind": "string", "name": "string", "namespace": "string", "apiGroup": "string"},
    "Subset": {"addresses": "[]Address", "notReadyAddresses": "[]Address", "ports": "[]ServicePort"},
    "Address": {"ip": "string", "nodeName": "string", "targetRef": "object"},
    "Slice": {"addresses": "[]string", "conditions": "object", "nodeName": "string"},
    "ApplicationSpec": {"syncPolicy": "SyncPolicy", "source": "object", "destination": "object"},
    "SyncPolicy": {"automated": "object"},
}  # fmt: skip
_TOP: dict[str, dict[str, str]] = {
    "ConfigMap": {"data": "map", "binaryData": "map"},
    "Secret": {"data": "map", "stringData": "map"},
    "Role": {"rules": "[]Rule"},
    "ClusterRole": {"rules": "[]Rule"},
    "RoleBinding": {"roleRef": "Reference", "subjects": "[]Subject"},
    "ClusterRoleBinding": {"roleRef": "Reference", "subjects": "[]Subject"},
    "Endpoints": {"subsets": "[]Subset"},
    "EndpointSlice": {"endpoints": "[]Slice", "ports": "[]ServicePort"},
    "Event": {"involvedObject": "object", "source": "object", "firstTimestamp": "string", "lastTimestamp": "string"},
    "ControllerRevision": {"data": "object", "revision": "integer"},
    "ServiceAccount": {"secrets": "[]object"},
}
_GO = {
    "string": "string", "integer": "int32", "boolean": "bool", "object": "map", "map": "map[string]string",
    "quantities": "v1.ResourceList", "intstr": "intstr.IntOrString",
}  # fmt: skip


def decoded(resource: Resource, obj: Any) -> Obj:
    """`obj` without nulls. Raises ApiError 400 when it, or a field of it, is not of its type."""
    if not isinstance(obj, dict):
        raise ApiError(400, f"the object provided is unrecognized: it is {_json_type(obj)}, not an object")
    clean = cast(Obj, _without_nulls(obj))
    kind = resource.kind
    fields = {"apiVersion": "string", "kind": "string", "metadata": "ObjectMeta", "status": "object"}
    fields |= WITHOUT_SPEC.get(kind, {}) | _TOP.get(kind, {})
    if f"{kind}Spec" in TYPES or f"{kind}Spec" in _MORE:
        fields["spec"] = f"{kind}Spec"
    wrong = _misfit(clean, fields, kind, "")
    if wrong:
        version = resource.version
        raise ApiError(400, f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal {wrong}')
    return clean


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in cast(Obj, value).items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in cast(list[Any], value)]
    return value


def _misfit(obj: Obj, fields: dict[str, str], struct: str, path: str) -> str:
    for name, form in fields.items():
        if name in obj and (wrong := _wrong(obj[name], form, f"{struct}.{path}{name}", f"{path}{name}.")):
            return wrong
    return ""


def _wrong(value: Any, form: str, field: str, path: str) -> str:
    """ "string into Go struct field DeploymentSpec.spec.replicas of type int32", or ""."""
    if form.startswith("[]"):
        if not isinstance(value, list):
            return f"{_json_type(value)} into Go struct field {field} of type {form}"
        found = (_wrong(item, form[2:], field, path) for item in cast(list[Any], value))
        return next((said for said in found if said), "")
    fields = TYPES.get(form, {}) | _MORE.get(form, {})
    if fields:
        if not isinstance(value, dict):
            return f"{_json_type(value)} into Go struct field {field} of type v1.{form}"
        return _misfit(cast(Obj, value), fields, form, path)
    return "" if _fits(value, form) else f"{_json_type(value)} into Go struct field {field} of type {_GO.get(form, form)}"


def _fits(value: Any, form: str) -> bool:
    match form:
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
        case "boolean":
            return isinstance(value, bool)
        case "intstr":
            return isinstance(value, int | str) and not isinstance(value, bool)
        case "map":
            return isinstance(value, dict) and all(isinstance(item, str) for item in cast(Obj, value).values())
        case "quantities":
            return isinstance(value, dict) and all(isinstance(i, str | int | float) for i in cast(Obj, value).values())
        case _:
            return isinstance(value, dict)


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "null"
