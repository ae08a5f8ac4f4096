"""An HTTP request of the Kubernetes API, taken apart: which verb on which object, with which options."""

from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import yaml

from sandbox import protobuf
from sandbox.auth import Identity
from sandbox.errors import ApiError, bad_request, not_resource
from sandbox.objects import Obj
from sandbox.resources import BY_PLURAL, Resource

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Call:
    """One request as the HTTP layer hands it over."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    identity: Identity

    @property
    def dry_run(self) -> bool:
        return bool(self.query.get("dryRun"))

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip()

    @property
    def manager(self) -> str:
        """The field manager: as asked, or the program's name in its User-Agent."""
        asked = self.query.get("fieldManager")
        return asked or self.headers.get("user-agent", "unknown").partition("/")[0][:128] or "unknown"

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    def parsed(self) -> Any:
        """The body as JSON values. Raises ApiError 400 or 422 when it is none."""
        if self.body.startswith(protobuf.MAGIC):
            return protobuf.decode(self.body)
        try:
            if "yaml" in self.content_type:
                return yaml.safe_load(self.body)
            return orjson.loads(self.body)
        except (orjson.JSONDecodeError, yaml.YAMLError) as error:
            raise bad_request(f"the object provided is unrecognized: {error}") from error

    def obj(self) -> Obj:
        """The body as an object. Raises ApiError 400."""
        value = self.parsed()
        if not isinstance(value, dict):
            raise bad_request("the object provided is unrecognized (must be of type Object)")
        return cast(Obj, value)


@dataclass(frozen=True)
class Target:
    """What a path names. `name` is '' for a collection."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    resource: Resource | None = field(default=None)

    def verb(self, call: Call) -> str:
        """The RBAC verb of this request."""
        if call.method in ("GET", "HEAD") and not self.name:
            return "watch" if call.flag("watch") else "list"
        if call.method == "DELETE" and not self.name:
            return "deletecollection"
        verb = _VERBS.get(call.method)
        if verb is None:
            raise ApiError(405, "the server does not allow this method on the requested resource")
        return verb


def target(path: str) -> Target | None:
    """The object or collection that a path under /api or /apis names; None if it names no resource."""
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        raise not_resource()
    plural, name, subresource = [*rest, "", ""][:3]
    resource = BY_PLURAL.get((group, version, plural))
    return Target(group, version, plural, namespace, name, subresource, resource)
