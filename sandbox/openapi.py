"""As much OpenAPI as kubectl asks: which kinds can be patched, and with which parameters.

`kubectl apply` looks for fieldValidation, older versions look for dryRun, and old ones insist on version 2
of the document in gnostic's protobuf. Schemas are those of `explain`; kubectl leaves the checking to the server.
"""

from sandbox.discovery import VERSION
from sandbox.objects import Obj
from sandbox.resources import RESOURCES, Resource, groups
from sandbox.schemas import schemas

_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation", "force")


def index() -> Obj:
    """/openapi/v3: where the document of each group version is."""
    paths = {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}
    for name, versions in groups().items():
        for version in versions:
            key = f"apis/{name}/{version}"
            paths[key] = {"serverRelativeURL": f"/openapi/v3/{key}"}
    return {"paths": paths}


def document(group_name: str, version: str) -> Obj:
    """OpenAPI v3 of a group version: the PATCH parameters, which is all that `kubectl apply` looks at."""
    paths: Obj = {}
    for resource in RESOURCES:
        if (resource.group, resource.version) != (group_name, version):
            continue
        paths[_path(resource)] = {
            "patch": {
                "parameters": [
                    {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for name in _PARAMETERS
                ],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": {
                    "group": group_name,
                    "version": version,
                    "kind": resource.kind,
                },
            }
        }
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    mine = [resource for resource in RESOURCES if (resource.group, resource.version) == (group_name, version)]
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas(mine)}}


def document_v2() -> Obj:
    info = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"swagger": "2.0", "info": info, "paths": {}, "definitions": {}}


def document_v2_protobuf() -> bytes:
    """Version 2 in gnostic's protobuf (openapiv2/OpenAPIv2.proto): each kind's PATCH and its parameters."""
    info = _field(1, b"Kubernetes") + _field(2, str(VERSION["gitVersion"]).encode())
    paths = b"".join(_field(2, _named_path(resource)) for resource in RESOURCES)
    return _field(1, b"2.0") + _field(2, info) + _field(8, paths)


def _named_path(resource: Resource) -> bytes:
    parameters = b"".join(
        _field(8, _field(1, _field(2, _field(3, _field(2, b"query") + _field(4, name.encode()) + _field(6, b"string")))))
        for name in _PARAMETERS
    )
    kind = f"group: '{resource.group}'\nkind: {resource.kind}\nversion: {resource.version}\n"
    extension = _field(13, _field(1, b"x-kubernetes-group-version-kind") + _field(2, _field(2, kind.encode())))
    return _field(1, _path(resource).encode()) + _field(2, _field(8, parameters + extension))


def _path(resource: Resource) -> str:
    base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    where = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"{base}{where}/{resource.plural}/{{name}}"


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 0x7F:
        coded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*coded, value])
