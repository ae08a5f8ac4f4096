"""One command from request to result: judged by the policy with this runner's own mode, run, made safe to send."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protocol.bus import RunnerMode
from protocol.commands import (
    CheckPlan,
    CommandRequest,
    CommandResult,
    CommandStatus,
    Diagnose,
    Execute,
    GrantStatus,
    Kubectl,
    ListChanges,
    PreparePlan,
    PromQuery,
    SelfCheck,
)
from protocol.kubectl.calls import NamedResource, ResourceType
from protocol.policy import Decided, PolicyContext, judge
from runner.cache.live import LiveCache
from runner.commands.answer import Answer, Refusal, refused, result_of, status_of, words_of
from runner.commands.ask import Ask
from runner.commands.cluster import api_resources, can_i, cluster_info, version
from runner.commands.describe import describe
from runner.commands.diagnosing import list_changes, run_diagnosis
from runner.commands.events import events
from runner.commands.get import get
from runner.commands.logs import logs
from runner.commands.prometheus import Prometheus, query
from runner.commands.rollout import rollout_history, rollout_status
from runner.commands.top import top
from runner.kube.client import KubeClient
from runner.kube.discovery import Discovery
from runner.kube.errors import KubeError
from runner.kube.resources import Resource
from runner.remediation.desk import Desk

IN_THREAD_OVER = 64 * 1024
"""Characters. Redacting a megabyte takes long enough to hold heartbeats up."""

READS: dict[str, Callable[[Any, Ask], Awaitable[Answer]]] = {
    "get": get,
    "describe": describe,
    "logs": logs,
    "top": top,
    "events": events,
    "version": version,
    "cluster-info": cluster_info,
    "api-resources": api_resources,
    "rollout status": rollout_status,
    "rollout history": rollout_history,
    "auth can-i": can_i,
}


@dataclass(slots=True)
class Commands:
    """Everything that commands work with. `handle` never raises for what a command or a cluster does."""

    client: KubeClient
    discovery: Discovery
    cache: LiveCache
    prometheus: Prometheus
    desk: Desk
    mode: RunnerMode
    now: Callable[[], datetime]
    check_self: Callable[[Ask], Awaitable[Answer]]

    async def handle(
        self, request: CommandRequest, report: Callable[[str], None], stopped: Callable[[], bool]
    ) -> CommandResult:
        context = PolicyContext(mode=self.mode, scope=request.scope, default_namespace=self.client.access.namespace)
        verdict = judge(request.command, context)
        wanted = Decided.APPROVE if isinstance(request.command, Execute) else Decided.ALLOW
        if verdict.decision is not wanted:
            return refused(request.id, CommandStatus.DENIED, f"Refused by policy: {verdict.reason}")
        ask = Ask(
            client=self.client,
            discovery=self.discovery,
            scope=request.scope,
            now=self.now,
            max_bytes=request.max_bytes,
            report=report,
            stopped=stopped,
            judge_type=lambda resource: _judge_type(request, resource, context),
            seen_namespace=lambda name: self.cache.get("Namespace", "", name),
        )
        try:
            answer = await self._answer(request, ask)
            if len(answer.text) < IN_THREAD_OVER:
                return result_of(request.id, answer, request.max_bytes)
            return await asyncio.to_thread(result_of, request.id, answer, request.max_bytes)
        except Refusal as refusal:
            return refused(request.id, refusal.status, refusal.message)
        except KubeError as error:
            return refused(request.id, status_of(error), words_of(error))
        except ValueError as error:
            return refused(request.id, CommandStatus.INVALID, str(error))

    async def _answer(self, request: CommandRequest, ask: Ask) -> Answer:
        match request.command:
            case Kubectl(call=call):
                return await READS[call.verb](call, ask)
            case PromQuery() as command:
                return await query(command, self.prometheus, request.scope, self.now(), max(request.deadline_s - 1, 1))
            case Diagnose() as command:
                return await run_diagnosis(command, ask, self.cache, self.prometheus)
            case ListChanges() as command:
                return await list_changes(command, ask, self.cache)
            case PreparePlan(action=action):
                return await self.desk.prepare(action, ask)
            case Execute() as command:
                return await self.desk.execute(command, ask)
            case GrantStatus() as command:
                return self.desk.status(command)
            case CheckPlan() as command:
                return await self.desk.check(command, ask)
            case SelfCheck():
                return await self.check_self(ask)


def _judge_type(request: CommandRequest, resource: Resource, context: PolicyContext) -> str | None:
    """Judge the call again with the type that discovery found behind its words; the reason when it is refused."""
    command = request.command
    if not isinstance(command, Kubectl):
        return None
    kind = ResourceType(
        plural=resource.plural,
        group=resource.group,
        version=resource.version,
        kind=resource.kind,
        namespaced=resource.namespaced,
    )
    call = command.call
    found = NamedResource(type=kind)
    if hasattr(call, "resources"):
        call = call.model_copy(update={"resources": (found,)})
    verdict = judge(call, context)
    return None if verdict.decision is Decided.ALLOW else verdict.reason
