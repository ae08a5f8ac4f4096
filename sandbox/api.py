"""One request in, one answer out: who may, what is meant, and who does it. No HTTP library in here."""

from dataclasses import dataclass, field
from typing import Any

from sandbox import discovery, openapi, reads, reviews, subresources, usage, writes
from sandbox.auth import Tokens, service_account
from sandbox.clock import rfc3339
from sandbox.cluster import Cluster
from sandbox.errors import ApiError, not_resource
from sandbox.kubelet import Kubelet
from sandbox.objects import Obj, name_of, namespace_of, number, sub, uid_of
from sandbox.rbac import Question
from sandbox.requests import Call, Target, target
from sandbox.resources import METRICS_GROUP, POD, Resource


@dataclass(frozen=True)
class Answer:
    """A finished answer: a JSON value, or text when `media` says so."""

    body: Any
    code: int = 200
    media: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Watch:
    """An answer that goes on: a watch of a kind."""

    resource: Resource
    namespace: str
    name: str


@dataclass(frozen=True)
class Log:
    """An answer that goes on, or not: the log of a pod."""

    pod: Obj


class Api:
    def __init__(self, cluster: Cluster, kubelet: Kubelet, tokens: Tokens) -> None:
        self.tokens = tokens
        self.cluster = cluster
        self.kubelet = kubelet
        self.metrics = True
        self.address = "127.0.0.1"

    def answer(self, call: Call) -> Answer | Watch | Log:
        """Raises ApiError for every refusal."""
        found = target(call.path)
        if found is None:
            reviews.require(self.cluster, call.identity, Question("get", path=call.path))
            return self._about(call)
        if found.group == METRICS_GROUP and found.plural in ("pods", "nodes"):
            return self._usage(found, call)
        if found.group in reviews.KINDS:
            return self._review(found, call)
        resource = found.resource
        verb = found.verb(call)
        where = found.namespace
        plural = f"{found.plural}/{found.subresource}" if found.subresource else found.plural
        question = Question(verb, found.group, plural, where, found.name)
        reviews.require(self.cluster, call.identity, question)
        if resource is None or resource.namespaced < bool(where):
            raise not_resource()
        if found.subresource:
            return self._subresource(resource, found, call)
        if resource.namespaced and not where and verb not in ("list", "watch"):
            raise ApiError(405, "the server does not allow this method on the requested resource")
        return self._object(resource, found, verb, call)

    def _object(self, resource: Resource, found: Target, verb: str, call: Call) -> Answer | Watch:
        cluster, where, name = self.cluster, found.namespace, found.name
        if verb == "list":
            return Answer(reads.listed(cluster, resource, where, call))
        if verb == "watch" or (verb == "get" and call.flag("watch")):
            return Watch(resource, where, name)
        if verb == "get":
            return Answer(reads.shown(cluster, resource, cluster.store.need(resource, where, name), call))
        if verb == "create":
            if name:
                raise ApiError(405, "the server does not allow this method on the requested resource")
            return Answer(reads.shown(cluster, resource, writes.create(cluster, resource, where, call), call), 201)
        if verb == "update":
            if not name:
                raise ApiError(405, "the server does not allow this method on the requested resource")
            return Answer(reads.shown(cluster, resource, writes.update(cluster, resource, where, name, call, call.obj()), call))
        if verb == "patch":
            existed = cluster.store.get(resource, where, name) is not None
            made = writes.patch(cluster, resource, where, name, call)
            return Answer(reads.shown(cluster, resource, made, call), 200 if existed else 201)
        if verb == "deletecollection":
            return Answer(self._delete_collection(resource, where, call))
        left, gone = writes.delete(cluster, resource, where, name, call)
        return Answer(_deleted(resource, left) if gone and resource is not POD else left)

    def _delete_collection(self, resource: Resource, namespace: str, call: Call) -> Obj:
        wanted = reads.matcher(resource, call)
        items = [obj for obj in self.cluster.store.list(resource, namespace) if wanted(obj)]
        for obj in items:
            writes.delete(self.cluster, resource, namespace, name_of(obj), call)
        meta = {"resourceVersion": str(self.cluster.store.version)}
        return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}

    def _subresource(self, resource: Resource, found: Target, call: Call) -> Answer | Log:
        cluster, where, name, part = self.cluster, found.namespace, found.name, found.subresource
        if part not in resource.subresources:
            raise not_resource()
        obj = cluster.store.need(resource, where, name)
        if part == "log":
            return Log(obj)
        if part == "token":
            return self._token(obj, call)
        if part == "eviction":
            return Answer(subresources.evict(cluster, obj, call), 201)
        if part == "scale":
            if call.method == "GET":
                return Answer(subresources.scale_of(obj))
            return Answer(subresources.set_scale(cluster, resource, obj, call))
        if call.method == "GET":
            return Answer(reads.shown(cluster, resource, obj, call))
        if call.method == "PUT":
            return Answer(writes.update(cluster, resource, where, name, call, call.obj(), "status"))
        return Answer(writes.patch(cluster, resource, where, name, call, "status"))

    def _usage(self, found: Target, call: Call) -> Answer:
        if not self.metrics:
            raise not_resource()
        question = Question(found.verb(call), METRICS_GROUP, found.plural, found.namespace, found.name)
        reviews.require(self.cluster, call.identity, question)
        return Answer(usage.usage(self.kubelet, found, call))

    def _review(self, found: Target, call: Call) -> Answer:
        kind = reviews.KINDS[found.group].get(found.plural)
        if kind is None:
            raise not_resource()
        question = Question(found.verb(call), found.group, found.plural)
        reviews.require(self.cluster, call.identity, question)
        return Answer(reviews.review(self.cluster, call.identity, kind, call.obj()), 201)

    def _token(self, account: Obj, call: Call) -> Answer:
        """A TokenRequest: a bearer token of the account, for an hour unless another time is asked for."""
        body = call.obj() if call.body else {}
        lives = number(body, "spec", "expirationSeconds", default=3600)
        expires = self.cluster.clock.now + lives
        identity = service_account(namespace_of(account), name_of(account))
        status = {"token": self.tokens.issue(identity, expires), "expirationTimestamp": rfc3339(expires)}
        meta = {"name": name_of(account), "namespace": namespace_of(account), "creationTimestamp": None}
        spec = {**sub(body, "spec"), "expirationSeconds": lives}
        head: Obj = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1"}
        return Answer({**head, "metadata": meta, "spec": spec, "status": status}, 201)

    def _about(self, call: Call) -> Answer:
        parts = [part for part in call.path.split("/") if part]
        accept = call.headers.get("accept", "")
        match parts:
            case []:
                return Answer(
                    {
                        "paths": [
                            "/api",
                            "/api/v1",
                            "/apis",
                            "/healthz",
                            "/livez",
                            "/openapi/v2",
                            "/openapi/v3",
                            "/readyz",
                            "/version",
                        ]
                    }
                )
            case ["version"]:
                return Answer(discovery.VERSION)
            case ["healthz" | "livez" | "readyz", *_]:
                return Answer("ok", media="text/plain")
            case ["api"]:
                return Answer(discovery.api_versions(self.address))
            case ["apis"]:
                return Answer(discovery.group_list(self.metrics))
            case ["openapi", "v2"]:
                if "protobuf" in accept:
                    media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                    return Answer(openapi.document_v2_protobuf(), media=media)
                return Answer(openapi.document_v2())
            case ["openapi", "v3"]:
                return Answer(openapi.index())
            case ["openapi", "v3", "api", version]:
                return Answer(openapi.document("", version))
            case ["openapi", "v3", "apis", group, version]:
                return Answer(openapi.document(group, version))
            case ["api", version]:
                found = discovery.resource_list("", version, self.metrics)
            case ["apis", group]:
                found = discovery.group(group, self.metrics)
            case ["apis", group, version]:
                found = discovery.resource_list(group, version, self.metrics)
            case _:
                found = None
        if found is None:
            raise not_resource()
        return Answer(found)


def _deleted(resource: Resource, obj: Obj) -> Obj:
    details: Obj = {"name": name_of(obj), "kind": resource.plural, "uid": uid_of(obj)}
    if resource.group:
        details["group"] = resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
