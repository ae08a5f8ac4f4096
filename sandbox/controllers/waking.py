"""Which object a change is about, for controllers that look after objects of one kind and the parts that these own."""

from collections.abc import Iterator

from sandbox.cluster import Key
from sandbox.objects import controller_of, name_of, namespace_of
from sandbox.resources import Resource
from sandbox.store import Change


def own_and_parts(change: Change, own: Resource, part: Resource) -> Iterator[Key]:
    """The object itself unless it is gone, or the one that controls the part that changed."""
    if change.resource is own and change.type != "DELETED":
        yield namespace_of(change.obj), name_of(change.obj)
    elif change.resource is part:
        owner = controller_of(change.obj)
        if owner.get("kind") == own.kind:
            yield namespace_of(change.obj), str(owner["name"])
