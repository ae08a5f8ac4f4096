"""Log entries as what messages shall look like, under which keys. Pure."""

from collections.abc import Sequence

from bot.api.cards import View
from bot.slack.blocks.answer import answer
from bot.slack.blocks.approval import Value, card
from bot.slack.blocks.parts import context, section
from bot.slack.blocks.rich import paragraph, prose, quoted, rich
from bot.slack.mrkdwn import code, escape, line, link
from bot.slack.words import say
from bot.slack.work.words import tell
from control_plane.slack.outbox import Content, FileRef
from protocol.diagnosis import Diagnosis
from protocol.events import CaseEnded, DiagnosisMade, Language, LogEntry, ToolFinished, UserMessage
from tools.names import DIAGNOSE

Keyed = tuple[str, Content]


def answer_key(turn: str, part: int = 1) -> str:
    return f"answer:{turn}" if part == 1 else f"answer:{turn}:{part}"


def answered(entries: Sequence[LogEntry], turn: str, language: Language, *, url: str, doing: str = "") -> list[Keyed]:
    """The turn's messages, in order. While it runs they are of what is known so far."""
    messages = answer(entries, language=language, url=url, feedback=turn, doing=doing)
    return [(answer_key(turn, n), Content(text=m.text, blocks=m.blocks)) for n, m in enumerate(messages, 1)]


def approval_card(view: View, language: Language, *, url: str, value: Value) -> Keyed:
    message = card(view, language=language, url=url, value=value)
    return f"approval:{view['id']}", Content(text=message.text, blocks=message.blocks)


def asked_elsewhere(entry: LogEntry, asked: UserMessage, language: Language) -> Keyed:
    """A question of this conversation that came by another door."""
    said = tell(language, "asked_elsewhere", who=line(asked.by_name, 80))
    blocks = [section(said), rich(quoted(*prose(asked.text, 1_500)))]
    return _note(entry), Content(text=f"{said} {line(asked.text, 300)}", blocks=blocks)


def asked_by_command(item: str, who: str, text: str, language: Language) -> Keyed:
    """The first message of a thread that a command has begun."""
    said = tell(language, "asked_by_command", who=line(who, 80))
    return f"asked:{item}", Content(text=f"{said} {line(text, 300)}", blocks=[section(said), rich(quoted(*prose(text, 1_500)))])


def withheld(key: str, language: Language) -> Keyed:
    """Instead of what was begun here and may not be shown here any more; a card loses its buttons so."""
    said = escape(tell(language, "channel_narrowed"))
    return key, Content(text=said, blocks=[section(said)])


def on_the_web(key: str, language: Language, url: str) -> Keyed:
    """In place of a message that can't be made."""
    said = tell(language, "shown_plainly")
    return key, Content(text=escape(said), blocks=[context(link(url, said) if url else escape(said))])


def soaked(entry: LogEntry, end: CaseEnded, language: Language) -> Keyed:
    """What became of a fix."""
    mark = {"held": ":white_check_mark:", "relapsed": ":rewind:"}.get(end.end, ":clock3:")
    said = line(say(language, f"soak.{end.end}"))
    blocks = [section(f"{mark} *{said}* · {code(end.object)}")]
    if end.message:
        blocks.append(rich(paragraph(*prose(end.message, 1_500))))
    if end.end == "relapsed":
        blocks.append(context(escape(say(language, "soak.relapsed_next"))))
    return _note(entry), Content(text=f"{said}: {line(end.object)}", blocks=blocks)


def charted(entries: Sequence[LogEntry]) -> str | None:
    """The command whose chart belongs below the answer: the last diagnosis by rules, when it rests on metrics."""
    command: str | None = None
    measured = False
    for entry in entries:
        match entry.event:
            case DiagnosisMade(stage="rules", diagnosis=diagnosis):
                measured = measured or _rests_on_metrics(diagnosis)
            case ToolFinished(name=name, command=str(sent)) if name == DIAGNOSE:
                command = sent
            case _:
                pass
    return command if measured else None


def chart(turn: str, conversation: str, command: str, title: str, alt: str) -> Keyed:
    source = f"chart:{conversation}:{turn}:{command}:0"
    file = FileRef(source=source, name="chart", title=title[:200], alt=alt[:900])
    return f"chart:{turn}:0", Content(text=line(alt), file=file)


def _rests_on_metrics(diagnosis: Diagnosis) -> bool:
    return any(item.source == "metric" for cause in diagnosis.root_causes for item in cause.evidence)


def _note(entry: LogEntry) -> str:
    return f"note:{entry.conversation}:{entry.seq}"
