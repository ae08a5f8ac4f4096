"""What a role covers: a table of grants and what they let a person see, start and read."""

import pytest

from control_plane.errors import Forbidden
from control_plane.principals import Principal, ScopedRole, narrower
from control_plane.readers import scope_of_new
from protocol.approval import Role
from protocol.commands import ScopeLimit

ALL = ("*",)


def person(*roles: tuple[Role, tuple[str, ...], tuple[str, ...]]) -> Principal:
    scoped = tuple(ScopedRole(role=role, clusters=clusters, namespaces=namespaces) for role, clusters, namespaces in roles)
    return Principal(account="a", name="A", roles=scoped)


@pytest.mark.parametrize(
    ("who", "cluster", "namespace", "role"),
    [
        (person(), "c1", "shop", None),
        (person((Role.VIEWER, ALL, ALL)), "c1", "shop", Role.VIEWER),
        (person((Role.VIEWER, ALL, ALL)), "c1", None, Role.VIEWER),
        (person((Role.ADMIN, ("c1",), ALL)), "c2", "shop", None),
        (person((Role.ADMIN, ("c1",), ("shop",))), "c1", "shop", Role.ADMIN),
        (person((Role.ADMIN, ("c1",), ("shop",))), "c1", "bank", None),
        (person((Role.ADMIN, ("c1",), ("shop",))), "c1", None, None),
        (person((Role.ADMIN, ("c1",), ("shop", "bank"))), "c1", None, None),
        (person((Role.VIEWER, ALL, ALL), (Role.APPROVER, ("c1",), ("shop",))), "c1", "shop", Role.APPROVER),
        (person((Role.VIEWER, ALL, ALL), (Role.APPROVER, ("c1",), ("shop",))), "c1", "bank", Role.VIEWER),
        (person((Role.APPROVER, ALL, ("shop",)), (Role.OPERATOR, ("c1",), ALL)), "c1", "shop", Role.APPROVER),
    ],
)
def test_the_strongest_role_over_a_namespace(who: Principal, cluster: str, namespace: str | None, role: Role | None) -> None:
    assert who.role_in(cluster, namespace) is role


def test_a_conversation_without_namespaces_takes_all_that_is_seen() -> None:
    assert scope_of_new(person((Role.VIEWER, ALL, ALL)), "c1", "prod", None) == ScopeLimit(namespaces=None)
    two = person((Role.VIEWER, ("c1",), ("shop",)), (Role.ADMIN, ("c1",), ("bank",)), (Role.ADMIN, ("c2",), ALL))
    assert scope_of_new(two, "c1", "prod", None) == ScopeLimit(namespaces=("bank", "shop"))


def test_it_is_narrowed_and_never_widened() -> None:
    everything = person((Role.VIEWER, ALL, ALL))
    assert scope_of_new(everything, "c1", "prod", ("shop", "shop")) == ScopeLimit(namespaces=("shop",))
    with pytest.raises(Forbidden, match="bank in cluster prod"):
        scope_of_new(person((Role.VIEWER, ALL, ("shop",))), "c1", "prod", ("shop", "bank"))
    with pytest.raises(Forbidden, match="no namespace of cluster prod"):
        scope_of_new(person(), "c1", "prod", None)
    with pytest.raises(Forbidden, match="no namespace of cluster prod"):
        scope_of_new(everything, "c1", "prod", ())


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (None, None, None),
        (None, ("a",), ("a",)),
        (("a", "b"), None, ("a", "b")),
        (("a", "b"), ("b", "c"), ("b",)),
        (("a",), ("b",), ()),
    ],
)
def test_the_narrower_of_two_scopes(
    one: tuple[str, ...] | None, other: tuple[str, ...] | None, both: tuple[str, ...] | None
) -> None:
    assert narrower(ScopeLimit(namespaces=one), ScopeLimit(namespaces=other)) == ScopeLimit(namespaces=both)
