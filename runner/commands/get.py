"""`kubectl get`: the server's own columns by a Table request, or the objects as yaml, json, names or a jsonpath."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import yaml

from knowledge.diagnosis.fields import rows, sub
from protocol.commands import CommandStatus
from protocol.kubectl import jsonpath
from protocol.kubectl.calls import GetCall, NamedResource
from protocol.redaction import redact_tree
from runner.commands.answer import Answer, Refusal
from runner.commands.ask import Ask, Obj
from runner.commands.render import columns, labels_text
from runner.kube.client import TABLE
from runner.kube.errors import KubeError
from runner.kube.resources import Resource

MAX_ROWS = 10_000


@dataclass(slots=True)
class _Found:
    """What one resource type of the call brought: rows of a Table, or objects."""

    resource: Resource
    headers: list[Obj] = field(default_factory=list)
    rows: list[Obj] = field(default_factory=list[Obj])
    objects: list[Obj] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    cut: str = ""


async def get(call: GetCall, ask: Ask) -> Answer:
    """Raises Refusal and KubeError."""
    types: dict[str, list[NamedResource]] = {}
    for item in call.resources:
        types.setdefault(f"{item.type.plural}.{item.type.group}", []).append(item)
    found = [await _fetch(call, ask, items) for items in types.values()]
    missing = [message for one in found for message in one.missing]
    cut = "; ".join(one.cut for one in found if one.cut)
    if call.output in ("table", "wide"):
        text, redacted = _tables(call, found), 0
        nothing = not any(one.rows for one in found)
    else:
        text, redacted = _documents(call, found)
        nothing = not any(one.objects for one in found)
    if nothing and missing:
        raise Refusal(CommandStatus.NOT_FOUND, "\n".join(missing))
    if nothing and call.output in ("table", "wide", "name", "jsonpath"):
        return Answer(text=_nothing(call, ask, found), empty=True)
    shown = "\n".join(part for part in (text.rstrip("\n"), *missing) if part) + "\n"
    return Answer(text=shown, empty=nothing, cut=cut, redacted=redacted)


async def _fetch(call: GetCall, ask: Ask, items: Sequence[NamedResource]) -> _Found:
    resource = await ask.resource(items[0].type)
    found = _Found(resource)
    spaces = ask.namespaces(resource, call.namespace, all_namespaces=call.all_namespaces)
    tabular = call.output in ("table", "wide")
    for item in items:
        if item.name:
            await _fetch_one(call, ask, found, spaces[0], item.name, tabular=tabular)
        else:
            for space in spaces:
                await _fetch_list(call, ask, found, space, tabular=tabular)
    return found


async def _fetch_one(call: GetCall, ask: Ask, found: _Found, space: str, name: str, *, tabular: bool) -> None:
    try:
        if tabular:
            params = {"includeObject": "Object" if call.sort_by else "Metadata"}
            _take_rows(ask, found, await ask.client.get(found.resource.path(space, name), params, accept=TABLE))
        else:
            found.objects.append(without_noise(await ask.object(found.resource, space, name)))
    except KubeError as error:
        if error.status != 404:
            raise
        if not call.ignore_not_found:
            found.missing.append(error.for_people())


async def _fetch_list(call: GetCall, ask: Ask, found: _Found, space: str, *, tabular: bool) -> None:
    params: dict[str, str | int | bool] = {}
    if call.label_selector:
        params["labelSelector"] = call.label_selector
    if call.field_selector:
        params["fieldSelector"] = call.field_selector
    if tabular:
        params["includeObject"] = "Object" if call.sort_by else "Metadata"
        async for page in ask.pages(found.resource, space, params, accept=TABLE):
            _take_rows(ask, found, page)
            if len(found.rows) >= MAX_ROWS:
                found.cut = f"the first {len(found.rows):,} {found.resource.plural}; narrow it by namespace or selector"
                return
        return
    size = 0
    async for page in ask.pages(found.resource, space, params):
        kind = str(page.get("kind") or "").removesuffix("List")
        for item in rows(page, "items"):
            if not ask.visible(found.resource, sub(item, "metadata")):
                continue
            whole = {"apiVersion": page.get("apiVersion"), "kind": kind or found.resource.kind, **item}
            found.objects.append(without_noise(whole))
            size += len(orjson.dumps(found.objects[-1])) if call.output in ("yaml", "json") else 0
            if size > 2 * ask.max_bytes:
                found.cut = (
                    f"the first {len(found.objects):,} {found.resource.plural}; ask for one by name, or for less by selector"
                )
                return


def _take_rows(ask: Ask, found: _Found, table: Obj) -> None:
    """Rows of a Table; a server that knows no Tables sends objects, of which name and age are shown."""
    if table.get("kind") != "Table":
        items = cast(list[Obj], table.get("items")) if "items" in table else [table]
        found.headers = [{"name": "Name", "priority": 0}, {"name": "Created At", "priority": 0}]
        taken: list[Obj] = [
            {"cells": [i["metadata"]["name"], i["metadata"].get("creationTimestamp")], "object": i} for i in items
        ]
    else:
        found.headers = table.get("columnDefinitions") or found.headers
        taken = cast(list[Obj], rows(table, "rows"))
    found.rows.extend(row for row in taken if ask.visible(found.resource, sub(row, "object", "metadata")))


def _tables(call: GetCall, found: Sequence[_Found]) -> str:
    shown = [one for one in found if one.rows]
    several = len(found) > 1
    return "\n".join(_table(call, one, several=several) for one in shown)


def _table(call: GetCall, found: _Found, *, several: bool) -> str:
    picked = [at for at, column in enumerate(found.headers) if call.output == "wide" or not column.get("priority")]
    headers = [str(found.headers[at]["name"]) for at in picked]
    with_namespace = call.all_namespaces and found.resource.namespaced
    if with_namespace:
        headers.insert(0, "Namespace")
    if call.show_labels:
        headers.append("Labels")
    table: list[list[Any]] = []
    for row in _sorted(call, found.rows):
        cells: list[Any] = row.get("cells", [])
        metadata = sub(row, "object", "metadata")
        line: list[Any] = [cells[at] if at < len(cells) else None for at in picked]
        if several and line:
            line[0] = f"{found.resource.printed_name}/{line[0]}"
        if with_namespace:
            line.insert(0, metadata.get("namespace"))
        if call.show_labels:
            line.append(labels_text(metadata.get("labels")))
        table.append(line)
    return columns(headers, table, headings=not call.no_headers)


def _sorted(call: GetCall, table: list[Obj]) -> list[Obj]:
    if not call.sort_by:
        return table
    return sorted(table, key=lambda row: sort_key(call.sort_by, row.get("object")))


def sort_key(path_text: str, document: Any) -> tuple[int, float, str]:
    """Numbers by size, then text; what has no such field comes first, as in kubectl."""
    parts = jsonpath.parse(path_text)
    values = jsonpath.values(parts[0], document) if isinstance(parts[0], jsonpath.Path) else []
    if not values:
        return (0, 0.0, "")
    value = values[0]
    if isinstance(value, int | float):
        return (1, float(value), "")
    return (2, 0.0, str(value))


def _documents(call: GetCall, found: Sequence[_Found]) -> tuple[str, int]:
    """And how many secrets were hidden that the text alone would not show as such."""
    objects = [item for one in found for item in one.objects]
    if call.sort_by:
        objects.sort(key=lambda item: sort_key(call.sort_by, item))
    if call.output == "name":
        return "".join(f"{one.resource.printed_name}/{item['metadata']['name']}\n" for one in found for item in one.objects), 0
    single = len(call.resources) == 1 and bool(call.resources[0].name)
    document: Any = objects[0] if single and objects else {"apiVersion": "v1", "items": objects, "kind": "List"}
    if call.output == "jsonpath":
        # A value without its key: what it is can only be seen in the document.
        safe, redacted = redact_tree(document)
        return (render_jsonpath(call.jsonpath, safe), redacted) if objects else ("", 0)
    return dump(document, call.output), 0


def render_jsonpath(expression: str, document: Any) -> str:
    """Values of a path are separated by spaces; objects and lists are written as JSON, as kubectl does."""
    parts: list[str] = []
    for part in jsonpath.parse(expression):
        if isinstance(part, str):
            parts.append(part)
        else:
            parts.append(" ".join(_value_text(value) for value in jsonpath.values(part, document)))
    return "".join(parts)


def dump(document: Any, output: str) -> str:
    if output == "json":
        return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n"
    return yaml.dump(document, Dumper=_Dumper, sort_keys=True, allow_unicode=True, default_flow_style=False, width=4096)


class _Dumper(yaml.CSafeDumper):
    """No anchors: equal values are written out, as kubectl does."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return "" if value is None else str(value)


def without_noise(item: Obj) -> Obj:
    """Without managedFields, as kubectl shows it; a Secret's values never leave, nor do copies of them."""
    metadata = dict(sub(item, "metadata"))
    metadata.pop("managedFields", None)
    shown = {**item, "metadata": metadata}
    if item.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if isinstance(item.get(part), dict):
                shown[part] = dict.fromkeys(item[part], "[redacted]")
        metadata["annotations"] = {
            key: value for key, value in sub(metadata, "annotations").items() if "last-applied" not in key
        }
    return shown


def _nothing(call: GetCall, ask: Ask, found: Sequence[_Found]) -> str:
    if call.all_namespaces or not any(one.resource.namespaced for one in found):
        return "No resources found\n"
    return f"No resources found in {call.namespace or ask.client.access.namespace} namespace.\n"
