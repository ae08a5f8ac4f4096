"""The typed calls that a kubectl line becomes. Nothing else about the line survives parsing."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.base import Strict
from protocol.remediation import Remediation

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


class NamedResource(Strict):
    type: ResourceType
    name: str = ""
    """"" means all of the type."""


class _Namespaced(Strict):
    namespace: str | None = None
    """None: the default namespace of the cluster's connection."""
    all_namespaces: bool = False


class GetCall(_Namespaced):
    verb: Literal["get"] = "get"
    resources: tuple[NamedResource, ...]
    label_selector: str = ""
    field_selector: str = ""
    output: Output = "table"
    jsonpath: str = ""
    show_labels: bool = False
    no_headers: bool = False
    sort_by: str = ""
    ignore_not_found: bool = False


class DescribeCall(_Namespaced):
    verb: Literal["describe"] = "describe"
    resources: tuple[NamedResource, ...]
    label_selector: str = ""
    show_events: bool = True


class LogsCall(_Namespaced):
    verb: Literal["logs"] = "logs"
    resource: NamedResource | None = None
    """A pod, or a workload whose pods are meant; None with a selector."""
    label_selector: str = ""
    container: str = ""
    all_containers: bool = False
    previous: bool = False
    tail: int | None = None
    since_seconds: int | None = None
    since_time: str = ""
    timestamps: bool = False
    prefix: bool = False
    limit_bytes: int | None = None


class TopCall(_Namespaced):
    verb: Literal["top"] = "top"
    what: Literal["pods", "nodes"]
    name: str = ""
    label_selector: str = ""
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
    api_group: str | None = None
    output: Output = "table"


class RolloutStatusCall(_Namespaced):
    verb: Literal["rollout status"] = "rollout status"
    resource: NamedResource


class RolloutHistoryCall(_Namespaced):
    verb: Literal["rollout history"] = "rollout history"
    resource: NamedResource
    revision: int | None = None


class CanICall(_Namespaced):
    verb: Literal["auth can-i"] = "auth can-i"
    action: str = ""
    """An API verb: get, list, delete, ..."""
    resource: NamedResource | None = None
    subresource: str = ""
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
    line: str
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
