"""Two approvers and one card, over two replicas that are real processes."""

from control_plane.accounts import Accounts
from control_plane.approvals import Approval, Approvals
from control_plane.bus import Bus
from control_plane.conversations import Conversations
from control_plane.database import Database
from control_plane.fleet import Fleet
from control_plane.principals import ScopedRole
from control_plane.settings import Settings
from control_plane.slack.threads import Threads
from control_plane.wakeups import LocalWakeups
from protocol.approval import Role
from protocol.remediation import Risk
from tests.fake_slack import FakeSlack
from tests.fake_slack.records import Channel, User
from tests.integration.replicas import Replicas
from tests.integration.slack_cards import plan_of


async def card_of(two: Replicas, slack: FakeSlack, ops: Channel, dana: User, target: str) -> Approval:
    """Asked for by dana, in a thread of hers. Who approves has the same address in Slack and here."""
    chosen = Settings(database_url=two.env["OPSTHREAD_DATABASE_URL"])
    database = Database(chosen.database)
    await database.start()
    try:
        accounts = Accounts(database)
        by_name = {one.name: one for one in await accounts.list()}
        dana_here = await accounts.principal(by_name["dana"].id)
        conversations = Conversations(database, LocalWakeups(), Fleet(database, Bus(chosen)))
        root = await slack.write(ops.id, dana.id, "look at this")
        thread = await Threads(database, conversations).start_with(
            dana_here,
            cluster=two.cluster,
            namespaces=None,
            team=slack.team.id,
            channel=ops.id,
            thread_ts=root.ts,
            kind="channel",
        )
        return await Approvals(database, chosen).open(
            plan_of(two.cluster, target, Risk.MEDIUM),
            requester=dana_here,
            cluster=two.cluster,
            conversation=thread.conversation,
            turn=None,
            why="it is killed at its limit",
        )
    finally:
        await database.stop()


async def approver(two: Replicas, slack: FakeSlack, name: str) -> User:
    person = slack.add_user(name)
    database = Database(two.env["OPSTHREAD_DATABASE_URL"])
    await database.start()
    try:
        roles = (ScopedRole(role=Role.APPROVER),)
        await Accounts(database).create(name, name.title(), roles, email=person.email, by="system")
    finally:
        await database.stop()
    return person
