"""Full members of the workspace, and everybody who is none: by what Slack says of them."""

from typing import Any

import pytest

from bot.slack.standing import told

MEMBER: dict[str, Any] = {
    "id": "U1",
    "team_id": "T1",
    "name": "dana",
    "deleted": False,
    "is_bot": False,
    "is_restricted": False,
    "is_ultra_restricted": False,
    "is_email_confirmed": True,
    "locale": "ja-JP",
    "profile": {"display_name": "Dana", "email": "Dana@Example.com"},
}
GRID = {"enterprise_id": "E1", "teams": ["T1", "T2"]}


@pytest.mark.parametrize(
    ("changes", "enterprise", "standing"),
    [
        ({}, "", ""),
        ({"deleted": True}, "", "deleted"),
        ({"is_bot": True}, "", "bot"),
        ({"is_workflow_bot": True}, "", "bot"),
        ({"is_connector_bot": True}, "", "bot"),
        ({"is_restricted": True}, "", "guest"),
        ({"is_ultra_restricted": True}, "", "guest"),
        ({"is_invited_user": True}, "", "guest"),
        ({"is_restricted": "true"}, "", "guest"),
        ({"is_restricted": 1}, "", "guest"),
        ({"is_stranger": True}, "", "foreign"),
        ({"is_stranger": True, "deleted": True}, "", "foreign"),
        ({"team_id": "T9"}, "", "foreign"),
        ({"team_id": None}, "", "foreign"),
        ({"team_id": "T9", "enterprise_user": GRID}, "E1", ""),
        ({"team_id": "T9", "enterprise_user": GRID}, "", "foreign"),
        ({"team_id": "T9", "enterprise_user": GRID}, "E2", "foreign"),
        ({"team_id": "T9", "enterprise_user": {**GRID, "teams": ["T2"]}}, "E1", "foreign"),
        ({"team_id": "T9", "enterprise_user": {**GRID, "teams": "T1"}}, "E1", "foreign"),
        ({"team_id": "T9", "enterprise_user": GRID, "is_restricted": True}, "E1", "guest"),
        ({"id": "U2"}, "", "unknown"),
    ],
)
def test_who_is_a_full_member(changes: dict[str, Any], enterprise: str, standing: str) -> None:
    found = told({**MEMBER, **changes}, user="U1", team="T1", enterprise=enterprise)
    assert found.standing == standing
    assert found.address == ("dana@example.com" if not standing else None)
    assert not found.unconfirmed


@pytest.mark.parametrize(
    ("changes", "address", "unconfirmed"),
    [
        ({"is_email_confirmed": False}, None, True),
        ({"is_email_confirmed": None}, None, True),
        ({"is_email_confirmed": "true"}, None, True),
        ({"profile": {}}, None, False),
        ({"profile": {"email": ""}}, None, False),
        ({"profile": {"email": "dаna@example.com"}}, None, False),
        ({"profile": None}, None, False),
    ],
)
def test_only_a_verified_address_is_one(changes: dict[str, Any], address: str | None, unconfirmed: bool) -> None:
    found = told({**MEMBER, **changes}, user="U1", team="T1", enterprise="")
    assert (found.address, found.unconfirmed, found.standing) == (address, unconfirmed, "")


def test_where_slack_does_not_say_whether_it_is_verified_it_is_not() -> None:
    silent = {key: value for key, value in MEMBER.items() if key != "is_email_confirmed"}
    found = told(silent, user="U1", team="T1", enterprise="")
    assert (found.address, found.unconfirmed) == (None, True)


def test_name_and_language_are_as_slack_has_them() -> None:
    found = told(MEMBER, user="U1", team="T1", enterprise="")
    assert (found.name, found.language) == ("Dana", "ja")
    plain = told(
        {**MEMBER, "profile": {"real_name": "Dana\n<!channel>"}, "locale": "de-DE"}, user="U1", team="T1", enterprise=""
    )
    assert (plain.name, plain.language) == ("Dana <!channel>", None)
    nobody = told({}, user="U1", team="T1", enterprise="")
    assert (nobody.name, nobody.standing, nobody.language) == ("U1", "unknown", None)
