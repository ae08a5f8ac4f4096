"""Cards in threads of the fake Slack, of plans that nobody had to be asked for."""

from itertools import count
from typing import Any

from control_plane.approvals import Approval
from control_plane.clock import utc_now
from control_plane.slack.threads import Thread
from protocol.approval import ApprovalState
from protocol.canonical import digest
from protocol.objects import ObjectRef
from protocol.remediation import Plan, PlanBody, Remediation, Risk, SetResources
from tests.fake_slack.records import Channel, Message
from tests.integration.slack_house import SlackHouse
from tests.integration.waiting import until

_numbers = count(1)


def plan_of(cluster: str, target: str, risk: Risk, memory: str = "512Mi", **more: Any) -> Plan:
    body = PlanBody(
        cluster=cluster, action=_memory(target, memory), undo=_memory(target, "128Mi"), target_uid="u", fields_hash="0" * 64
    )
    return Plan(
        body=body,
        plan_hash=digest(body),
        risk=risk,
        diff="-  memory: 128Mi\n+  memory: 512Mi",
        diff_source="server-dry-run",
        made_at=utc_now(),
        **more,
    )


def _memory(target: str, memory: str) -> Remediation:
    return SetResources(target=ObjectRef.parse(target), container="app", limits={"memory": memory})


class Cards:
    """Each is of an object that is not there: what is approved is cancelled by the look before it starts."""

    def __init__(self, house: SlackHouse) -> None:
        self._house = house

    async def thread(self, channel: Channel, asker: str) -> Thread:
        house = self._house
        root = await house.slack.write(channel.id, house.people[asker].id, "look at this")
        return await house.plane.slack_threads.start_with(
            house.principals[asker],
            cluster=house.cluster,
            namespaces=None,
            team=house.slack.team.id,
            channel=channel.id,
            thread_ts=root.ts,
            kind="channel",
        )

    async def open(
        self, thread: Thread, requester: str, risk: Risk = Risk.MEDIUM, target: str = "", **more: Any
    ) -> tuple[Approval, Message]:
        """An approval that waits, and its card with buttons."""
        house = self._house
        target = target or f"Deployment/shop/app-{next(_numbers)}"
        approval = await house.plane.approvals.open(
            plan_of(house.cluster, target, risk, **more),
            requester=house.principals[requester],
            cluster=house.cluster,
            conversation=thread.conversation,
            turn=None,
            why="it is killed at its limit",
        )
        return approval, await self.shown(approval)

    async def shown(self, approval: Approval) -> Message:
        house = self._house
        key = f"approval:{approval.id}"

        async def posted() -> Message | None:
            post = await house.plane.slack_posts.get(house.slack.team.id, key)
            return house.slack.message(post.channel, post.ts) if post is not None and post.ts else None

        return await until(posted, f"the card of {approval.command_line}")

    async def state(self, approval: Approval, *states: ApprovalState) -> Approval:
        async def there() -> Approval | None:
            now = await self._house.plane.approvals.get(approval.id)
            return now if now.state in states else None

        return await until(there, f"{approval.command_line} is {' or '.join(states)}")

    async def without(self, card: Message, *actions: str) -> None:
        """The card has none of these buttons any more."""
        await self._house.slack.until(lambda: not set(actions) & set(buttons(card)) or None, f"no {actions} on the card")


def buttons(message: Message) -> list[str]:
    return [str(element["action_id"]) for element in message.elements()]
