"""Remediations as commands: prepare, execute, ask what became of a grant, check."""

from dataclasses import dataclass

from protocol.bus import RunnerMode
from protocol.canonical import digest
from protocol.commands import CheckPlan, CommandStatus, Execute, GrantStatus
from protocol.remediation import Remediation
from runner.commands.answer import Answer
from runner.commands.ask import Ask
from runner.remediation.check import check
from runner.remediation.execute import Execution
from runner.remediation.fitness import Fitness
from runner.remediation.memory import GrantMemory
from runner.remediation.prepare import prepare

_STATUS = {"refused": CommandStatus.DENIED, "failed": CommandStatus.FAILED}


@dataclass(slots=True)
class Desk:
    """What the runner may do with plans; `mode` is its own configuration."""

    cluster: str
    mode: RunnerMode
    execution: Execution
    fitness: Fitness
    memory: GrantMemory

    async def prepare(self, action: Remediation, ask: Ask) -> Answer:
        plan = await prepare(action, self.cluster, self.mode, ask, trouble=self.fitness.trouble())
        return Answer(text=plan.diff, data={"plan": plan.model_dump(mode="json")})

    async def execute(self, command: Execute, ask: Ask) -> Answer:
        outcome = await self.execution.run(command, ask)
        error = outcome.message if outcome.outcome != "applied" else ""
        return Answer(
            text=outcome.message,
            data={"execution": outcome.model_dump(mode="json")},
            status=_STATUS.get(outcome.outcome),
            error=error,
        )

    def status(self, command: GrantStatus) -> Answer:
        outcome = self.memory.outcome(command.authority, command.purpose, command.since)
        return Answer(text=outcome.message, data={"execution": outcome.model_dump(mode="json")})

    async def check(self, command: CheckPlan, ask: Ask) -> Answer:
        outcome = await check(command, ask, self.memory.after_state(digest(command.body)))
        return Answer(text=outcome.message, data={"check": outcome.model_dump(mode="json")})
