"""What one turn answered, as the messages of its thread."""

from collections.abc import Iterator, Sequence

from bot.markdown import plain, tree
from bot.slack.blocks.costs import cost_line
from bot.slack.blocks.diagnosis import diagnosis_blocks, verdict_of
from bot.slack.blocks.limits import Block, fit
from bot.slack.blocks.parts import Message, actions, button, context
from bot.slack.blocks.prose import from_markdown
from bot.slack.blocks.rich import block_of_code, paragraph, prose, rich, text
from bot.slack.blocks.turn import Step, TurnStory, story_of
from bot.slack.mrkdwn import code, escape, line, link
from bot.slack.words import Language, duration, say, say_or, sentences, told
from knowledge.wording import say as said_by_rules
from protocol.events import ActionFinished, CaseEnded, LogEntry

FEEDBACK_UP = "feedback_up"
FEEDBACK_DOWN = "feedback_down"
OPEN_WEB = "open_web"
"""Action of every button that opens a page: it comes in as any other and is only acknowledged."""
STEPS = 8
"""Steps that an answer names; the rest is counted."""


def answer(
    entries: Sequence[LogEntry], *, language: Language, url: str, feedback: str = "", doing: str = "", chart: str = ""
) -> tuple[Message, ...]:
    """The turn's messages: one, or as many as Slack's limits make of it, four at most; the last holds what it cost, the
    feedback buttons and the link. `entries` are the turn's. `url` is the conversation's page; "" makes no link. `feedback` is
    the buttons' value, theirs to read; "" makes none. `doing` is what it does now, while it runs. `chart` is a line that says
    what the picture below shows."""
    story = story_of(entries, language)
    blocks = [*_body(story, language), *_notes(story, language)]
    if story.state == "running":
        now = doing or next((step.title for step in reversed(story.steps) if step.status == "running"), "")
        blocks.append(context(f":hourglass_flowing_sand: {line(now or say(language, 'turn.thinking'))}"))
    if chart:
        blocks.append(context(line(chart)))
    tail = _tail(story, language, url=url, feedback=feedback)
    rest = context(_rest(language, url))
    parts = [part for part in fit(blocks, tail=tail, rest=rest) if part]
    fallback = summary(story, language)
    if len(parts) == 1:
        return (Message(fallback, parts[0]),)
    return tuple(Message(f"{fallback} ({n}/{len(parts)})", part) for n, part in enumerate(parts, 1))


def summary(story: TurnStory, language: Language) -> str:
    """The answer in a line, escaped: for notifications and for lists."""
    made = story.shown
    if story.failure is not None:
        said = _failed(story, language)
    elif made is not None:
        said = told(language, say(language, f"diagnosis.{verdict_of(made)}"), made.diagnosis.summary)
    elif story.answer is not None and story.answer.text.strip():
        said = _words(story.answer.text)
    elif story.results:
        said = told(language, say(language, f"state.{story.results[-1].state}"), story.results[-1].message)
    elif story.state == "cancelled":
        said = say(language, "note.cancelled", text=story.cancelled_by)
    else:
        said = say(language, "turn.thinking")
    return line(said, 700) or say(language, "answer.label")


def _words(markdown: str) -> str:
    """Without its marks: what shows them as they are shows a line of stars otherwise."""
    return " ".join(plain([node]) for node in tree(markdown[:4_000]))


def _body(story: TurnStory, language: Language) -> Iterator[Block]:
    made = story.shown
    if made is not None:
        yield from diagnosis_blocks(made, story, language)
    if story.answer is None:
        return
    words = _beyond_diagnosis(story.answer.text, story)
    prose_blocks = from_markdown(words)
    if not prose_blocks:
        return
    offline = story.answer.offline or story.offline
    model = story.answer.model or story.model
    yield context(line(say(language, "answer.offline") if offline else say(language, "answer.by", model=model)))
    yield from prose_blocks


def _beyond_diagnosis(words: str, story: TurnStory) -> str:
    """The rules' answer begins with the diagnosis in words. Its blocks stand above, so that beginning is not said twice."""
    made = story.shown
    if made is None:
        return words
    for language in ("en", "zh", "ja"):
        told = said_by_rules(made.diagnosis, language)
        if told and words.startswith(told):
            return words[len(told) :].strip()
    return words


def _notes(story: TurnStory, language: Language) -> Iterator[Block]:
    for result in story.results:
        yield _result(result, language)
    for end in story.ends:
        yield from _soak(end, language)
    for title in story.cases:
        yield context(line(say(language, "note.case", text=title)))
    if story.resumed:
        yield context(line(say(language, "note.resumed")))
    if story.state == "cancelled":
        yield context(line(say(language, "note.cancelled", text=story.cancelled_by)))
    if story.failure is not None:
        yield rich(paragraph(text(say(language, "turn.failed"), bold=True)), paragraph(*prose(_failed(story, language), 1_500)))
    if story.finished is not None and story.finished.why:
        yield context(line(story.finished.why, 600))


def _failed(story: TurnStory, language: Language) -> str:
    failure = story.failure
    if failure is None:
        return ""
    return sentences(language, say_or(language, f"turn.failed.{failure.code}", ""), failure.message)


def _result(result: ActionFinished, language: Language) -> Block:
    mark = ":white_check_mark:" if result.state == "succeeded" else ":warning:"
    took = f" · {say(language, 'approval.took', time=duration(language, result.took_s * 1_000))}" if result.took_s else ""
    state = escape(say(language, f"state.{result.state}"))
    return context(f"{mark} *{state}*{took} · {escape(result.message, 1_500)}")


def _soak(end: CaseEnded, language: Language) -> Iterator[Block]:
    after = say(language, "soak.after", time=_span(end.after_s, language))
    if end.end != "relapsed":
        mark = ":white_check_mark:" if end.end == "held" else ":clock3:"
        words = escape(end.message, 1_000) if end.message and end.end != "held" else ""
        yield context(
            " · ".join(part for part in (f"{mark} *{line(say(language, f'soak.{end.end}'))}*", line(after), words) if part)
        )
        return
    yield context(f":rewind: *{line(say(language, 'soak.relapsed'))}* · {code(end.object)}")
    if end.message:
        yield rich(block_of_code(end.message, 1_500))
    yield context(f"{line(after)} · {line(say(language, 'soak.relapsed_next'))}")


def _span(seconds: float, language: Language) -> str:
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return say(language, "soak.minutes", n=minutes)
    hours = round(minutes / 60)
    return say(language, "soak.hours", n=hours) if hours < 48 else say(language, "soak.days", n=round(hours / 24))


def _tail(story: TurnStory, language: Language, *, url: str, feedback: str) -> list[Block]:
    lines = [_steps(story.steps, language)] if story.steps else []
    if story.finished is not None:
        lines += [_meta(story, language), line(cost_line(story.finished, language))]
    tail = [context(*lines)] if lines else []
    answered = story.state == "finished" and (story.answer is not None or story.shown is not None)
    by_person = story.question is not None and story.question.door != "action"
    if feedback and answered and by_person:
        tail.append(feedback_buttons(feedback, language))
    if url:
        tail.append(actions(button(say(language, "open_web"), OPEN_WEB, url=url)))
    return tail


def feedback_buttons(value: str, language: Language) -> Block:
    """Was this right? Each sends `value` back under its own action."""
    ask = say(language, "feedback.ask")
    return actions(
        button(say(language, "feedback.right"), FEEDBACK_UP, value=value, spoken=f"{ask} {say(language, 'feedback.right')}"),
        button(say(language, "feedback.wrong"), FEEDBACK_DOWN, value=value, spoken=f"{ask} {say(language, 'feedback.wrong')}"),
        block_id="feedback",
    )


def _steps(steps: Sequence[Step], language: Language) -> str:
    """Each look in a code span; what did not work says so."""
    total = sum(step.duration_ms for step in steps)
    head = say(language, "steps.done", n=len(steps), time=duration(language, total))
    told = [
        code(step.title, 200) + (f" ({line(say_or(language, f'status.{step.status}', step.status), 60)})" if step.bad else "")
        for step in steps[:STEPS]
    ]
    more = [line(say(language, "diagnosis.more", n=len(steps) - STEPS))] if len(steps) > STEPS else []
    return f"{line(head)} · {' '.join([*told, *more])}"


def _meta(story: TurnStory, language: Language) -> str:
    finished = story.finished
    if finished is None:
        return ""
    words = [say(language, "turn.took", time=duration(language, finished.took_ms))]
    if not story.offline and finished.model_calls:
        words.append(say(language, "turn.models", n=finished.model_calls))
    if finished.ended_by != "answer":
        words.append(say(language, f"turn.ended.{finished.ended_by}"))
    return line(" · ".join(words))


def _rest(language: Language, url: str) -> str:
    words = say(language, "rest_on_web")
    return f":arrow_right: {link(url, words)}" if url else line(words)
