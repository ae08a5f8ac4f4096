"""What an asker and a channel may see together: never more than either."""

from datetime import UTC, datetime

import pytest

from bot.slack.doors.commands import both
from control_plane.principals import Principal, ScopedRole
from control_plane.slack.channels import Channel, Reach
from protocol.approval import Role

WHOLE, SHOP = ("*",), ("shop",)


def channel(*reach: Reach) -> Channel:
    return Channel(
        id="c", team="T1", channel="C1", name="ops", reach=reach, strangers="refuse", stranger_account=None,
        follow=False, language="en", created_by="admin", created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("clusters", "namespaces", "reached", "left"),
    [
        (WHOLE, WHOLE, None, {("a", WHOLE)}),
        (WHOLE, WHOLE, SHOP, {("a", SHOP)}),
        (WHOLE, SHOP, None, {("a", SHOP)}),
        (("a",), ("bank", "shop"), ("shop", "web"), {("a", SHOP)}),
        (("a",), ("bank",), SHOP, set[tuple[str, tuple[str, ...]]]()),
        (("b",), WHOLE, None, set[tuple[str, tuple[str, ...]]]()),
    ],
)
def test_roles_are_cut_to_what_the_channel_reaches(
    clusters: tuple[str, ...],
    namespaces: tuple[str, ...],
    reached: tuple[str, ...] | None,
    left: set[tuple[str, tuple[str, ...]]],
) -> None:
    asker = Principal(
        account="x", name="X", roles=(ScopedRole(role=Role.ADMIN, clusters=clusters, namespaces=namespaces),), admin=True
    )
    seen = both(asker, channel(Reach(cluster="a", namespaces=reached)))
    assert {(role.clusters[0], role.namespaces) for role in seen.roles} == left
    assert seen.admin is False, "an admin sees no more in a channel than it reaches"
    assert not seen.sees_some_of("b")


def test_a_channel_that_reaches_nothing_shows_nothing() -> None:
    asker = Principal(account="x", name="X", roles=(ScopedRole(role=Role.ADMIN),), admin=True)
    assert both(asker, channel()).roles == ()
