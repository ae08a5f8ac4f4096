"""The built-in kinds that a line may name, as a table. What it does not know (a CRD) is taken by its syntax only.

Source: `kubectl api-resources` of Kubernetes 1.32, with metrics.k8s.io. Order matters where two groups share a name:
the first row wins when the line names no group, as in kubectl.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Resource:
    plural: str
    singular: str
    short: tuple[str, ...]
    group: str
    versions: tuple[str, ...]
    """Served versions, the preferred one first."""
    kind: str
    namespaced: bool

    @property
    def names(self) -> frozenset[str]:
        """Every word that means this resource on a line, in lower case."""
        return frozenset((self.plural, self.singular, self.kind.lower(), *self.short))


def _rows(group: str, versions: str, namespaced: bool, *rows: str) -> tuple[Resource, ...]:
    """Each row: plural, singular, Kind, short names."""
    found: list[Resource] = []
    for row in rows:
        plural, singular, kind, *short = row.split()
        found.append(Resource(plural, singular, tuple(short), group, tuple(versions.split()), kind, namespaced))
    return tuple(found)


RESOURCES: tuple[Resource, ...] = (
    *_rows(
        "",
        "v1",
        True,
        "pods pod Pod po",
        "services service Service svc",
        "configmaps configmap ConfigMap cm",
        "secrets secret Secret",
        "events event Event ev",
        "endpoints endpoints Endpoints ep",
        "persistentvolumeclaims persistentvolumeclaim PersistentVolumeClaim pvc",
        "serviceaccounts serviceaccount ServiceAccount sa",
        "replicationcontrollers replicationcontroller ReplicationController rc",
        "resourcequotas resourcequota ResourceQuota quota",
        "limitranges limitrange LimitRange limits",
        "podtemplates podtemplate PodTemplate",
    ),
    *_rows(
        "",
        "v1",
        False,
        "nodes node Node no",
        "namespaces namespace Namespace ns",
        "persistentvolumes persistentvolume PersistentVolume pv",
        "componentstatuses componentstatus ComponentStatus cs",
    ),
    *_rows(
        "apps",
        "v1",
        True,
        "deployments deployment Deployment deploy",
        "replicasets replicaset ReplicaSet rs",
        "statefulsets statefulset StatefulSet sts",
        "daemonsets daemonset DaemonSet ds",
        "controllerrevisions controllerrevision ControllerRevision",
    ),
    *_rows("batch", "v1", True, "jobs job Job", "cronjobs cronjob CronJob cj"),
    *_rows("autoscaling", "v2 v1", True, "horizontalpodautoscalers horizontalpodautoscaler HorizontalPodAutoscaler hpa"),
    *_rows("policy", "v1", True, "poddisruptionbudgets poddisruptionbudget PodDisruptionBudget pdb"),
    *_rows(
        "networking.k8s.io", "v1", True, "ingresses ingress Ingress ing", "networkpolicies networkpolicy NetworkPolicy netpol"
    ),
    *_rows(
        "networking.k8s.io",
        "v1",
        False,
        "ingressclasses ingressclass IngressClass",
        "ipaddresses ipaddress IPAddress ip",
        "servicecidrs servicecidr ServiceCIDR",
    ),
    *_rows("discovery.k8s.io", "v1", True, "endpointslices endpointslice EndpointSlice"),
    *_rows("coordination.k8s.io", "v1", True, "leases lease Lease"),
    *_rows("events.k8s.io", "v1", True, "events event Event ev"),
    *_rows(
        "storage.k8s.io",
        "v1",
        False,
        "storageclasses storageclass StorageClass sc",
        "volumeattachments volumeattachment VolumeAttachment",
        "csidrivers csidriver CSIDriver",
        "csinodes csinode CSINode",
    ),
    *_rows("storage.k8s.io", "v1", True, "csistoragecapacities csistoragecapacity CSIStorageCapacity"),
    *_rows("scheduling.k8s.io", "v1", False, "priorityclasses priorityclass PriorityClass pc"),
    *_rows("node.k8s.io", "v1", False, "runtimeclasses runtimeclass RuntimeClass"),
    *_rows("rbac.authorization.k8s.io", "v1", True, "roles role Role", "rolebindings rolebinding RoleBinding"),
    *_rows(
        "rbac.authorization.k8s.io",
        "v1",
        False,
        "clusterroles clusterrole ClusterRole",
        "clusterrolebindings clusterrolebinding ClusterRoleBinding",
    ),
    *_rows(
        "admissionregistration.k8s.io",
        "v1",
        False,
        "mutatingwebhookconfigurations mutatingwebhookconfiguration MutatingWebhookConfiguration",
        "validatingwebhookconfigurations validatingwebhookconfiguration ValidatingWebhookConfiguration",
        "validatingadmissionpolicies validatingadmissionpolicy ValidatingAdmissionPolicy",
        "validatingadmissionpolicybindings validatingadmissionpolicybinding ValidatingAdmissionPolicyBinding",
    ),
    *_rows(
        "apiextensions.k8s.io",
        "v1",
        False,
        "customresourcedefinitions customresourcedefinition CustomResourceDefinition crd crds",
    ),
    *_rows("apiregistration.k8s.io", "v1", False, "apiservices apiservice APIService"),
    *_rows(
        "certificates.k8s.io", "v1", False, "certificatesigningrequests certificatesigningrequest CertificateSigningRequest csr"
    ),
    *_rows(
        "flowcontrol.apiserver.k8s.io",
        "v1 v1beta3",
        False,
        "flowschemas flowschema FlowSchema",
        "prioritylevelconfigurations prioritylevelconfiguration PriorityLevelConfiguration",
    ),
    *_rows("metrics.k8s.io", "v1beta1", True, "pods pod PodMetrics"),
    *_rows("metrics.k8s.io", "v1beta1", False, "nodes node NodeMetrics"),
)

CATEGORY_ALL = (
    "pods",
    "replicationcontrollers",
    "services",
    "daemonsets",
    "deployments",
    "replicasets",
    "statefulsets",
    "horizontalpodautoscalers",
    "cronjobs",
    "jobs",
)
"""What `kubectl get all` means. Secrets and ConfigMaps have never been part of it."""

_BY_PLURAL: dict[tuple[str, str], Resource] = {(row.plural, row.group): row for row in RESOURCES}
_BY_WORD: dict[str, Resource] = {}
_BY_KIND: dict[str, Resource] = {}
for _row in RESOURCES:
    for _word in _row.names:
        _BY_WORD.setdefault(_word, _row)
    _BY_KIND.setdefault(_row.kind, _row)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_GROUP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?){0,8}")
_VERSION = re.compile(r"v[0-9]{1,3}((alpha|beta)[0-9]{1,3})?")


def by_plural(plural: str, group: str) -> Resource | None:
    return _BY_PLURAL.get((plural, group))


def by_kind(kind: str) -> Resource | None:
    """The built-in resource whose objects have this kind; the first group wins."""
    return _BY_KIND.get(kind)


def by_word(word: str, group: str | None = None) -> Resource | None:
    """By plural, singular, short name or kind in any case; in `group` when given."""
    word = word.lower()
    if group is None:
        return _BY_WORD.get(word)
    return next((row for row in RESOURCES if row.group == group and word in row.names), None)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A type word, taken apart: `deployments.v1.apps`."""

    word: str
    group: str | None
    version: str


def spelled(token: str) -> Spelled | None:
    """`word`, `word.group`, `word.version.group` or `word.version`, in lower case; None when it is no resource name."""
    word, _, rest = token.lower().partition(".")
    if not _LABEL.fullmatch(word):
        return None
    if "." not in token:
        return Spelled(word, None, "")
    version, _, group = rest.partition(".")
    if _VERSION.fullmatch(version):
        return Spelled(word, group, version) if not group or _GROUP.fullmatch(group) else None
    return Spelled(word, rest, "") if _GROUP.fullmatch(rest) else None
