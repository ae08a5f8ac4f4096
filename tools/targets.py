"""What a model or a person calls an object, as the object that is meant. Pure."""

from pydantic import ValidationError

from protocol.kubectl.resources import RESOURCES
from protocol.objects import ObjectRef

_KINDS = {word: row for row in reversed(RESOURCES) for word in row.names}


def kind_of(word: str) -> str | None:
    """`deploy`, `deployments` or `Deployment` to `Deployment`; None for what is no built-in kind."""
    row = _KINDS.get(word.lower())
    return row.kind if row else None


def object_of(text: str, namespace: str | None) -> ObjectRef | None:
    """`Kind/namespace/name`, or `kind/name` with a namespace; None when `text` is only a word to look for."""
    parts = text.split("/")
    try:
        if len(parts) == 3:
            return ObjectRef(kind=kind_of(parts[0]) or parts[0], namespace=parts[1], name=parts[2])
        row = _KINDS.get(parts[0].lower()) if len(parts) == 2 else None
        if row is None or (row.namespaced and not namespace):
            return None
        return ObjectRef(kind=row.kind, namespace=(namespace or "") if row.namespaced else "", name=parts[1])
    except ValidationError:
        return None


def words_of(text: str) -> tuple[str, ...]:
    """The parts of a name that the runner can resolve: `deploy/payments` to `payments`."""
    return tuple(part for part in text.replace("/", " ").split() if kind_of(part) is None)[:8]
