"""Which kinds the practice cluster serves: one row a kind, the source of discovery, routes and RBAC."""

from dataclasses import dataclass

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")


@dataclass(frozen=True, eq=False)
class Resource:
    """One kind, the same object wherever it is named. `namespaced` objects live at /namespaces/<ns>/<plural>/<name>."""

    group: str
    version: str
    plural: str
    kind: str
    short: tuple[str, ...] = ()
    namespaced: bool = True
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()


_ALL = ("all",)
_STATUS = ("status",)
_SCALE = ("status", "scale")

RESOURCES: tuple[Resource, ...] = (
    Resource("", "v1", "namespaces", "Namespace", ("ns",), False, (), _STATUS),
    Resource("", "v1", "nodes", "Node", ("no",), False, (), _STATUS),
    Resource("", "v1", "pods", "Pod", ("po",), True, _ALL, ("status", "log", "eviction")),
    Resource("", "v1", "services", "Service", ("svc",), True, _ALL, _STATUS),
    Resource("", "v1", "endpoints", "Endpoints", ("ep",)),
    Resource("", "v1", "configmaps", "ConfigMap", ("cm",)),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", ("sa",), True, (), ("token",)),
    Resource("", "v1", "events", "Event", ("ev",)),
    Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", ("pvc",), True, (), _STATUS),
    Resource("", "v1", "persistentvolumes", "PersistentVolume", ("pv",), False, (), _STATUS),
    Resource("", "v1", "resourcequotas", "ResourceQuota", ("quota",), True, (), _STATUS),
    Resource("", "v1", "limitranges", "LimitRange", ("limits",)),
    Resource("apps", "v1", "deployments", "Deployment", ("deploy",), True, _ALL, _SCALE),
    Resource("apps", "v1", "replicasets", "ReplicaSet", ("rs",), True, _ALL, _SCALE),
    Resource("apps", "v1", "statefulsets", "StatefulSet", ("sts",), True, _ALL, _SCALE),
    Resource("apps", "v1", "daemonsets", "DaemonSet", ("ds",), True, _ALL, _STATUS),
    Resource("apps", "v1", "controllerrevisions", "ControllerRevision"),
    Resource("batch", "v1", "jobs", "Job", (), True, _ALL, _STATUS),
    Resource("batch", "v1", "cronjobs", "CronJob", ("cj",), True, _ALL, _STATUS),
    Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ("hpa",), True, _ALL, _STATUS),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ("pdb",), True, (), _STATUS),
    Resource("networking.k8s.io", "v1", "ingresses", "Ingress", ("ing",), True, (), _STATUS),
    Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", ("netpol",)),
    Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    Resource("storage.k8s.io", "v1", "storageclasses", "StorageClass", ("sc",), False),
    Resource("coordination.k8s.io", "v1", "leases", "Lease"),
    Resource("argoproj.io", "v1alpha1", "applications", "Application", ("app", "apps"), True, (), _STATUS),
    Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", (), False),
    Resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", (), False),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
)

BY_KIND = {resource.kind: resource for resource in RESOURCES}
BY_PLURAL = {(r.group, r.version, r.plural): r for r in RESOURCES}

METRICS_GROUP = "metrics.k8s.io"
AUTHORIZATION_GROUP = "authorization.k8s.io"
AUTHENTICATION_GROUP = "authentication.k8s.io"

NAMESPACE = BY_KIND["Namespace"]
NODE = BY_KIND["Node"]
POD = BY_KIND["Pod"]
SERVICE = BY_KIND["Service"]
ENDPOINTS = BY_KIND["Endpoints"]
CONFIG_MAP = BY_KIND["ConfigMap"]
SECRET = BY_KIND["Secret"]
SERVICE_ACCOUNT = BY_KIND["ServiceAccount"]
EVENT = BY_KIND["Event"]
CLAIM = BY_KIND["PersistentVolumeClaim"]
VOLUME = BY_KIND["PersistentVolume"]
DEPLOYMENT = BY_KIND["Deployment"]
REPLICA_SET = BY_KIND["ReplicaSet"]
STATEFUL_SET = BY_KIND["StatefulSet"]
DAEMON_SET = BY_KIND["DaemonSet"]
CONTROLLER_REVISION = BY_KIND["ControllerRevision"]
JOB = BY_KIND["Job"]
CRON_JOB = BY_KIND["CronJob"]
AUTOSCALER = BY_KIND["HorizontalPodAutoscaler"]
BUDGET = BY_KIND["PodDisruptionBudget"]
NETWORK_POLICY = BY_KIND["NetworkPolicy"]
QUOTA = BY_KIND["ResourceQuota"]
LIMIT_RANGE = BY_KIND["LimitRange"]
STORAGE_CLASS = BY_KIND["StorageClass"]
ENDPOINT_SLICE = BY_KIND["EndpointSlice"]
LEASE = BY_KIND["Lease"]
CLUSTER_ROLE = BY_KIND["ClusterRole"]
CLUSTER_ROLE_BINDING = BY_KIND["ClusterRoleBinding"]
ROLE = BY_KIND["Role"]
APPLICATION = BY_KIND["Application"]
ROLE_BINDING = BY_KIND["RoleBinding"]


def verbs(_resource: Resource) -> tuple[str, ...]:
    return tuple(sorted(READ + WRITE))


def groups() -> dict[str, list[str]]:
    """Group to versions, in the order of the table; the core group is not in it."""
    found: dict[str, list[str]] = {}
    for resource in RESOURCES:
        if resource.group and resource.version not in found.setdefault(resource.group, []):
            found[resource.group].append(resource.version)
    return found
