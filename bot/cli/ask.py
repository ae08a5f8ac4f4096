"""`opsthread ask`: the same story in a terminal. An HTTP client of a running serve; with none, a private one for the call."""

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from bot.cli.client import ApiError, Client
from bot.cli.connection import Connection, find_connection
from bot.cli.exits import Exit
from bot.cli.feedback import ask_after
from bot.cli.running import run_loop
from bot.cli.screen import Screen
from bot.cli.step_charts import charts_of_step
from bot.cli.story import Story
from protocol.approval import TERMINAL, ApprovalState
from protocol.events import ToolFinished, read_event

_COLD_S = 8.0
_LOOK_S = 0.25


@dataclass(frozen=True)
class Wishes:
    cluster: str | None = None
    namespaces: tuple[str, ...] = ()
    approve: bool = False
    as_json: bool = False
    explain: bool = False
    feedback: bool = True
    """Ask afterwards, on a terminal, whether it was right."""


def run(
    question: str,
    *,
    cluster: str | None,
    namespaces: tuple[str, ...],
    as_json: bool,
    approve: bool,
    solo: bool,
    explain: bool,
    url: str | None,
    token: str | None,
    data_dir: Path | None,
) -> Exit:
    wishes = Wishes(cluster=cluster, namespaces=namespaces, approve=approve, as_json=as_json, explain=explain)
    if not question.strip():
        Screen(quiet=True, explain=False).error(
            'Ask something, for instance: opsthread ask "why does payments keep restarting?"'
        )
        return Exit.USAGE
    connection = find_connection(url=url, token=token, data_dir=data_dir)
    if connection is not None:
        return run_loop(lambda: tell(question, connection, wishes))
    return run_loop(lambda: _tell_privately(question, wishes, solo=solo))


async def tell(question: str, connection: Connection, wishes: Wishes) -> Exit:
    """Ask, show, decide where wished, and say how it ended."""
    screen = Screen(quiet=wishes.as_json, explain=wishes.explain)
    story = Story()
    try:
        async with Client(connection) as client:
            code = await _tell(client, question, wishes, screen, story)
    except ApiError as error:
        screen.error(_words(error))
        code = Exit.USAGE if error.status in (404, 422) else Exit.FAILED
    finally:
        screen.rest()
    if wishes.as_json:
        print(json.dumps({**story.summary(), "exit": int(code)}, ensure_ascii=False, indent=2))
    return code


async def _tell(client: Client, question: str, wishes: Wishes, screen: Screen, story: Story) -> Exit:
    screen.working("Asking …")
    cluster = await _cluster(client, wishes, screen)
    if isinstance(cluster, Exit):
        return cluster
    body: dict[str, Any] = {"cluster": cluster, "text": question}
    if wishes.namespaces:
        body["namespaces"] = list(wishes.namespaces)
    opened = await client.post("/api/v1/conversations", body)
    conversation = str(cast(dict[str, Any], opened["conversation"])["id"])
    events = _Events(client, conversation, story, screen)
    async with contextlib.aclosing(events):
        code = await _to_the_end(client, events, wishes, screen, story)
    turn = next(iter(story.turns), None)
    if code is Exit.ANSWERED and wishes.feedback and not (wishes.as_json or wishes.approve) and turn is not None:
        await ask_after(client, conversation, turn, screen)
    return code


async def _to_the_end(client: Client, events: "_Events", wishes: Wishes, screen: Screen, story: Story) -> Exit:
    await events.until_quiet()
    exit_code = _after_answer(story)
    if exit_code is not Exit.ANSWERED:
        return exit_code
    if story.pending is None:
        return _without_fix(wishes, story, screen)
    return await _decide(client, events, wishes, screen, story)


async def _cluster(client: Client, wishes: Wishes, screen: Screen) -> str | Exit:
    clusters = cast(list[dict[str, Any]], (await client.get("/api/v1/clusters"))["clusters"])
    names = ", ".join(str(c["name"]) for c in clusters)
    if wishes.cluster is not None:
        clusters = [c for c in clusters if wishes.cluster in (c["id"], c["name"])]
        if not clusters:
            screen.error(f"There is no cluster {wishes.cluster!r} here. You can ask about: {names or 'none yet'}.")
            return Exit.USAGE
    if not clusters:
        screen.error("No cluster is connected. Start `opsthread serve --with-runner` with KUBECONFIG set, or `opsthread demo`.")
        return Exit.CLUSTER_UNREACHABLE
    if len(clusters) > 1:
        screen.error(f"Which cluster? Say --cluster with one of: {names}.")
        return Exit.USAGE
    return await _seen(client, clusters[0], screen)


async def _seen(client: Client, cluster: dict[str, Any], screen: Screen) -> str | Exit:
    """The cluster's id once its runner sees it; a runner that has just started is given a moment."""
    waited = 0.0
    while cluster["online"] and cluster["summary"]["cache"] == "cold" and waited < _COLD_S:
        screen.working("The runner is still reading the cluster …")
        await asyncio.sleep(_LOOK_S)
        waited += _LOOK_S
        cluster = await client.get(f"/api/v1/clusters/{cluster['id']}")
    if not cluster["online"]:
        screen.error(f"Cluster {cluster['name']} is offline: its runner does not answer. Is it running, and can it reach NATS?")
        return Exit.CLUSTER_UNREACHABLE
    if cluster["summary"]["cache"] == "cold":
        note = cluster["summary"]["cache_note"] or "it has read nothing yet"
        screen.error(f"The runner of cluster {cluster['name']} can't see its cluster: {note}. Is the API server up?")
        return Exit.CLUSTER_UNREACHABLE
    return str(cluster["id"])


def _after_answer(story: Story) -> Exit:
    if story.cluster_unreachable:
        return Exit.CLUSTER_UNREACHABLE
    if story.failed is not None:
        return Exit.MODEL_UNAVAILABLE if story.failed.code == "model_unavailable" else Exit.FAILED
    if story.cancelled:
        return Exit.FAILED
    return Exit.MODEL_UNAVAILABLE if story.model_error else Exit.ANSWERED


def _without_fix(wishes: Wishes, story: Story, screen: Screen) -> Exit:
    """`--approve` wants something healed: nothing wrong is fine, no proposal for what is wrong is not."""
    if not wishes.approve or (story.diagnosis is not None and story.diagnosis.diagnosis.healthy):
        return Exit.ANSWERED
    screen.error("There was nothing to approve: no fix was proposed.")
    return Exit.FAILED


async def _decide(client: Client, events: "_Events", wishes: Wishes, screen: Screen, story: Story) -> Exit:
    pending = cast(dict[str, Any], story.pending)
    screen.card(pending)
    refusal = cast(dict[str, Any], pending["you"])["refusal"]
    if not cast(dict[str, Any], pending["you"])["may_approve"]:
        screen.note(f"You can't approve this: {refusal}")
        return Exit.NOT_ALLOWED if wishes.approve else Exit.ANSWERED
    if not wishes.approve and (wishes.as_json or not sys.stdin.isatty() or not screen.ask("Approve it?")):
        screen.note("Left open. Approve or reject it on the web page, until it expires.")
        return Exit.ANSWERED
    try:
        await client.post(
            f"/api/v1/approvals/{pending['id']}/decide", {"verdict": "approve", "plan_hash": pending["plan_hash"]}
        )
    except ApiError as error:
        screen.error(str(error))
        return Exit.NOT_ALLOWED if error.status == 403 else Exit.FAILED
    await events.until_over(str(pending["id"]))
    return Exit.ANSWERED if story.healed or not wishes.approve else Exit.FAILED


class _Events:
    """The stream of one conversation, fed to story and screen."""

    def __init__(self, client: Client, conversation: str, story: Story, screen: Screen) -> None:
        self._client = client
        self._conversation = conversation
        self._events = client.follow(conversation)
        self._story = story
        self._screen = screen
        self._asked_for: frozenset[str] = frozenset()

    async def aclose(self) -> None:
        await cast(Any, self._events).aclose()

    async def until_quiet(self) -> None:
        """Until every turn has ended, and each approval that was asked for has been shown to us."""
        started = False
        async for kind in self._take():
            started = started or self._story.open_turns > 0 or self._story.finished is not None
            if kind != "live" and started and self._story.quiet and self._all_approvals_seen:
                return

    async def until_over(self, approval: str) -> None:
        """Until the approval is in an end state, and the turn that concludes on it has ended."""
        concluded = len(self._story.answers)
        async for kind in self._take():
            state = ApprovalState(str(self._story.approvals[approval]["state"]))
            acted = bool(self._story.actions)
            if kind == "live" or state not in TERMINAL or not self._story.quiet:
                continue
            if not acted or len(self._story.answers) > concluded or self._story.failed is not None:
                return

    @property
    def _all_approvals_seen(self) -> bool:
        return self._asked_for <= set(self._story.approvals)

    async def _take(self) -> AsyncIterator[str]:
        async for event in self._events:
            if event.kind == "log":
                said = read_event(cast(dict[str, Any], event.data["event"]))
                if said.type == "approval_requested":
                    self._asked_for = self._asked_for | {said.approval}
                self._story.take(said, turn=cast("str | None", event.data.get("turn")))
                self._screen.event(said)
                if isinstance(said, ToolFinished):
                    self._take_charts(await charts_of_step(self._client, self._conversation, said))
            elif event.kind == "approval":
                self._story.take_approval(event.data)
            elif event.kind == "live":
                self._screen.live(event.data)
            elif event.kind == "gone":
                raise ApiError(403, "gone", "You may not read this conversation any more.")
            yield event.kind

    def _take_charts(self, charts: list[dict[str, Any]]) -> None:
        self._story.charts += charts
        self._screen.charts(charts, self._client.url)


async def _tell_privately(question: str, wishes: Wishes, *, solo: bool) -> Exit:
    """A private serve on KUBECONFIG's cluster for this one call; what it kept is removed with it."""
    from bot.cli import logs
    from bot.cli.own_runner import OwnRunner
    from bot.cli.settings import settings_for

    screen = Screen(quiet=wishes.as_json, explain=False)
    name = wishes.cluster or "default"
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="opsthread-", ignore_cleanup_errors=True))
        settings = settings_for(host="127.0.0.1", port=0, data_dir=Path(folder), solo=solo)
        logs.configure(settings.log_level, Path(folder) / "logs" / "serve.log")
        screen.working("Nothing runs here; starting a private server for this question …")
        runner = OwnRunner(settings.data_dir)
        stack.push_async_callback(runner.stop)
        await runner.spawn()
        from bot.cli.compose import Composition, product, wait_for_cluster
        from bot.cli.people import APPROVER, OPERATOR, cli_token, ensure

        running = await stack.enter_async_context(product(settings, Composition(runner=runner, cluster_name=name)))
        account = await ensure(running.plane, os.environ.get("USER") or "you", "You", APPROVER if solo else OPERATOR)
        token = await stack.enter_async_context(cli_token(running.plane, account))
        if not await wait_for_cluster(running):
            screen.error(
                "The cluster can't be reached: no runner came up on it. Is KUBECONFIG set, and does `kubectl get nodes` "
                "work? Without a cluster, try: opsthread demo"
            )
            return Exit.CLUSTER_UNREACHABLE
        screen.rest()
        # Nothing of it is kept, so nobody is asked whether it was right.
        return await tell(question, Connection(url=running.url, token=token), replace(wishes, feedback=False))


def _words(error: ApiError) -> str:
    if error.status == 401:
        return f"{error} Set OPSTHREAD_TOKEN to a token of your account."
    return str(error)
