"""What the agent looks at, as the tasks of a Slack stream, one a tool call. Decoration: the answer names the steps again."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.slack.blocks.limits import LIMITS
from bot.slack.blocks.turn import Step, TurnStory
from bot.slack.mrkdwn import plain, streamed
from bot.slack.words import Language, duration, say, say_or, sentences
from knowledge.wording import translate
from protocol.text import one_line
from tools.answer import CLOSE, OPEN

Chunk = dict[str, Any]
"""A task_update or plan_update of chat.startStream and chat.appendStream."""

STREAM_ROOM = 9_000
"""Bytes that one streamed message may hold by `stream_size`. Slack refuses near 10,600 and documents no number."""


def task(step: Step, language: Language, *, note: str = "") -> Chunk:
    """The task of a tool call. `note` is what it does right now; it stands in the title, as a later title takes the place of
    an earlier one, while details and output may be added to those before. So output is told once, at the end."""
    running = step.status == "running"
    title = f"{step.title} · {translate(note, language)}" if running and note else step.title
    chunk: Chunk = {
        "type": "task_update",
        "id": step.call,
        "title": plain(title, LIMITS["task.title"]),
        "status": _status(step),
    }
    return chunk if running else {**chunk, "output": _output(step, language)}


def plan(story: TurnStory, language: Language) -> Chunk:
    """The line above the tasks: looking, or how many steps took how long."""
    running = story.state == "running"
    took = duration(language, sum(step.duration_ms for step in story.steps))
    done = say(language, "steps.done", n=len(story.steps), time=took)
    return {"type": "plan_update", "title": say(language, "steps.running") if running else done}


def changes(
    story: TurnStory, language: Language, sent: Mapping[str, Chunk], *, notes: Mapping[str, str] | None = None
) -> dict[str, Chunk]:
    """The chunks that are new or differ from `sent`, by their key, in the order to append them: the plan's key is "", a
    task's is its call. Add them to `sent` once Slack has them."""
    found = {"": plan(story, language)}
    found |= {step.call: task(step, language, note=(notes or {}).get(step.call, "")) for step in story.steps}
    return {key: chunk for key, chunk in found.items() if sent.get(key) != chunk}


def stream_size(chunks: Sequence[Chunk], text: str = "") -> int:
    """What a streamed message weighs: bytes of its text, titles, and twice those of details and output; the newest chunk of a
    task counts."""
    newest = {str(chunk.get("id", "")): chunk for chunk in chunks}
    size = _bytes(text)
    for chunk in newest.values():
        size += _bytes(str(chunk.get("title", ""))) + 2 * _bytes(str(chunk.get("details", "")) + str(chunk.get("output", "")))
    return size


def _status(step: Step) -> str:
    if step.status == "running":
        return "in_progress"
    return "error" if step.bad else "complete"


def _output(step: Step, language: Language) -> str:
    """How long it took; of what failed, how and the first words of why. What was read is not shown here: it is evidence where
    it matters, and whole in the web chat."""
    took = duration(language, step.duration_ms)
    if not step.bad:
        return took
    why = streamed(one_line(_why(step.text), 200))
    return sentences(language, f"{say_or(language, f'status.{step.status}', step.status)} · {took}.", why)


def _why(text: str) -> str:
    """Of what the model read about a failure: what was said of it elsewhere, which stands in the fence; the rest of the text
    tells the model how to go on."""
    return text.partition(OPEN)[2].partition(CLOSE)[0].strip() or text


def _bytes(said: str) -> int:
    return len(said.encode())
