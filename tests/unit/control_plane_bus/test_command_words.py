"""Titles and messages: each names the object, what happened and what to do next."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane import command_words as words
from protocol.commands import Command, Diagnose, GrantStatus, Kubectl, ListChanges, PreparePlan, PromQuery
from protocol.kubectl.calls import GetCall, NamedResource, ResourceType
from protocol.objects import ObjectRef
from protocol.remediation import ScaleWorkload

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAYMENTS = ObjectRef(kind="Deployment", namespace="shop", name="payments")
PODS = NamedResource(type=ResourceType(plural="pods", kind="Pod"))


@pytest.mark.parametrize(
    ("command", "title"),
    [
        (Kubectl(call=GetCall(resources=(PODS,), namespace="shop")), "kubectl get pods -n shop"),
        (PromQuery(expr="up\n == 0"), "up == 0"),
        (Diagnose(target=PAYMENTS), "diagnose Deployment/shop/payments"),
        (Diagnose(words=("payments", "restarting"), namespace="shop"), "diagnose payments restarting in shop"),
        (Diagnose(), "diagnose everything"),
        (ListChanges(namespace="shop"), "changes of shop in the last 3600 s"),
        (GrantStatus(authority="approval:aaaaaaaaaaaaaaaa"), "what became of approval:aaaaaaaaaaaaaaaa (action)"),
    ],
)
def test_titles(command: Command, title: str) -> None:
    assert words.title(command) == title


def test_a_plan_is_titled_in_kubectls_words() -> None:
    title = words.title(PreparePlan(action=ScaleWorkload(target=PAYMENTS, replicas=3)))
    assert title.startswith("plan: kubectl scale")
    assert "--replicas" in title


@pytest.mark.parametrize(("seconds", "ago"), [(50, "50 s"), (600, "10 minutes"), (10_000, "3 hours")])
def test_offline_says_since_when(seconds: int, ago: str) -> None:
    message = words.offline("shop", NOW - timedelta(seconds=seconds), NOW)
    assert f"{ago} ago" in message
    assert "shop" in message


def test_what_may_have_run_is_never_to_be_sent_again() -> None:
    for message in (
        words.lost("shop", writes=True),
        words.silent("shop", 5, writes=True),
        words.restarted("shop", writes=True),
    ):
        assert "Don't send it again" in message
    for message in (words.lost("shop", writes=False), words.restarted("shop", writes=False)):
        assert "Ask again" in message
