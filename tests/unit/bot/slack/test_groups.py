"""A group of the control plane becomes a message: what its alerts have in common once, their own labels with each."""

import json

from bot.slack.blocks.alert import alert
from bot.slack.blocks.groups import view_of
from control_plane.alerts.values import Group
from tests.fake_slack.blocks import check_blocks
from tests.unit.bot.slack import made

COMMON = {"alertname": "High", "severity": "critical", "team": "pay"}
MEMBER = {
    "fingerprint": "f",
    "state": "firing",
    "name": "High",
    "severity": "critical",
    "labels": {**COMMON, "pod": "payments-1"},
    "annotations": {"description": "near its limit"},
    "starts_at": made.AT,
}
GROUP = Group.model_validate(
    {
        **{"id": "g", "generation": 1, "source": "alertmanager", "cluster": "c", "cluster_name": "prod", "namespace": "shop"},
        **{"severity": "critical", "title": "High", "labels": COMMON, "state": "firing", "revision": 1, "told": 0},
        **{"route": "r", "in_digest": False, "conversation": None, "opened_at": made.AT, "updated_at": made.AT},
        **dict.fromkeys(("acknowledged_by", "acknowledged_by_name", "silenced_by_name", "wrong_by_name", "wrong_reason"), ""),
        **dict.fromkeys(("resolved_at", "acknowledged_at", "silenced_until", "wrong_at"), None),
        **{"silenced_until_resolved": False, "alerts": (MEMBER,), "firing": 1},
    }
)


def test_a_group_is_shown_with_its_own_labels_once() -> None:
    message = alert(view_of(GROUP, cause="it leaks"), language="en", url=made.URL, value=str)
    check_blocks(message.blocks)
    said = json.dumps(message.blocks)
    for fact in ("pod=payments-1", "near its limit", "it leaks", "prod / shop", "team=pay"):
        assert said.count(fact) == 1, fact
    assert "severity=" not in said


def test_who_has_it_in_hand_comes_along() -> None:
    taken = GROUP.model_copy(update={"acknowledged_by_name": "Bo", "acknowledged_at": made.AT})
    view = view_of(taken, following=True)
    assert (view.acknowledged_by_name, view.acknowledged_at, view.following) == ("Bo", made.AT, True)
