"""Label and field selectors, parsed once and asked often."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from sandbox.errors import bad_request
from sandbox.objects import Obj, rows, sub, texts
from sandbox.resources import Resource

Test = Callable[[Mapping[str, str]], bool]

_SPLIT = re.compile(r",(?![^()]*\))")
_SET = re.compile(r"\s*([^\s!=,()]+)\s+(in|notin)\s*\(([^()]*)\)\s*")
_EQUAL = re.compile(r"\s*([^\s!=,()]+)\s*(==|!=|=)\s*([A-Za-z0-9]?[-A-Za-z0-9_.]*)\s*")
_EXISTS = re.compile(r"\s*(!?)\s*([^\s!=,()]+)\s*")


def labels(selector: str) -> Test:
    """A test of a label map. Raises ApiError 400 on what is not a selector."""
    tests = [_requirement(part) for part in _SPLIT.split(selector)] if selector.strip() else []
    return lambda have: all(test(have) for test in tests)


def _requirement(part: str) -> Test:
    if match := _SET.fullmatch(part):
        key, wanted = match[1], {value.strip() for value in match[3].split(",")}
        if match[2] == "in":
            return lambda have: have.get(key) in wanted
        return lambda have: have.get(key) not in wanted
    if match := _EQUAL.fullmatch(part):
        key, value = match[1], match[3]
        if match[2] == "!=":
            return lambda have: have.get(key) != value
        return lambda have: have.get(key) == value
    if match := _EXISTS.fullmatch(part):
        key = match[2]
        return (lambda have: key not in have) if match[1] else (lambda have: key in have)
    raise bad_request(f"unable to parse requirement: found '{part}', expected: a label selector such as app=web")


def matches(selector: Obj, have: Mapping[str, str]) -> bool:
    """Does a LabelSelector object (matchLabels, matchExpressions) match? An empty one matches all."""
    wanted = cast(dict[str, str], sub(selector, "matchLabels"))
    if any(have.get(key) != value for key, value in wanted.items()):
        return False
    for row in rows(selector, "matchExpressions"):
        key, operator, values = str(row.get("key")), row.get("operator"), texts(row, "values")
        holds = {
            "In": have.get(key) in values,
            "NotIn": have.get(key) not in values,
            "Exists": key in have,
            "DoesNotExist": key not in have,
        }.get(str(operator), False)
        if not holds:
            return False
    return True


def written(selector: Obj) -> str:
    """A LabelSelector object in the notation of the command line."""
    said = [f"{key}={value}" for key, value in sorted(sub(selector, "matchLabels").items())]
    for row in rows(selector, "matchExpressions"):
        key, operator, values = row.get("key"), row.get("operator"), ",".join(texts(row, "values"))
        said.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": f"{key}",
                "DoesNotExist": f"!{key}",
            }.get(str(operator), f"{key}")
        )
    return ",".join(said)


_EVERYWHERE = {"metadata.name", "metadata.namespace"}
_SUPPORTED = {
    "Pod": {
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    },
    "Event": {
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    },
    "Secret": {"type"},
    "Namespace": {"status.phase"},
    "Node": {"spec.unschedulable"},
    "ReplicaSet": {"status.replicas"},
    "Job": {"status.successful"},
}


def fields(selector: str, resource: Resource) -> Callable[[Obj], bool]:
    """A test of objects of that kind. Raises ApiError 400 for fields that the API does not index."""
    tests: list[Callable[[Obj], bool]] = []
    for part in filter(None, selector.split(",")):
        match = re.fullmatch(r"\s*([^!=]+?)\s*(==|!=|=)\s*(.*?)\s*", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, operator, value = match[1], match[2], match[3]
        if path not in _EVERYWHERE | _SUPPORTED.get(resource.kind, set()):
            raise bad_request(
                f'Unable to find "{resource.api_version}, Resource={resource.plural}" that match '
                f'label selector "", field selector "{selector}": '
                f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
                if resource.kind not in _SUPPORTED
                else f"field label not supported: {path}"
            )
        tests.append(_field(path, operator != "!=", value))
    return lambda obj: all(test(obj) for test in tests)


def _field(path: str, equal: bool, value: str) -> Callable[[Obj], bool]:
    steps = path.split(".")

    def test(obj: Obj) -> bool:
        found: Any = sub(obj, *steps[:-1]).get(steps[-1])
        if path == "source":
            found = sub(obj, "source").get("component")
        if isinstance(found, bool) or path == "spec.unschedulable":
            found = "true" if found else "false"
        return (str(found if found is not None else "") == value) == equal

    return test
