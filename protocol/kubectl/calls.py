"""The typed calls that a kubectl line becomes. Nothing else about the line survives parsing.

The types hold by themselves, whoever built them: a call that comes over the bus from a control plane that was taken over
carries no name, selector or path that the grammar would refuse, and no Secret dressed up as something else.
"""

from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, Field, model_validator

from protocol.base import Strict
from protocol.kubectl import jsonpath, resources, selectors
from protocol.objects import valid_name, valid_namespace
from protocol.remediation import CONTAINER_PATTERN, Remediation

MAX_RESOURCES = 30
"""Objects and types that one line may name."""


def _name(value: str) -> str:
    if value and not valid_name(value):
        raise ValueError(f"{value!r} is not an object name")
    return value


def _namespace(value: str) -> str:
    if not valid_namespace(value):
        raise ValueError(f"{value!r} is not a namespace")
    return value


def _or_empty(check: Any) -> AfterValidator:
    return AfterValidator(lambda value: check(value) if value else value)


Name = Annotated[str, AfterValidator(_name)]
NamespaceName = Annotated[str, AfterValidator(_namespace)]
LabelSelector = Annotated[str, _or_empty(selectors.label_selector)]
FieldSelector = Annotated[str, _or_empty(selectors.field_selector)]
JsonPath = Annotated[str, _or_empty(jsonpath.check)]
SortPath = Annotated[str, _or_empty(jsonpath.check_sort)]
SinceTime = Annotated[str, _or_empty(selectors.rfc3339)]
ContainerName = Annotated[str, Field(pattern=rf"^$|{CONTAINER_PATTERN}")]

Output = Literal["table", "wide", "yaml", "json", "name", "jsonpath"]


class ResourceType(Strict):
    """A resource as it was asked for, resolved against the built-in table where that knows it.

    `plural` is the API's plural (`deployments`) and `group` its API group ("" for core) when `known`; for a resource that the
    table does not know (a CRD, `certificates.cert-manager.io`) they are what the line said, and the runner asks discovery.
    """

    plural: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    group: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")] = ""
    version: Annotated[str, Field(pattern=r"^(v[0-9]+((alpha|beta)[0-9]+)?)?$")] = ""
    kind: str = ""
    """CamelCase kind when known, else ""."""
    namespaced: bool = True
    known: bool = True

    @model_validator(mode="before")
    @classmethod
    def _known_by_the_table(cls, value: Any) -> Any:
        """`known` need not be said: it follows from the plural and the group."""
        if not isinstance(value, dict) or "known" in value:
            return cast(Any, value)
        fields = cast(dict[str, Any], value)
        return {**fields, "known": resources.by_plural(str(fields.get("plural")), str(fields.get("group", ""))) is not None}

    @model_validator(mode="after")
    def _as_the_table_says(self) -> "ResourceType":
        """`known` is true exactly for rows of the table, and then kind and namespaced are the table's."""
        row = resources.by_plural(self.plural, self.group)
        if row is None:
            if self.known:
                raise ValueError(f"{self.plural}.{self.group} is not a built-in resource")
            if resources.by_word(self.plural, self.group) is not None:
                raise ValueError(f"{self.plural!r} is another name of a built-in resource; use its plural")
        elif (self.known, self.kind, self.namespaced) != (True, row.kind, row.namespaced):
            raise ValueError(f"{self.plural} is the built-in {row.kind} (namespaced: {row.namespaced})")
        return self


class NamedResource(Strict):
    type: ResourceType
    name: Name = ""
    """"" means all of the type."""


class _Namespaced(Strict):
    namespace: NamespaceName | None = None
    """None: the default namespace of the cluster's connection."""
    all_namespaces: bool = False

    @model_validator(mode="after")
    def _one_reach(self) -> "_Namespaced":
        if self.all_namespaces and self.namespace is not None:
            raise ValueError("a call names a namespace or takes all of them, not both")
        return self


class GetCall(_Namespaced):
    verb: Literal["get"] = "get"
    resources: Annotated[tuple[NamedResource, ...], Field(min_length=1, max_length=MAX_RESOURCES)]
    label_selector: LabelSelector = ""
    field_selector: FieldSelector = ""
    output: Output = "table"
    jsonpath: JsonPath = ""
    show_labels: bool = False
    no_headers: bool = False
    sort_by: SortPath = ""
    ignore_not_found: bool = False


class DescribeCall(_Namespaced):
    verb: Literal["describe"] = "describe"
    resources: Annotated[tuple[NamedResource, ...], Field(min_length=1, max_length=MAX_RESOURCES)]
    label_selector: LabelSelector = ""
    show_events: bool = True


class LogsCall(_Namespaced):
    verb: Literal["logs"] = "logs"
    resource: NamedResource | None = None
    """A pod, or a workload whose pods are meant; None with a selector."""
    label_selector: LabelSelector = ""
    container: ContainerName = ""
    all_containers: bool = False
    previous: bool = False
    tail: Annotated[int, Field(ge=-1, le=1_000_000)] | None = None
    """-1 is every line; None leaves it to the runner."""
    since_seconds: Annotated[int, Field(ge=1)] | None = None
    since_time: SinceTime = ""
    timestamps: bool = False
    prefix: bool = False
    limit_bytes: Annotated[int, Field(ge=1)] | None = None


class TopCall(_Namespaced):
    verb: Literal["top"] = "top"
    what: Literal["pods", "nodes"]
    name: Name = ""
    label_selector: LabelSelector = ""
    containers: bool = False
    sort_by: Literal["", "cpu", "memory"] = ""


class EventsCall(_Namespaced):
    verb: Literal["events"] = "events"
    for_object: NamedResource | None = None
    types: tuple[Literal["Normal", "Warning"], ...] = ()
    output: Output = "table"


class VersionCall(Strict):
    verb: Literal["version"] = "version"
    output: Output = "table"


class ClusterInfoCall(Strict):
    verb: Literal["cluster-info"] = "cluster-info"


class ApiResourcesCall(Strict):
    verb: Literal["api-resources"] = "api-resources"
    namespaced: bool | None = None
    api_group: Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")] | None = None
    output: Output = "table"


class RolloutStatusCall(_Namespaced):
    verb: Literal["rollout status"] = "rollout status"
    resource: NamedResource


class RolloutHistoryCall(_Namespaced):
    verb: Literal["rollout history"] = "rollout history"
    resource: NamedResource
    revision: Annotated[int, Field(ge=1)] | None = None


class CanICall(_Namespaced):
    verb: Literal["auth can-i"] = "auth can-i"
    action: Annotated[str, Field(pattern=r"^[a-z]{0,32}$")] = ""
    """An API verb: get, list, delete, ..."""
    resource: NamedResource | None = None
    subresource: Annotated[str, Field(pattern=r"^([a-z]{1,32})?$")] = ""
    list_all: bool = False


ReadCall = Annotated[
    GetCall
    | DescribeCall
    | LogsCall
    | TopCall
    | EventsCall
    | VersionCall
    | ClusterInfoCall
    | ApiResourcesCall
    | RolloutStatusCall
    | RolloutHistoryCall
    | CanICall,
    Field(discriminator="verb"),
]


class WriteCall(Strict):
    """A kubectl line that writes and maps to a typed Remediation: it is proposed, never run.

    `remediation.target.namespace` is "default" when the line named none; the proposer replaces it by the conversation's
    namespace. `dry_run` is True for --dry-run=server|client.
    """

    verb: Literal["write"] = "write"
    line: Annotated[str, Field(max_length=10_000)]
    remediation: Remediation
    namespace_given: bool = True
    dry_run: bool = False


Call = Annotated[
    GetCall
    | DescribeCall
    | LogsCall
    | TopCall
    | EventsCall
    | VersionCall
    | ClusterInfoCall
    | ApiResourcesCall
    | RolloutStatusCall
    | RolloutHistoryCall
    | CanICall
    | WriteCall,
    Field(discriminator="verb"),
]


class GrammarError(ValueError):
    """The line is not one that the table knows. The message names the token and what is allowed."""

    def __init__(self, token: str, message: str) -> None:
        super().__init__(message)
        self.token = token
