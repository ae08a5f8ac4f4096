"""Writing: create, update, patch, apply and delete, each with preconditions and dry run."""

from typing import Any, cast

from sandbox import fields, patches
from sandbox.admission import admit
from sandbox.clock import rfc3339
from sandbox.cluster import Cluster
from sandbox.defaults import fill
from sandbox.deletion import delete_gracefully
from sandbox.errors import ApiError, bad_request, conflict, invalid, not_found, precondition_failed
from sandbox.objects import Obj, being_deleted, clone, name_of, namespace_of, rows, sub, text, texts
from sandbox.removal import without
from sandbox.requests import Call
from sandbox.resources import DEPLOYMENT, JOB, NAMESPACE, POD, REPLICA_SET, Resource
from sandbox.shapes import decoded
from sandbox.validation import check


def create(cluster: Cluster, resource: Resource, namespace: str, call: Call, body: Obj | None = None) -> Obj:
    """Store a new object. Raises ApiError 400, 404, 409 or 422."""
    obj = decoded(resource, clone(body if body is not None else call.obj()))
    meta = _identify(resource, namespace, obj)
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = f"{meta['generateName']}{cluster.suffix()}"
    if resource.namespaced:
        home = cluster.store.get(NAMESPACE, "", namespace)
        if home is None:
            raise not_found(NAMESPACE, namespace)
        if being_deleted(home):
            raise ApiError(
                403,
                f'{resource.plural} "{meta.get("name")}" is forbidden: unable to create new content in '
                f"namespace {namespace} because it is being terminated",
            )
    for field in ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation", "managedFields"):
        meta.pop(field, None)
    if resource is not NAMESPACE and resource.kind != "Node" and "status" in resource.subresources:
        obj.pop("status", None)
    fill(cluster, resource, obj)
    check(resource, obj)
    admit(cluster, resource, obj)
    return cluster.store.create(resource, obj, call.manager, dry_run=call.dry_run)


def _identify(resource: Resource, namespace: str, obj: Obj) -> Obj:
    kind, version = obj.setdefault("kind", resource.kind), obj.setdefault("apiVersion", resource.api_version)
    if (kind, version) != (resource.kind, resource.api_version):
        raise bad_request(
            f"{kind} in version {str(version).rpartition('/')[2]!r} cannot be handled as a "
            f"{resource.kind}: expected {resource.api_version}, Kind={resource.kind}"
        )
    meta = cast(Obj, obj.setdefault("metadata", {}))
    if resource.namespaced:
        if meta.get("namespace") not in (None, "", namespace):
            raise bad_request(
                f"the namespace of the provided object does not match the namespace sent on the request: "
                f"{meta['namespace']} != {namespace}"
            )
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    return meta


def update(
    cluster: Cluster, resource: Resource, namespace: str, name: str, call: Call, body: Obj, subresource: str = ""
) -> Obj:
    """Replace an object (or its status). Raises ApiError 400, 404, 409 or 422."""
    obj = decoded(resource, clone(body))
    meta = _identify(resource, namespace, obj)
    if meta.setdefault("name", name) != name:
        raise bad_request(f"the name of the object ({meta['name']}) does not match the name on the URL ({name})")
    old = cluster.store.need(resource, namespace, name)
    return _write(cluster, resource, old, obj, call, subresource)


def patch(cluster: Cluster, resource: Resource, namespace: str, name: str, call: Call, subresource: str = "") -> Obj:
    """Patch an object by any of the four patch types. Raises ApiError 400, 404, 409, 415 or 422."""
    if call.content_type == patches.APPLY_PATCH:
        return apply(cluster, resource, namespace, name, call)
    old = cluster.store.need(resource, namespace, name)
    changes = call.parsed()
    obj = patches.patched(old, changes, call.content_type)
    if name_of(obj) != name:
        raise bad_request(f"the name of the object ({name_of(obj)}) does not match the name on the URL ({name})")
    asked: Any = sub(cast(Obj, changes), "metadata") if isinstance(changes, dict) else {}
    stored = sub(old, "metadata")
    if asked.get("resourceVersion") not in (None, "", stored["resourceVersion"]):
        raise conflict(resource, name)
    if asked.get("uid") not in (None, "", stored["uid"]):
        rule = f'Invalid value: "{asked["uid"]}": field is immutable'
        raise invalid(resource.kind, resource.group, name, [("metadata.uid", "FieldValueInvalid", rule)])
    return _write(cluster, resource, old, obj, call, subresource)


def _write(cluster: Cluster, resource: Resource, old: Obj, obj: Obj, call: Call, subresource: str) -> Obj:
    if subresource == "status":
        meta = {**old["metadata"], "resourceVersion": sub(obj, "metadata").get("resourceVersion", "")}
        obj = {**old, "metadata": meta, "status": obj.get("status", {})}
    elif "status" in resource.subresources and "status" in old:
        obj["status"] = old["status"]
    obj = decoded(resource, obj)
    # who owns what is for this server to say, whatever the client sends back
    obj["metadata"]["managedFields"] = old["metadata"].get("managedFields", [])
    for field in ("deletionTimestamp", "deletionGracePeriodSeconds"):
        if field in old["metadata"]:
            obj["metadata"][field] = old["metadata"][field]
    fill(cluster, resource, obj)
    check(resource, obj, old)
    admit(cluster, resource, obj, old)
    written = cluster.store.update(resource, obj, call.manager, subresource=subresource, dry_run=call.dry_run)
    done = being_deleted(written) and not texts(written, "metadata", "finalizers")
    if done and resource not in (POD, NAMESPACE) and not call.dry_run:
        cluster.store.remove(resource, namespace_of(written), name_of(written))
    return written


def apply(cluster: Cluster, resource: Resource, namespace: str, name: str, call: Call) -> Obj:
    """Server-side apply: set the fields of the body, own them, drop what was owned and is gone.

    Raises ApiError 409 with one cause a field when another manager owns it, unless force=true.
    """
    if not call.query.get("fieldManager"):
        raise bad_request('PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch')
    body = decoded(resource, call.obj())
    _identify(resource, namespace, body)
    body["metadata"].setdefault("name", name)
    wanted = fields.leaves(body)
    stamp = rfc3339(cluster.clock.now)
    old = cluster.store.get(resource, namespace, name)
    if old is None:
        made = create(cluster, resource, namespace, call, body)
        made = fields.applied(_without_manager(made, call.manager), call.manager, stamp, set(wanted))
        if call.dry_run:
            return made
        return cluster.store.update(resource, made, call.manager, track=False)
    clashes = fields.conflicts(old, call.manager, wanted)
    if clashes and not call.flag("force"):
        raise _apply_conflict(clashes)
    mine: set[fields.Path] = set()
    others: set[fields.Path] = set()
    for entry, paths in fields.owners(old):
        legacy = call.manager == "kubectl" and entry.get("manager") == fields.LAST_APPLIED_MANAGER
        if entry.get("manager") == call.manager and entry.get("operation") == "Apply":
            mine |= paths
        elif legacy:
            mine |= {p for p in paths if p[:2] != ("f:metadata", "f:annotations")}
        else:
            others |= paths
    obj = patches.strategic(clone(old), clone(body), "service" if resource.kind == "Service" else "")
    without(obj, mine - wanted.keys() - others)
    obj["metadata"].pop("managedFields", None)
    forced = {path for _, path in clashes}
    obj["metadata"]["managedFields"] = _surrendered(old, call.manager, forced)
    obj = fields.applied(obj, call.manager, stamp, set(wanted))
    fill(cluster, resource, obj)
    check(resource, obj, old)
    if "status" in old:
        obj["status"] = old["status"]
    return cluster.store.update(resource, obj, call.manager, track=False, dry_run=call.dry_run)


def _without_manager(obj: Obj, manager: str) -> Obj:
    result = clone(obj)
    result["metadata"]["managedFields"] = [
        entry for entry in rows(obj, "metadata", "managedFields") if entry.get("manager") != manager
    ]
    return result


def _surrendered(obj: Obj, manager: str, forced: set[fields.Path]) -> list[Obj]:
    kept: list[Obj] = []
    for entry, paths in fields.owners(obj):
        if manager == "kubectl" and entry.get("manager") == fields.LAST_APPLIED_MANAGER:
            continue
        left = paths - forced
        if left:
            kept.append({**entry, "fieldsV1": fields.nested(left)} if left != paths else entry)
    return kept


def _apply_conflict(clashes: list[tuple[str, fields.Path]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager}"', "field": fields.dotted(path)}
        for manager, path in clashes
    ]
    said = ", ".join(f'conflict with "{manager}": {fields.dotted(path)}' for manager, path in clashes)
    many = "conflict" if len(clashes) == 1 else "conflicts"
    return ApiError(409, f"Apply failed with {len(clashes)} {many}: {said}", details={"causes": causes})


def delete(cluster: Cluster, resource: Resource, namespace: str, name: str, call: Call) -> tuple[Obj, bool]:
    """Delete one object; gives what is left of it, and whether it is gone. Raises ApiError 404 or 409."""
    obj = cluster.store.need(resource, namespace, name)
    options = call.obj() if call.body else {}
    conditions = sub(options, "preconditions")
    for field, stored in (("uid", "uid"), ("resourceVersion", "resourceVersion")):
        wanted = conditions.get(field)
        if wanted and wanted != obj["metadata"][stored]:
            word = "UID" if field == "uid" else "ResourceVersion"
            why = precondition_failed(resource, namespace, name, word, wanted, obj["metadata"][stored])
            raise conflict(resource, name, why)
    if call.dry_run or options.get("dryRun"):
        return obj, True
    grace = call.query.get("gracePeriodSeconds", options.get("gracePeriodSeconds"))
    policy = call.query.get("propagationPolicy") or text(options, "propagationPolicy")
    if policy == "Orphan" or options.get("orphanDependents"):
        _orphan(cluster, obj)
    left = delete_gracefully(cluster, resource, obj, grace=None if grace is None else int(str(grace)))
    return left, cluster.store.get(resource, namespace, name) is None


def _orphan(cluster: Cluster, owner: Obj) -> None:
    for resource in (POD, REPLICA_SET, DEPLOYMENT, JOB):
        for obj in cluster.store.list(resource, namespace_of(owner)):
            refs = rows(obj, "metadata", "ownerReferences")
            kept = [ref for ref in refs if ref.get("uid") != owner["metadata"]["uid"]]
            if len(kept) != len(refs):
                freed = clone(obj)
                freed["metadata"]["ownerReferences"] = kept
                cluster.store.update(resource, freed, "kube-controller-manager")
