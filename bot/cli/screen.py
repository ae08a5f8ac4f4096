"""The terminal: prints a story as it happens."""

from typing import Any

from rich.console import Console
from rich.markdown import Markdown
from rich.status import Status

from bot.cli.approval_card import card_of
from bot.cli.cards import diagnosis_panel, step_line
from bot.cli.costs import cost_line
from bot.cli.step_charts import chart_line
from protocol.diagnosis import Diagnosis
from protocol.events import (
    ActionFinished,
    ActionStarted,
    AgentEvent,
    ApprovalDecided,
    CaseEnded,
    CaseStored,
    DiagnosisMade,
    ModelMessage,
    ToolFinished,
    ToolStarted,
    TurnFailed,
    TurnFinished,
    TurnResumed,
    TurnStarted,
    UserMessage,
)
from protocol.text import clean, one_line

REDACTED = "Removed before it was stored: {n} piece(s) that looked like a password or token. If it was a real one, change it."


class Screen:
    """`quiet` prints nothing: --json prints once, at the end."""

    def __init__(self, *, quiet: bool, explain: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        self._errors = Console(stderr=True, highlight=False)
        self._explain = explain
        self._status: Status | None = None
        self._steps: dict[str, ToolStarted] = {}
        self._shown: Diagnosis | None = None

    def working(self, what: str) -> None:
        """Show what goes on until the next line."""
        text = one_line(what, max(20, self._console.width - 4)).replace("[", "\\[")
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def rest(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def event(self, event: AgentEvent) -> None:
        match event:
            case TurnStarted(offline=offline, model=model):
                self.working("Looking, without a language model …" if offline else f"Looking, with {model} …")
            case UserMessage(redacted=redacted) if redacted:
                self._line(REDACTED.format(n=redacted), "yellow")
            case TurnResumed():
                self._line("  (resumed where it was interrupted)", "dim")
            case DiagnosisMade():
                self._diagnosis(event)
            case ToolStarted():
                self._steps[event.call] = event
                self.working(event.title)
            case ToolFinished():
                self._print(step_line(self._steps.get(event.call), event))
            case ModelMessage(final=True, text=text) if text.strip():
                self._print(Markdown(clean(text), hyperlinks=False))
            case ApprovalDecided(state=state, by_name=by_name, reason=reason):
                words = f"{str(state).replace('_', ' ').capitalize()}" + (f" by {by_name}" if by_name else "")
                self._line(f"■ {words}{': ' + reason if reason else ''}", "bold")
            case ActionStarted():
                self.working("Running the fix …")
            case ActionFinished(state=state, message=message):
                self._line(f"■ {message}", "bold green" if state == "succeeded" else "bold yellow")
            case CaseStored(title=title):
                self._line(f"  Stored as a case: {title}", "dim")
            case TurnFinished():
                self._line(f"  {cost_line(event)}", "dim")
            case CaseEnded(end=end, object=about, message=message):
                held = {"held": "held", "relapsed": "did NOT hold"}.get(end, "could not be judged")
                self._line(f"■ The fix of {about} {held}. {message}", "bold green" if end == "held" else "bold yellow")
            case TurnFailed(message=message):
                self.error(message)
            case _:
                pass

    def charts(self, charts: list[dict[str, Any]], url: str) -> None:
        for chart in charts:
            self._print(chart_line(chart, url))

    def live(self, data: dict[str, Any]) -> None:
        if data.get("type") == "progress":
            self.working(str(data.get("note", "")))
        elif data.get("type") == "text_delta":
            self.working("Writing the answer …")

    def card(self, view: dict[str, Any]) -> None:
        """The approval card, from REST's view of it."""
        self._print(card_of(view))

    def ask(self, question: str) -> bool:
        """y/N, on a terminal."""
        self.rest()
        answer = self._console.input(f"{question} \\[y/N] ")
        return answer.strip().lower() in ("y", "yes", "j", "はい", "是")

    def choose(self, question: str, *, lower: bool = True) -> str:
        """A word from the terminal; "" when nothing is said, or the terminal is gone."""
        self.rest()
        try:
            said = self._console.input(question).strip()
        except EOFError:
            return ""
        return said.lower() if lower else said

    def note(self, text: str) -> None:
        self._line(text, "dim")

    def error(self, text: str) -> None:
        self.rest()
        self._errors.print(clean(text), style="red", markup=False)

    def _diagnosis(self, event: DiagnosisMade) -> None:
        if (
            self._shown is not None
            and self._shown.root_causes == event.diagnosis.root_causes
            and self._shown.healthy == event.diagnosis.healthy
        ):
            return  # the model came to what the rules had said: once is enough
        self._shown = event.diagnosis
        self._print(diagnosis_panel(event.diagnosis, stage=event.stage, took_ms=event.took_ms, explain=self._explain))

    def _line(self, text: str, style: str) -> None:
        self.rest()
        self._console.print(clean(text), style=style, markup=False)

    def _print(self, renderable: Any) -> None:
        self.rest()
        self._console.print(renderable)
