"""Who is asking, and what they may see and do. Resolved from our own accounts at the time of each call."""

from protocol.approval import Role, role_at_least
from protocol.base import Value
from protocol.commands import ScopeLimit


class ScopedRole(Value):
    """A role over clusters and namespaces. "*" is all of them."""

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)

    def covers(self, cluster: str, namespace: str | None) -> bool:
        """`namespace` None asks for the whole cluster: only a grant over "*" covers that."""
        if "*" not in self.clusters and cluster not in self.clusters:
            return False
        return "*" in self.namespaces or (namespace is not None and namespace in self.namespaces)


class Principal(Value):
    """One account as it stands now. Never cached longer than a request or a tool call."""

    account: str
    name: str
    tenant: str = "default"
    roles: tuple[ScopedRole, ...] = ()
    admin: bool = False
    """An admin over everything (a role row admin over * and *)."""
    fresh_sign_in: bool = False
    """Signed in with a password or link within the last 5 minutes, on this session."""

    def role_in(self, cluster: str, namespace: str | None) -> Role | None:
        """The strongest role over a namespace (None: over the whole cluster), or None."""
        best: Role | None = None
        for grant in self.roles:
            if grant.covers(cluster, namespace) and (best is None or role_at_least(grant.role, best)):
                best = grant.role
        return best

    def sees(self, cluster: str, namespace: str | None = None) -> bool:
        return self.role_in(cluster, namespace) is not None

    def sees_some_of(self, cluster: str) -> bool:
        return any("*" in g.clusters or cluster in g.clusters for g in self.roles)

    def scope_limit(self, cluster: str) -> ScopeLimit:
        """The namespaces that this person may see there: None for all. An empty tuple means nothing at all."""
        names: set[str] = set()
        for grant in self.roles:
            if "*" in grant.clusters or cluster in grant.clusters:
                if "*" in grant.namespaces:
                    return ScopeLimit(namespaces=None)
                names.update(grant.namespaces)
        return ScopeLimit(namespaces=tuple(sorted(names)))


def narrower(one: ScopeLimit, other: ScopeLimit) -> ScopeLimit:
    """The intersection: a conversation never shows more than its scope, nor more than its asker may see."""
    if one.namespaces is None:
        return other
    if other.namespaces is None:
        return one
    return ScopeLimit(namespaces=tuple(sorted(set(one.namespaces) & set(other.namespaces))))
