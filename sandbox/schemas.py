"""Schemas for `kubectl explain`: the fields that people ask about, by type. What is not here is "Object"."""

from sandbox.objects import Obj
from sandbox.resources import Resource

_REF = "#/components/schemas/"
TYPES: dict[str, dict[str, str]] = {
    "ObjectMeta": {
        "name": "string", "namespace": "string", "labels": "object", "annotations": "object", "ownerReferences": "[]object",
        "finalizers": "[]string", "uid": "string", "resourceVersion": "string", "generation": "integer",
        "creationTimestamp": "string", "deletionTimestamp": "string", "managedFields": "[]object", "generateName": "string",
    },
    "LabelSelector": {"matchLabels": "object", "matchExpressions": "[]object"},
    "PodTemplateSpec": {"metadata": "ObjectMeta", "spec": "PodSpec"},
    "PodSpec": {
        "containers": "[]Container", "initContainers": "[]Container", "volumes": "[]object", "restartPolicy": "string",
        "nodeName": "string", "nodeSelector": "object", "affinity": "object", "tolerations": "[]object",
        "serviceAccountName": "string", "terminationGracePeriodSeconds": "integer", "imagePullSecrets": "[]object",
        "hostNetwork": "boolean", "priorityClassName": "string", "topologySpreadConstraints": "[]object",
    },
    "Container": {
        "name": "string", "image": "string", "command": "[]string", "args": "[]string", "env": "[]EnvVar",
        "envFrom": "[]object", "ports": "[]object", "resources": "ResourceRequirements", "volumeMounts": "[]object",
        "livenessProbe": "Probe", "readinessProbe": "Probe", "startupProbe": "Probe", "imagePullPolicy": "string",
    },
    "EnvVar": {"name": "string", "value": "string", "valueFrom": "object"},
    "ResourceRequirements": {"limits": "object", "requests": "object"},
    "Probe": {
        "httpGet": "object", "tcpSocket": "object", "exec": "object", "grpc": "object", "initialDelaySeconds": "integer",
        "periodSeconds": "integer", "timeoutSeconds": "integer", "failureThreshold": "integer",
        "successThreshold": "integer",
    },
    "DeploymentSpec": {
        "replicas": "integer", "selector": "LabelSelector", "template": "PodTemplateSpec", "strategy": "object",
        "minReadySeconds": "integer", "revisionHistoryLimit": "integer", "paused": "boolean",
        "progressDeadlineSeconds": "integer",
    },
    "StatefulSetSpec": {
        "replicas": "integer", "selector": "LabelSelector", "template": "PodTemplateSpec", "serviceName": "string",
        "volumeClaimTemplates": "[]object", "podManagementPolicy": "string", "updateStrategy": "object",
    },
    "DaemonSetSpec": {"selector": "LabelSelector", "template": "PodTemplateSpec", "updateStrategy": "object"},
    "JobSpec": {
        "template": "PodTemplateSpec", "completions": "integer", "parallelism": "integer", "backoffLimit": "integer",
        "suspend": "boolean", "activeDeadlineSeconds": "integer",
    },
    "ServiceSpec": {
        "selector": "object", "ports": "[]object", "type": "string", "clusterIP": "string", "externalName": "string",
        "sessionAffinity": "string",
    },
    "PersistentVolumeClaimSpec": {
        "accessModes": "[]string", "storageClassName": "string", "resources": "ResourceRequirements",
        "volumeName": "string", "volumeMode": "string",
    },
    "HorizontalPodAutoscalerSpec": {
        "scaleTargetRef": "object", "minReplicas": "integer", "maxReplicas": "integer", "metrics": "[]object",
        "behavior": "object",
    },
}  # fmt: skip
WITHOUT_SPEC: dict[str, dict[str, str]] = {
    "ConfigMap": {"data": "object", "binaryData": "object", "immutable": "boolean"},
    "Secret": {"data": "object", "stringData": "object", "type": "string", "immutable": "boolean"},
    "Event": {"involvedObject": "object", "reason": "string", "message": "string", "type": "string", "count": "integer"},
    "Role": {"rules": "[]object"},
    "ClusterRole": {"rules": "[]object"},
    "RoleBinding": {"roleRef": "object", "subjects": "[]object"},
    "ClusterRoleBinding": {"roleRef": "object", "subjects": "[]object"},
    "StorageClass": {"provisioner": "string", "reclaimPolicy": "string", "volumeBindingMode": "string"},
}


def schemas(resources: list[Resource]) -> Obj:
    """components/schemas of a group version's document."""
    found: Obj = {name: _object(fields, f"{name} of the Kubernetes API.") for name, fields in TYPES.items()}
    for resource in resources:
        fields = {"apiVersion": "string", "kind": "string", "metadata": "ObjectMeta"}
        fields |= WITHOUT_SPEC.get(resource.kind) or {"spec": _spec(resource.kind), "status": "object"}
        schema = _object(fields, f"{resource.kind} as the practice cluster serves it.")
        known = {"group": resource.group, "version": resource.version, "kind": resource.kind}
        found[f"kind.{resource.kind}"] = {**schema, "x-kubernetes-group-version-kind": [known]}
    return found


def _spec(kind: str) -> str:
    return f"{kind}Spec" if f"{kind}Spec" in TYPES else "object"


def _object(fields: dict[str, str], description: str) -> Obj:
    return {
        "description": description,
        "type": "object",
        "properties": {name: _typed(form) for name, form in fields.items()},
    }


def _typed(form: str) -> Obj:
    if form.startswith("[]"):
        return {"type": "array", "items": _typed(form[2:])}
    if form in TYPES:
        return {"allOf": [{"$ref": f"{_REF}{form}"}], "default": {}}
    return {"type": form, "format": "int32"} if form == "integer" else {"type": form}
