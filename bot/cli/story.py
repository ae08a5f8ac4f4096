"""What happened in one question, gathered from the log as it comes. Pure: entries in, state out."""

from dataclasses import dataclass, field
from typing import Any

from bot.cli.costs import costs
from protocol.approval import ApprovalState
from protocol.events import (
    ActionFinished,
    AgentEvent,
    CaseStored,
    DiagnosisMade,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    UserMessage,
)

_OFFLINE = ("offline", "lost")


@dataclass
class Story:
    """`open_turns` counts what was asked and has not ended; an action that ended queues one more, by itself."""

    open_turns: int = 0
    diagnosis: DiagnosisMade | None = None
    by_rules: DiagnosisMade | None = None
    answer: ModelMessage | None = None
    answers: list[ModelMessage] = field(default_factory=list[ModelMessage])
    steps: list[ToolFinished] = field(default_factory=list[ToolFinished])
    titles: dict[str, ToolStarted] = field(default_factory=dict[str, ToolStarted])
    approvals: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """By id, newest view of each, in the order in which they were asked for."""
    actions: list[ActionFinished] = field(default_factory=list[ActionFinished])
    cases: list[CaseStored] = field(default_factory=list[CaseStored])
    charts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """REST's views of the charts that the steps brought."""
    failed: TurnFailed | None = None
    cancelled: bool = False
    finished: TurnFinished | None = None
    turns: dict[str, None] = field(default_factory=dict[str, None])
    """Ids, in order."""
    ends: list[TurnFinished] = field(default_factory=list[TurnFinished])
    model_error: bool = False

    def take(self, event: AgentEvent, *, turn: str | None = None) -> None:
        if turn is not None:
            self.turns[turn] = None
        match event:
            case UserMessage():
                self.open_turns += 1
            case DiagnosisMade():
                self.diagnosis = event
                self.by_rules = event if event.stage == "rules" else self.by_rules
            case ModelMessage():
                self.answer = event if event.final or not event.tool_calls else self.answer
                if event.final:
                    self.answers.append(event)
            case ToolStarted():
                self.titles[event.call] = event
            case ToolFinished():
                self.steps.append(event)
            case ActionFinished():
                self.actions.append(event)
            case CaseStored():
                self.cases.append(event)
            case TurnFinished():
                self.open_turns -= 1
                self.finished = event
                self.ends.append(event)
                self.model_error = self.model_error or event.ended_by == "model_error"
            case TurnFailed():
                self.open_turns -= 1
                self.failed = event
            case TurnCancelled():
                self.open_turns -= 1
                self.cancelled = True
            case _:
                pass

    def take_approval(self, view: dict[str, Any]) -> None:
        self.approvals[str(view["id"])] = view

    @property
    def quiet(self) -> bool:
        """No turn is open."""
        return self.open_turns <= 0

    @property
    def pending(self) -> dict[str, Any] | None:
        """The newest approval that waits for a decision."""
        waiting = [view for view in self.approvals.values() if view["state"] == ApprovalState.PENDING]
        return waiting[-1] if waiting else None

    @property
    def cluster_unreachable(self) -> bool:
        """Nothing of the cluster was seen, because its runner did not answer."""
        if self.failed is not None:
            return self.failed.code == "cluster_unreachable"
        seen = self.diagnosis is not None and (self.diagnosis.diagnosis.healthy or self.diagnosis.diagnosis.root_causes)
        return not seen and bool(self.steps) and all(step.status in _OFFLINE for step in self.steps)

    @property
    def no_safe_fix(self) -> bool | None:
        """By the rules, which look for remedies; None where they have said nothing."""
        return self.by_rules.diagnosis.no_safe_fix if self.by_rules else None

    @property
    def healed(self) -> bool:
        return bool(self.actions) and self.actions[-1].state is ApprovalState.SUCCEEDED

    def summary(self) -> dict[str, Any]:
        """For --json."""
        return {
            "answer": self.answer.text if self.answer else None,
            "offline": self.answer.offline if self.answer else None,
            "diagnosis": self.diagnosis.model_dump(mode="json") if self.diagnosis else None,
            "verdict": self.diagnosis.diagnosis.verdict if self.diagnosis else None,
            "no_safe_fix": self.no_safe_fix,
            "steps": [
                {
                    **step.model_dump(mode="json"),
                    "title": self.titles[step.call].title if step.call in self.titles else step.name,
                }
                for step in self.steps
            ],
            "approvals": list(self.approvals.values()),
            "actions": [action.model_dump(mode="json") for action in self.actions],
            "cases": [case.model_dump(mode="json") for case in self.cases],
            "charts": self.charts,
            "healed": self.healed,
            "usage": costs(self.ends),
            "turns": list(self.turns),
            "failed": self.failed.model_dump(mode="json") if self.failed else None,
        }
