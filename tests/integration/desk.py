"""The services that need only a database, over a real one, with a clock that the test moves.

async def test_something(desk: Desk) -> None:
    ann = await desk.person("ann", Role.OPERATOR)
    approval = await desk.propose(ann)
"""

from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from argon2 import PasswordHasher

from control_plane.accounts import Accounts
from control_plane.approvals import Approval, Approvals
from control_plane.audit import Audit
from control_plane.break_glass import BreakGlassSwitch
from control_plane.bus import Bus
from control_plane.conversations import Conversation, Conversations
from control_plane.database import Database
from control_plane.errors import Forbidden, ServiceError
from control_plane.fleet import Cluster, Fleet
from control_plane.freezes import Freezes
from control_plane.notifications import Notifications
from control_plane.passwords import Passwords
from control_plane.principals import Principal, ScopedRole
from control_plane.settings import Settings
from control_plane.wakeups import LocalWakeups
from protocol.approval import Decision, Role
from protocol.canonical import digest
from protocol.objects import ObjectRef
from protocol.remediation import Plan, PlanBody, Remediation, Risk, SetResources

PASSWORD = "correct horse battery staple"


class MovedClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> datetime:
        self.now += timedelta(**by)
        return self.now


@dataclass
class Desk:
    settings: Settings
    clock: MovedClock
    wakeups: LocalWakeups
    database: Database
    accounts: Accounts
    fleet: Fleet
    conversations: Conversations
    approvals: Approvals
    audit: Audit
    freezes: Freezes
    break_glass: BreakGlassSwitch
    notifications: Notifications
    cluster: Cluster

    async def person(
        self,
        name: str,
        role: Role,
        *,
        clusters: tuple[str, ...] = ("*",),
        namespaces: tuple[str, ...] = ("*",),
        fresh: bool = False,
    ) -> Principal:
        roles = (ScopedRole(role=role, clusters=clusters, namespaces=namespaces),)
        account = await self.accounts.create(name, name.title(), roles, by="system")
        principal = await self.accounts.principal(account.id)
        return principal.model_copy(update={"fresh_sign_in": fresh})

    async def conversation(self, principal: Principal) -> Conversation:
        return await self.conversations.create(principal, cluster=self.cluster.id)

    def plan(
        self,
        memory: str = "512Mi",
        *,
        risk: Risk = Risk.MEDIUM,
        action: Remediation | None = None,
        undo: Remediation | None = None,
        **more: Any,
    ) -> Plan:
        """Raise the memory of payments, unless an action is given."""
        if action is None:
            action, undo = _memory(memory), _memory("128Mi")
        body = PlanBody(cluster=self.cluster.id, action=action, undo=undo, target_uid="uid-1", fields_hash="0" * 64)
        return Plan(
            body=body,
            plan_hash=digest(body),
            risk=risk,
            diff="-  memory: 128Mi\n+  memory: 512Mi",
            diff_source="server-dry-run",
            made_at=self.clock(),
            **more,
        )

    async def propose(
        self, requester: Principal, plan: Plan | None = None, *, conversation: Conversation | None = None
    ) -> Approval:
        return await self.approvals.open(
            plan or self.plan(),
            requester=requester,
            cluster=self.cluster.id,
            conversation=conversation.id if conversation is not None else None,
            turn=None,
            why="the container is killed at its limit",
        )

    async def decide(
        self,
        approval: Approval,
        principal: Principal,
        verdict: Literal["approve", "reject"] = "approve",
        *,
        door: Literal["web", "slack", "rest", "cli"] = "web",
        plan_hash: str | None = None,
        **more: Any,
    ) -> Approval:
        """As a surface does it: with the hash that was shown, and a name that is not to be believed."""
        word = Decision(
            by="somebody-else",
            by_name="Somebody Else",
            verdict=verdict,
            plan_hash=plan_hash or approval.plan.plan_hash,
            at=self.clock(),
            door=door,
            fresh_sign_in=True,
            **more,
        )
        return await self.approvals.decide(approval.id, word, principal)


async def crew(desk: Desk) -> tuple[Principal, Principal, Principal]:
    """One who asks, and two who approve."""
    ann = await desk.person("ann", Role.OPERATOR)
    return ann, await desk.person("bob", Role.APPROVER), await desk.person("carol", Role.APPROVER)


async def refused(attempt: Awaitable[Any], kind: type[ServiceError] = Forbidden) -> str:
    with pytest.raises(kind) as caught:
        await attempt
    return caught.value.code


@asynccontextmanager
async def desk_over(url: str, folder: Path, **settings: Any) -> AsyncGenerator[Desk]:
    chosen = Settings(data_dir=folder, database_url=url, **settings)
    clock, wakeups = MovedClock(), LocalWakeups()
    database = Database(chosen.database, wakeups)
    approvals = Approvals(database, chosen, clock=clock)
    # Its bus stays down: what is asked of the fleet here is answered from the tables.
    fleet = Fleet(database, Bus(chosen), clock=clock, kill_switch_thrown=approvals.cancel_open)
    await database.start()
    try:
        yield Desk(
            settings=chosen,
            clock=clock,
            wakeups=wakeups,
            database=database,
            accounts=Accounts(
                database, clock=clock, passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
            ),
            fleet=fleet,
            conversations=Conversations(database, wakeups, fleet, clock=clock),
            approvals=approvals,
            audit=Audit(database),
            freezes=Freezes(database, clock=clock),
            break_glass=BreakGlassSwitch(database, clock=clock),
            notifications=Notifications(database, clock=clock),
            cluster=await fleet.create("shop", by="system"),
        )
    finally:
        await database.stop()


def _memory(limit: str) -> SetResources:
    return SetResources(target=ObjectRef.parse("Deployment/shop/payments"), container="app", limits={"memory": limit})
