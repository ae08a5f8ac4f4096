"""Each tool call of a turn is judged with the conversation's scope and with what its asker may see at that moment."""

from pathlib import Path
from typing import Any

from control_plane.principals import ScopedRole
from protocol.approval import Role
from protocol.events import ApprovalRequested, DiagnosisMade, ToolFinished
from tests.integration.agent_house import House, Told
from tests.integration.scripted_model import Calls, Say
from tests.integration.test_models import room

OUTSIDE: list[tuple[str, dict[str, Any]]] = [
    ("kubectl", {"command": "get pods -n bank"}),
    ("kubectl", {"command": "logs deploy/vault -n bank"}),
    ("kubectl", {"command": "get nodes"}),
    ("kubectl", {"command": "get events -n default"}),
    ("diagnose", {"namespace": "bank"}),
    ("diagnose", {"target": "Deployment/bank/vault"}),
    ("diagnose", {"target": "Node//worker-1"}),
    ("changes", {"namespace": "bank"}),
    ("prometheus", {"query": "up"}),
    ("prometheus", {"query": 'up{namespace="shop"} or up{namespace="bank"}'}),
    ("propose_remediation", {"command": "scale deploy/vault --replicas=0 -n bank"}),
    ("propose_remediation", {"command": "cordon worker-1"}),
]


async def in_shop(house: House, **more: Any) -> tuple[Any, str]:
    """An operator over everything, in a conversation about one namespace."""
    ann = await house.person("ann", Role.OPERATOR, **more)
    conversation = await house.plane.conversations.create(ann, cluster=house.cluster.id, namespaces=("shop",))
    return ann, conversation.id


def statuses(told: Told) -> list[str]:
    return [done.status for done in told.all(ToolFinished) if not done.call.startswith("opening")]


async def test_no_tool_reaches_beyond_the_conversation(tmp_path: Path) -> None:
    """Although the asker may see all of the cluster, and the question asks for it."""
    seen: list[tuple[str, Any]] = []
    script = [Calls(*OUTSIDE[:6]), Calls(*OUTSIDE[6:]), Say("Done.")]
    async with room(tmp_path, *script) as (house, server):
        house.script.before = lambda job: seen.append((job.request.command.kind, job.request.scope.namespaces))
        ann, conversation = await in_shop(house)
        told = await house.ask(ann, "what is wrong in bank, and with vault?", model=house.model(), conversation=conversation)
        assert statuses(told) == ["denied"] * len(OUTSIDE)
        assert not told.all(ApprovalRequested)
        # What was sent at all was sent with this scope, for the runner to judge again.
        assert {scope for _, scope in seen} <= {("shop",)}
        assert "prepare" not in {kind for kind, _ in seen}
        assert "the namespaces shop only" in str(server.messages(0)[0])


async def test_who_is_demoted_in_the_middle_sees_no_more_by_the_same_turn(tmp_path: Path) -> None:
    lines = [("kubectl", {"command": "get pods -n shop"})]
    async with room(tmp_path, Calls(*lines), Calls(*lines), Say("Done.")) as (house, _):
        ann, conversation = await in_shop(house)
        turn = await house.queue(ann, "list pods in shop", conversation=conversation)
        elsewhere = (ScopedRole(role=Role.VIEWER, namespaces=("bank",)),)
        await house.plane.accounts.set_roles(ann.account, elsewhere, by="system")
        await house.turns(house.model()).run(turn.id)
        told = await house.told(turn.id)
        assert set(statuses(told)) == {"denied"}
        assert "kubectl" not in house.script.kinds
        assert not told.all(DiagnosisMade)


async def test_whose_account_is_disabled_asks_nothing_more(tmp_path: Path) -> None:
    async with room(tmp_path, Calls(("kubectl", {"command": "get pods -n shop"})), Say("Done.")) as (house, _):
        ann, conversation = await in_shop(house)
        turn = await house.queue(ann, "list pods in shop", conversation=conversation)
        await house.plane.accounts.disable(ann.account, by="system")
        await house.turns(house.model()).run(turn.id)
        told = await house.told(turn.id)
        assert set(statuses(told)) == {"denied"}
        assert house.script.kinds == []
