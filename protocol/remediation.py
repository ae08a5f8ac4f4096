"""Remediations: the typed actions that may change a cluster, and the frozen plan that an approval decides about.

No other writes exist. A kubectl line that writes is taken only if it maps to one of these.
"""

from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from protocol.base import Message, Strict, Utc, Value
from protocol.canonical import digest
from protocol.objects import ObjectRef


class Risk(StrEnum):
    """none is for reads; order matters: see `RISK_ORDER`."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


RISK_ORDER = (Risk.NONE, Risk.LOW, Risk.MEDIUM, Risk.HIGH)

# Kubernetes quantity grammar (docs: resource.Quantity), without a sign; bounded, so that no reader computes 10^999999999.
QUANTITY_PATTERN = r"^[0-9]{1,20}(\.[0-9]{1,20})?([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?$"
# distribution/reference grammar, loose: registry/path:tag@digest without spaces or control characters.
IMAGE_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,510}$"
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_.-]{0,252}$"
CONTAINER_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
CONFIG_KEY_PATTERN = r"^[A-Za-z0-9._-]{1,253}$"
MAX_CONFIG_KEYS = 200

Container = Annotated[str, Field(pattern=CONTAINER_PATTERN)]
Quantity = Annotated[str, Field(pattern=QUANTITY_PATTERN)]


CLUSTER_SCOPED = ("Node",)
"""Kinds of targets that are in no namespace."""


class _Action(Strict):
    target: ObjectRef

    @field_validator("target")
    @classmethod
    def _known_kind(cls, value: ObjectRef) -> ObjectRef:
        kinds = cls.kinds()
        if value.kind not in kinds:
            raise ValueError(f"{value.kind} is not one of {', '.join(kinds)}")
        # Scope, protection and the runner's namespaces are judged by this field: it must be the object's real one.
        if (value.kind in CLUSTER_SCOPED) == bool(value.namespace):
            where = "in no namespace" if value.kind in CLUSTER_SCOPED else "in a namespace"
            raise ValueError(f"{value} does not name its place: a {value.kind} is {where}")
        return value

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return WORKLOADS


WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")


class RestartWorkload(_Action):
    """`kubectl rollout restart`: a new roll-out of the same template."""

    type: Literal["restart"] = "restart"


class ScaleWorkload(_Action):
    type: Literal["scale"] = "scale"
    replicas: int = Field(ge=0, le=10_000)

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("Deployment", "StatefulSet", "ReplicaSet")


class RollbackWorkload(_Action):
    """`kubectl rollout undo`. `to_revision` None means the one before the current; a plan always names it."""

    type: Literal["rollback"] = "rollback"
    to_revision: int | None = Field(default=None, ge=1)


class SetImage(_Action):
    type: Literal["set_image"] = "set_image"
    container: Container
    image: str = Field(pattern=IMAGE_PATTERN)

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return (*WORKLOADS, "CronJob")


class SetResources(_Action):
    """Set requests and limits of one container; a key that is absent stays as it is. At least one is named."""

    type: Literal["set_resources"] = "set_resources"
    container: Container
    requests: dict[Literal["cpu", "memory"], Quantity] = {}
    limits: dict[Literal["cpu", "memory"], Quantity] = {}

    @model_validator(mode="after")
    def _changes_something(self) -> "SetResources":
        if not self.requests and not self.limits:
            raise ValueError("neither requests nor limits are named")
        return self


class SetEnv(_Action):
    """Set plain environment variables of one container; None removes one."""

    type: Literal["set_env"] = "set_env"
    container: Container
    env: Annotated[
        dict[Annotated[str, Field(pattern=ENV_NAME_PATTERN)], Annotated[str, Field(max_length=4096)] | None],
        Field(min_length=1, max_length=100),
    ]


class PatchConfigMap(_Action):
    """Set keys of a ConfigMap's data; None removes one."""

    type: Literal["patch_configmap"] = "patch_configmap"
    data: Annotated[
        dict[Annotated[str, Field(pattern=CONFIG_KEY_PATTERN)], Annotated[str, Field(max_length=65_536)] | None],
        Field(min_length=1, max_length=MAX_CONFIG_KEYS),
    ]

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("ConfigMap",)


class DeletePod(_Action):
    type: Literal["delete_pod"] = "delete_pod"

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("Pod",)


class CordonNode(_Action):
    type: Literal["cordon"] = "cordon"

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("Node",)


class UncordonNode(_Action):
    type: Literal["uncordon"] = "uncordon"

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("Node",)


class DrainNode(_Action):
    """Cordon, then evict by the eviction API, so that PodDisruptionBudgets hold. DaemonSet pods stay."""

    type: Literal["drain"] = "drain"
    delete_emptydir_data: bool = False

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("Node",)


class ExpandPvc(_Action):
    type: Literal["expand_pvc"] = "expand_pvc"
    size: Quantity

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("PersistentVolumeClaim",)


class CreateConfigMap(_Action):
    """Create a missing ConfigMap from a proposal. It never overwrites."""

    type: Literal["create_configmap"] = "create_configmap"
    data: Annotated[
        dict[Annotated[str, Field(pattern=CONFIG_KEY_PATTERN)], Annotated[str, Field(max_length=65_536)]],
        Field(max_length=MAX_CONFIG_KEYS),
    ]

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("ConfigMap",)


class DeleteConfigMap(_Action):
    """Only ever the undo of CreateConfigMap; it is refused as an action of its own."""

    type: Literal["delete_configmap"] = "delete_configmap"

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("ConfigMap",)


class AdjustHpa(_Action):
    type: Literal["adjust_hpa"] = "adjust_hpa"
    min_replicas: int | None = Field(default=None, ge=1, le=10_000)
    max_replicas: int | None = Field(default=None, ge=1, le=10_000)

    @model_validator(mode="after")
    def _bounds_in_order(self) -> "AdjustHpa":
        if self.min_replicas is None and self.max_replicas is None:
            raise ValueError("neither the minimum nor the maximum is named")
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise ValueError(f"the minimum {self.min_replicas} is over the maximum {self.max_replicas}")
        return self

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("HorizontalPodAutoscaler",)


class SuspendCronJob(_Action):
    type: Literal["suspend_cronjob"] = "suspend_cronjob"
    suspend: bool

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        return ("CronJob",)


Remediation = Annotated[
    RestartWorkload
    | ScaleWorkload
    | RollbackWorkload
    | SetImage
    | SetResources
    | SetEnv
    | PatchConfigMap
    | DeletePod
    | CordonNode
    | UncordonNode
    | DrainNode
    | ExpandPvc
    | CreateConfigMap
    | DeleteConfigMap
    | AdjustHpa
    | SuspendCronJob,
    Field(discriminator="type"),
]
REMEDIATIONS: dict[str, type[_Action]] = {row.model_fields["type"].default: row for row in get_args(get_args(Remediation)[0])}
"""Every type of remediation by its name."""
UNDO_ONLY = frozenset({"delete_configmap"})
"""Types that nobody proposes: they only ever take another one back."""
PROPOSABLE = tuple(name for name in REMEDIATIONS if name not in UNDO_ONLY)


class Owner(Value):
    """Who else looks after the object and may take a change back: GitOps tool, Helm, autoscaler, operator; or nobody."""

    kind: Literal["argocd", "flux", "helm", "hpa", "vpa", "operator", "none"] = "none"
    name: str = ""
    detail: str = ""
    reverts: bool = False
    """It would take the change back by itself, within minutes."""
    git_patch: str | None = None
    """A patch that can be committed where the owner reads from."""
    values_hint: str | None = None
    """The same as values of a Helm chart, by the names that charts usually have; YAML."""


class BlastRadius(Value):
    pods: int = 0
    """Pods that restart or go away."""
    replicas_before: int | None = None
    replicas_after: int | None = None
    services: tuple[str, ...] = ()
    """Services whose endpoints these pods are."""
    budgets: tuple[str, ...] = ()
    """PodDisruptionBudgets that cover them, with what they still allow."""
    note: str = ""


class PlanBody(Strict):
    """What is hashed, signed for and executed, to the byte."""

    cluster: str
    action: Remediation
    undo: Remediation | None
    target_uid: str
    """"" when the action creates the object."""
    fields_hash: str
    """SHA-256 of the fields that the action reads or writes, as they were when the plan was made. Not resourceVersion,
    which a crash loop bumps each time; that is the precondition of the final write, from a fresh read."""


class Plan(Message):
    """A frozen Remediation: the body with its hash, and what a person is shown to decide about it."""

    body: PlanBody
    plan_hash: str
    risk: Risk
    diff: str
    """Unified diff of the fields, as YAML, redacted."""
    diff_source: Literal["server-dry-run", "computed"]
    blast_radius: BlastRadius = BlastRadius()
    owner: Owner = Owner()
    cannot_run: str | None = None
    """Why the runner would refuse it (read-only mode, no right, precheck failed); None when it can run."""
    expected_effect: str = ""
    check: str = ""
    """What will be watched to call it healed, in words."""
    check_timeout_s: int = 300
    made_at: Utc

    def verify_hash(self) -> bool:
        return digest(self.body) == self.plan_hash
