"""Table output: what `kubectl get` prints, computed by the server, wide columns with priority 1."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.clock import epoch, human
from sandbox.columns import COLUMNS
from sandbox.objects import Obj, sub, text
from sandbox.resources import Resource


@dataclass(frozen=True)
class Column:
    """One column: its title, its type, whether it is only wide, and how to read it from an object."""

    name: str
    read: Callable[[Obj, float], Any]
    wide: bool = False
    type: str = "string"


def _age(obj: Obj, now: float) -> str:
    stamp = text(obj, "metadata", "creationTimestamp")
    return human(now - epoch(stamp)) if stamp else "<unknown>"


_NAME = Column("Name", lambda obj, _now: text(obj, "metadata", "name"))
_AGE = Column("Age", _age)
_CREATED = Column("Created At", lambda obj, _now: text(obj, "metadata", "creationTimestamp"), type="date")


def columns(resource: Resource) -> list[Column]:
    """The columns of a kind; NAME and CREATED AT for kinds without a row of their own."""
    own = COLUMNS.get(resource.kind)
    if own is None:
        return [_NAME, _CREATED]
    made: list[Column] = []
    for title, read in own:
        wide = title.startswith("+")
        made.append(Column(title.lstrip("+"), read, wide))
    if made[0].name != "Name" and resource.kind != "Event":
        made.insert(0, _NAME)
    return [_AGE if column.name == "Age" else column for column in made]


def table(resource: Resource, items: list[Obj], meta: Obj, now: float, include: str) -> Obj:
    """A meta.k8s.io Table. `include` is None, Metadata or Object, as the request asks."""
    wanted = columns(resource)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": "name" if column.name == "Name" else "",
                "description": "",
                "priority": 1 if column.wide else 0,
            }
            for column in wanted
        ],
        "rows": [_row(wanted, item, now, include) for item in items],
    }


def _row(wanted: list[Column], item: Obj, now: float, include: str) -> Obj:
    row: Obj = {"cells": [column.read(item, now) for column in wanted]}
    if include == "Object":
        row["object"] = item
    elif include != "None":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": sub(item, "metadata"),
        }
    return row
