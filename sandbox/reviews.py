"""Access: the 403 that a request without rights gets, and the reviews that tell who may what."""

from dataclasses import replace
from typing import cast

from sandbox.auth import AUTHENTICATED, Identity
from sandbox.cluster import Cluster
from sandbox.errors import ApiError
from sandbox.objects import Obj, sub, text, texts
from sandbox.rbac import Question, allowed, rules
from sandbox.resources import AUTHENTICATION_GROUP, AUTHORIZATION_GROUP

KINDS = {
    AUTHORIZATION_GROUP: {
        "selfsubjectaccessreviews": "SelfSubjectAccessReview",
        "selfsubjectrulesreviews": "SelfSubjectRulesReview",
        "subjectaccessreviews": "SubjectAccessReview",
    },
    AUTHENTICATION_GROUP: {"selfsubjectreviews": "SelfSubjectReview"},
}
"""Reviews by group: the plural, and the kind."""


def require(cluster: Cluster, identity: Identity, question: Question) -> None:
    """Raises ApiError 403 in the API server's words."""
    if allowed(cluster.store, identity, question):
        return
    who, group, resource = identity.name, question.group, question.resource
    if question.path:
        raise ApiError(403, f'forbidden: User "{who}" cannot {question.verb} path "{question.path}"')
    plural = resource.partition("/")[0]
    head = f"{plural}.{group}" if group else plural
    subject = f'{head} "{question.name}"' if question.name else head
    where = f'in the namespace "{question.namespace}"' if question.namespace else "at the cluster scope"
    details: dict[str, object] = {"kind": plural}
    if question.name:
        details = {"name": question.name, **details}
    if group:
        details["group"] = group
    said = f'{subject} is forbidden: User "{who}" cannot {question.verb} resource "{resource}" in API group "{group}" {where}'
    raise ApiError(403, said, details=details)


def impersonated(cluster: Cluster, identity: Identity, user: str, groups: list[str]) -> Identity:
    """Who is meant by the Impersonate headers. Raises ApiError 403 when `identity` may not speak for others."""
    if not user:
        return identity
    require(cluster, identity, Question("impersonate", "", "users", name=user))
    for group in groups:
        require(cluster, identity, Question("impersonate", "", "groups", name=group))
    return Identity(user, tuple(dict.fromkeys([*groups, *_account_groups(user), AUTHENTICATED])))


def _account_groups(user: str) -> list[str]:
    parts = user.split(":")
    if parts[:2] != ["system", "serviceaccount"] or len(parts) != 4:
        return []
    return ["system:serviceaccounts", f"system:serviceaccounts:{parts[2]}"]


def review(cluster: Cluster, identity: Identity, kind: str, body: Obj) -> Obj:
    """The answered review."""
    group = AUTHENTICATION_GROUP if kind == "SelfSubjectReview" else AUTHORIZATION_GROUP
    body = {**body, "apiVersion": f"{group}/v1", "kind": kind}
    cast(Obj, body.setdefault("metadata", {})).setdefault("creationTimestamp", None)
    if kind == "SelfSubjectReview":
        return {**body, "status": {"userInfo": {"username": identity.name, "groups": list(identity.groups)}}}
    if kind == "SelfSubjectRulesReview":
        return {**body, "status": _rules(cluster, identity, text(body, "spec", "namespace"))}
    if kind == "SubjectAccessReview":
        identity = Identity(text(body, "spec", "user"), tuple(texts(body, "spec", "groups")))
    asked = sub(body, "spec", "resourceAttributes")
    if asked:
        resource = text(asked, "resource")
        if text(asked, "subresource"):
            resource = f"{resource}/{text(asked, 'subresource')}"
        group, space = text(asked, "group"), text(asked, "namespace")
        question = Question(text(asked, "verb"), group, resource, space, text(asked, "name"))
    else:
        path = text(body, "spec", "nonResourceAttributes", "path")
        question = Question(text(body, "spec", "nonResourceAttributes", "verb"), path=path or "/")
    yes = allowed(cluster.store, identity, question)
    if not yes and question.namespace == "*":
        yes = allowed(cluster.store, identity, replace(question, namespace=""))
    return {**body, "status": {"allowed": yes}}


def _rules(cluster: Cluster, identity: Identity, namespace: str) -> Obj:
    found = list(rules(cluster.store, identity, namespace))
    return {
        "resourceRules": [rule for rule in found if "resources" in rule],
        "nonResourceRules": [rule for rule in found if "nonResourceURLs" in rule],
        "incomplete": False,
    }
