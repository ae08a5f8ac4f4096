"""The log entries of one turn as what an answer shows: a pure fold, the same as the web's."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from bot.api.views import in_words
from protocol.events import (
    ActionFinished,
    ApprovalRequested,
    CaseEnded,
    CaseStored,
    DiagnosisMade,
    Language,
    LogEntry,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    UserMessage,
)

GOOD = frozenset({"ok", "empty"})


@dataclass(slots=True)
class Step:
    call: str
    title: str
    status: str = "running"
    """A CommandStatus, "running" or "interrupted"."""
    duration_ms: float = 0
    text: str = ""
    cut: str = ""

    @property
    def bad(self) -> bool:
        return self.status not in GOOD and self.status != "running"


@dataclass(slots=True)
class TurnStory:
    """What came of a question, so far."""

    question: UserMessage | None = None
    state: Literal["running", "finished", "failed", "cancelled"] = "running"
    model: str = ""
    offline: bool = False
    steps: list[Step] = field(default_factory=list[Step])
    rules: DiagnosisMade | None = None
    made: DiagnosisMade | None = None
    """The model's own diagnosis."""
    answer: ModelMessage | None = None
    approvals: list[str] = field(default_factory=list[str])
    results: list[ActionFinished] = field(default_factory=list[ActionFinished])
    cases: list[str] = field(default_factory=list[str])
    ends: list[CaseEnded] = field(default_factory=list[CaseEnded])
    resumed: int = 0
    cancelled_by: str = ""
    finished: TurnFinished | None = None
    failure: TurnFailed | None = None

    @property
    def shown(self) -> DiagnosisMade | None:
        """The diagnosis that counts: the model's, which was checked, else the rules'."""
        return self.made or self.rules


def story_of(entries: Iterable[LogEntry], language: Language) -> TurnStory:
    """In the reader's language where the words are ours; entries of other turns are the caller's to leave out."""
    story = TurnStory()
    for entry in entries:
        _take(story, entry if language == "en" else in_words(entry, language))
    return story


def _take(story: TurnStory, entry: LogEntry) -> None:
    match entry.event:
        case UserMessage() as question:
            story.question = question
        case TurnStarted(model=model, offline=offline):
            story.state, story.model, story.offline = "running", model, offline
        case ToolStarted() as started:
            if all(step.call != started.call for step in story.steps):
                story.steps.append(Step(started.call, started.title))
        case ToolFinished() as done:
            step = _step(story, done)
            step.status, step.duration_ms, step.text, step.cut = done.status, done.duration_ms, done.text, done.cut
        case ModelMessage() as message:
            if message.final or not message.tool_calls:
                story.answer = message
        case DiagnosisMade(stage="rules") as made:
            story.rules = made
        case DiagnosisMade() as made:
            story.made = made
        case ApprovalRequested(approval=approval):
            if approval not in story.approvals:
                story.approvals.append(approval)
        case ActionFinished() as result:
            story.results.append(result)
        case CaseStored(title=title):
            story.cases.append(title)
        case CaseEnded() as end:
            story.ends.append(end)
        case TurnResumed():
            story.resumed += 1
        case TurnCancelled(by_name=by_name):
            story.cancelled_by = by_name
            _end(story, "cancelled")
        case TurnFinished() as finished:
            story.finished = finished
            _end(story, "finished")
        case TurnFailed() as failure:
            story.failure = failure
            _end(story, "failed")
        case _:
            pass


def _step(story: TurnStory, done: ToolFinished) -> Step:
    for step in story.steps:
        if step.call == done.call:
            return step
    story.steps.append(Step(done.call, done.name))
    return story.steps[-1]


def _end(story: TurnStory, state: Literal["finished", "failed", "cancelled"]) -> None:
    story.state = state
    for step in story.steps:
        if step.status == "running":
            step.status = "interrupted"
