"""Who may read a conversation, and what a new one may show."""

from control_plane.errors import Forbidden
from control_plane.principals import Principal
from control_plane.tables.conversations import ConversationRow
from protocol.approval import Role, role_at_least
from protocol.commands import ScopeLimit


def may_read(row: ConversationRow, principal: Principal) -> bool:
    """Readers hold the whole scope of a conversation, not a part of it."""
    if row.tenant_id != principal.tenant:
        return False
    return all(principal.sees(row.cluster, namespace) for namespace in _namespaces(row))


def may_operate(row: ConversationRow, principal: Principal) -> bool:
    roles = [principal.role_in(row.cluster, namespace) for namespace in _namespaces(row)]
    return all(role is not None and role_at_least(role, Role.OPERATOR) for role in roles)


def weakest_role(row: ConversationRow, principal: Principal) -> Role | None:
    """What the principal holds over all of the conversation's scope; None where a part is not covered."""
    weakest: Role | None = None
    for namespace in _namespaces(row):
        role = principal.role_in(row.cluster, namespace)
        if role is None:
            return None
        if weakest is None or role_at_least(weakest, role):
            weakest = role
    return weakest


def scope_of_new(principal: Principal, cluster: str, name: str, namespaces: tuple[str, ...] | None) -> ScopeLimit:
    """What the principal sees of cluster `cluster`, narrowed to `namespaces`. Raises Forbidden, naming what is not covered."""
    seen = principal.scope_limit(cluster)
    if namespaces is None:
        scope = seen
    else:
        hidden = [namespace for namespace in namespaces if not seen.allows(namespace)]
        if hidden:
            raise Forbidden(f"your roles do not cover {', '.join(hidden)} in cluster {name}; ask an admin for them")
        scope = ScopeLimit(namespaces=tuple(sorted(set(namespaces))))
    if scope.namespaces is not None and not scope.namespaces:
        raise Forbidden(f"your roles cover no namespace of cluster {name}; ask an admin for one")
    return scope


def _namespaces(row: ConversationRow) -> tuple[str | None, ...]:
    scope = ScopeLimit.model_validate_json(row.scope)
    return (None,) if scope.namespaces is None else scope.namespaces
