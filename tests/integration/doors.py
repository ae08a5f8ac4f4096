"""Every door of the HTTP side, and a scene with somebody of each kind before it: what the table in doors.yaml is held against.

A row is a method and a path as the application has them. `answers` are the statuses for nobody, another tenant, another
cluster, another namespace, a viewer, an operator, an approver (all of the namespace aviary) and an administrator of everything.
"""

import base64
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import yaml
from sqlalchemy import update

from control_plane.alerts.routes import NewRoute
from control_plane.alerts.values import Alert, Report
from control_plane.clock import utc_now
from control_plane.commands import Commands
from control_plane.principals import ScopedRole
from control_plane.slack.channels import Reach
from control_plane.tables.accounts import AccountRow
from control_plane.tables.safety import NotificationRow
from knowledge.cases import Case
from protocol.approval import Role
from protocol.commands import Kubectl, PreparePlan, PromQuery, ScopeLimit
from protocol.events import ModelMessage, ToolFinished, TurnFinished
from protocol.ids import new_id
from protocol.kubectl import parse
from protocol.kubectl.calls import WriteCall
from tests.integration.fake_runner import FakeRunner, Job
from tests.integration.http_server import Here, Person, http_server, plan_for, read

WHO = ("nobody", "tenant", "cluster", "namespace", "viewer", "operator", "approver", "admin")
OUTSIDE = ("tenant", "cluster", "namespace")
"""People of elsewhere: to them what is here must be as if it were not."""
IDS = ("conversation", "approval", "command", "event", "account", "agent", "freeze", "notification", "cluster", "turn", "case",
       "group", "mapping", "route", "sender")  # fmt: skip
_HOLE = re.compile(r"\{(\w+)(?::\w+)?\}")


@dataclass(frozen=True)
class Door:
    method: str
    path: str
    answers: dict[str, int]
    body: dict[str, Any] | None = None
    form: dict[str, str] | None = None
    query: str = ""
    browser: bool = False
    csrf: bool = True
    last: bool = False
    """It takes away what other rows need."""
    ended: bool = False
    """It is about an approval that has ended."""
    echo: bool = False
    """Its answer repeats the asker's own words."""
    says: dict[str, str] = field(default_factory=dict[str, str])
    """By who: what must stand in the answer."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def needs(self) -> set[str]:
        text = self.path + self.query + orjson.dumps([self.body, self.form]).decode()
        return set(_HOLE.findall(text))


def doors() -> list[Door]:
    raw: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "doors.yaml").read_text(encoding="utf-8"))
    found: list[Door] = []
    for name, row in raw.items():
        method, path = name.split(" ", 1)
        fields = dict(cast(dict[str, Any], row)) if isinstance(row, dict) else {"answers": row}
        statuses = [int(word) for word in str(fields.pop("answers")).split()]
        found.append(Door(method, path, dict(zip(WHO, statuses, strict=True)), **fields))
    return sorted(found, key=lambda door: door.last)


def routes_of(routes: Iterable[Any]) -> Iterator[str]:
    """Method and path of each route of an application, of the routers in it too."""
    for route in routes:
        inner = getattr(route, "original_router", None) or (route if hasattr(route, "routes") else None)
        if inner is not None:
            yield from routes_of(inner.routes)
        else:
            for method in sorted(cast(set[str], route.methods or set()) - {"HEAD"}):
                yield f"{method} {route.path}"


@dataclass
class Scene:
    here: Here
    people: dict[str, Person]
    owner: Person
    runner: FakeRunner
    made: int = 0
    said: list[str] = field(default_factory=list[str])

    async def things(self, needs: set[str], *, ended: bool = False) -> dict[str, str]:
        """Fresh ones, all of the namespace aviary, for a row that names them. `ended`: the approval has been withdrawn."""
        self.made += 1
        if not self.runner.closed.is_set():
            await self.runner.heartbeat()  # on a busy machine the table takes longer than a silent runner is believed
        plane, cluster = self.here.plane, self.here.cluster
        found = {"cluster": cluster.id, "seq": "1", "number": "0", "n": str(self.made), "token": "t" * 20}
        found |= {"version": "x", "path": "base.css", "request_id": "r" * 16, "agent": self.runner.runner}
        if needs & {"conversation", "approval", "plan_hash", "command", "turn"}:
            conversation = await plane.conversations.create(
                self.owner.principal, cluster=cluster.id, namespaces=("aviary",), title=f"about heron-{self.made}"
            )
            turn = await plane.conversations.ask(conversation.id, self.owner.principal, "why?", door="web", language="en")
            found |= {"conversation": conversation.id, "turn": turn.id}
        if needs & {"approval", "plan_hash"}:
            call = parse(f"scale deployment/heron-{self.made} --replicas=3 -n aviary")
            assert isinstance(call, WriteCall)
            approval = await plane.approvals.open(
                plan_for(cluster.id, action=call.remediation),
                requester=self.owner.principal,
                cluster=cluster.id,
                conversation=found["conversation"],
                turn=None,
                why="because",
            )
            found |= {"approval": approval.id, "plan_hash": approval.plan.plan_hash}
            if ended:
                await plane.approvals.withdraw(approval.id, self.owner.principal)
        if "command" in needs:
            found["command"] = await self._command(plane.commands, found["conversation"])
        if "event" in needs:
            listed = (await self.owner.call("GET", f"/api/v1/events?cluster_id={cluster.id}&namespace=aviary"))[1]
            found["event"] = str(listed["events"][0]["id"])
        if "account" in needs:
            made = await plane.accounts.create(f"person-{self.made}", "", (), by="system")
            found["account"] = made.id
        if "turn" in needs and ended:
            await plane.conversations.claim_turn(found["turn"])
            await plane.conversations.append(found["conversation"], ModelMessage(text="so", final=True), turn=found["turn"])
            await plane.conversations.end_turn(found["turn"], "finished", TurnFinished(took_ms=1))
        if "case" in needs:
            found["case"] = await self._case()
        if "freeze" in needs:
            found["freeze"] = await self._freeze()
        if "notification" in needs:
            found["notification"] = await self._notification()
        found |= {"team": "T0001", "channel": f"C{self.made:04}", "user": f"U{self.made:04}"}
        if needs & {"channel", "user", "mapping"}:
            found |= await self._slack(found)
        if needs & {"group", "route", "sender"}:
            found |= await self._alerts()
        return found

    async def _command(self, commands: Commands, conversation: str) -> str:
        result = await commands.run(
            self.here.cluster.id,
            PromQuery(expr='up{namespace="aviary"}', start=utc_now() - timedelta(minutes=10), end=utc_now(), step_s=60),
            principal=self.owner.principal,
            scope=ScopeLimit(namespaces=("aviary",)),
            correlation={"conversation": conversation},
        )
        done = ToolFinished(call="c1", name="prometheus", status="ok", text="series", duration_ms=1, cut="", command=result.id)
        await self.here.plane.conversations.append(conversation, done)
        return result.id

    async def _freeze(self) -> str:
        window = {"kind": "once", "starts_at": "2031-01-01T00:00:00Z", "ends_at": "2031-01-02T00:00:00Z"}
        admin = self.people["admin"].principal
        added = await self.here.plane.freezes.add(
            admin, cluster=self.here.cluster.id, window=cast(Any, window), reason="holiday"
        )
        return added.id

    async def _case(self) -> str:
        case = Case(
            id=new_id(), title=f"heron-{self.made} was killed", explanation="heron is killed at its limit", fix="more memory",
            code="memory-limit-too-low", outcome="held", cluster=self.here.cluster.id, namespace="aviary",
        )  # fmt: skip
        await self.here.plane.cases.bring_in([case], self.people["admin"].principal)
        return case.id

    async def _notification(self) -> str:
        row = NotificationRow(
            id=new_id(), tenant_id="default", kind="broken_glass", cluster=self.here.cluster.id, cluster_name="practice",
            namespace="aviary", approval=None, by=self.owner.account.id, by_name="Owner", what="scaled heron", reason="night",
            at=utc_now(),
        )  # fmt: skip
        async with self.here.plane.database.transaction() as session:
            session.add(row)
        return row.id

    async def _slack(self, found: dict[str, str]) -> dict[str, str]:
        """A bound channel, a linked person and a user group that gives a role."""
        plane, admin, team = self.here.plane, self.people["admin"].principal, found["team"]
        reach = (Reach(cluster=self.here.cluster.id, namespaces=("aviary",)),)
        await plane.slack_channels.bind(admin, team=team, channel=found["channel"], reach=reach)
        account = await plane.accounts.create(f"linked-{self.made}", "", (), by="system")
        code = await plane.slack_people.take(await plane.slack_people.offer(team, found["user"], "heron"), account.id)
        await plane.slack_people.confirm(team, found["user"], code)
        role = ScopedRole(role=Role.VIEWER, namespaces=(f"aviary-{self.made}",))
        return {"mapping": (await plane.slack_groups.map(admin, team=team, usergroup="S0001", role=role)).id}

    async def _alerts(self) -> dict[str, str]:
        plane, admin, cluster = self.here.plane, self.people["admin"].principal, self.here.cluster.id
        labels = {"alertname": "HeronIsGone", "namespace": "aviary", "pod": f"heron-{self.made}"}
        gone = Alert(fingerprint="f1", state="firing", name="HeronIsGone", severity="warning", namespace="aviary",
                     labels=labels, starts_at=utc_now())  # fmt: skip
        report = Report(source="alertmanager", key=f"heron-{self.made}", cluster=cluster, title="HeronIsGone", alerts=(gone,))
        taken = await plane.alerts.take([report])
        route = await plane.alert_routes.add(admin, NewRoute(clusters=(cluster,), namespaces=("aviary",)))
        sender, _ = await plane.alert_tokens.create(admin, f"heron-{self.made}", cluster=cluster)
        return {"group": taken.groups[0], "route": route.id, "sender": sender.id}

    async def knock(self, door: Door, who: str, things: dict[str, str]) -> tuple[int, Any]:
        """Go through the door as this person would; what it says, without the ids that were in the question."""
        headers: dict[str, str] = {}
        person = self.people.get(who)
        pages = not door.path.startswith(("/api/", "/health/", "/metrics")) or door.browser
        form = filled(door.form, things) if door.form is not None else None
        if person is not None and pages:
            headers |= person.page_headers()
            if form is not None and door.csrf:
                form["csrf"] = person.session.csrf
        elif person is not None:
            headers["Authorization"] = f"Bearer {person.token}"
        url = self.here.url + filled_text(door.path + door.query, things)
        body = filled(door.body, things) if door.body is not None else None
        asked = self.here.client.request(
            door.method, url, headers=headers, json=body if form is None else None, data=form, allow_redirects=False
        )
        async with asked as answer:
            if answer.content_type in ("text/event-stream", "image/png"):
                return answer.status, ""
            said = await answer.text() if answer.content_type == "application/x-ndjson" else await read(answer)
            return answer.status, _without(said, things)


def filled_text(text: str, things: dict[str, str]) -> str:
    return _HOLE.sub(lambda hole: things[hole.group(1)], text)


def filled(value: Any, things: dict[str, str]) -> Any:
    if isinstance(value, str):
        return filled_text(value, things)
    if isinstance(value, dict):
        return {key: filled(item, things) for key, item in cast(dict[str, Any], value).items()}
    if isinstance(value, list):
        return [filled(item, things) for item in cast(list[Any], value)]
    return value


def _without(said: Any, things: dict[str, str]) -> str:
    text = said if isinstance(said, str) else orjson.dumps(said, default=str).decode()
    text = re.sub(r'"request_id":"[^"]*"|<code>[a-z2-7]{16,32}</code>', "", text)
    return re.sub(r"\b[a-z2-7]{16,32}\b", "ID", text.replace(things["event"], "ID") if "event" in things else text)


INSIDE = ("aviary", "heron")
"""Names of what is here, and nowhere else: nobody from elsewhere reads them."""


def guessed(things: dict[str, str], cluster: str) -> dict[str, str]:
    """The same question about what is not there."""
    made_up = {name: new_id() for name in IDS}
    event = base64.urlsafe_b64encode(f"{cluster}/aviary/no-such-event".encode()).decode().rstrip("=")
    return things | made_up | {"event": event}


SERIES = [[1_900_000_000 + 60 * n, str(n)] for n in range(10)]


@asynccontextmanager
async def scene(folder: Path) -> AsyncGenerator[Scene]:
    async with http_server(folder) as here:
        runner = await _runner(here)
        try:
            people = {
                "tenant": await here.person("tess", Role.OPERATOR),
                "cluster": await here.person("carl", Role.ADMIN, clusters=("another",)),
                "namespace": await here.person("nina", Role.ADMIN, clusters=("practice",), namespaces=("elsewhere",)),
                "viewer": await here.person("vera", Role.VIEWER, namespaces=("aviary",)),
                "operator": await here.person("otto", Role.OPERATOR, namespaces=("aviary",)),
                "approver": await here.person("anna", Role.APPROVER, namespaces=("aviary",)),
                "admin": await here.person("root", Role.ADMIN),
            }
            async with here.plane.database.transaction() as session:
                moved = update(AccountRow).where(AccountRow.id == people["tenant"].account.id)
                await session.execute(moved.values(tenant_id="acme"))
            await here.plane.fleet.create("another", by="system")
            yield Scene(here, people, await here.person("owner", Role.OPERATOR), runner)
        finally:
            await runner.close()


async def _runner(here: Here) -> FakeRunner:
    """A cluster that holds herons in aviary, and says so to whoever is let through."""
    event = {
        "metadata": {"name": "heron.1", "namespace": "aviary"},
        "involvedObject": {"kind": "Pod", "namespace": "aviary", "name": "heron"},
        "type": "Warning", "reason": "BackOff", "message": "heron", "lastTimestamp": "2026-11-20T12:01:00Z",
    }  # fmt: skip

    async def answer(job: Job) -> None:
        await job.accept()
        match job.request.command:
            case PreparePlan(action=action):
                plan = plan_for(here.cluster.id, action=action)
                await job.finish("prepared", data={"plan": plan.model_dump(mode="json")})
            case Kubectl(call=call) if "events" in str(call):
                await job.finish(orjson.dumps({"kind": "List", "items": [event]}).decode())
            case PromQuery():
                rows = [{"metric": {"namespace": "aviary", "pod": "heron-1"}, "values": SERIES}]
                await job.finish("series", data={"series": rows})
            case _:
                await job.finish("NAME\nheron-1")

    runner = FakeRunner(here.plane.bus.url)
    assert await runner.enrol(await here.plane.fleet.enrolment_token(here.cluster.id, by="system")) == ""
    runner.answer = answer
    assert (await runner.connect()).accepted
    return runner
