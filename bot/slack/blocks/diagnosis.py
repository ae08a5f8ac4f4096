"""A diagnosis as blocks, in the order of the web: verdict, causes with their evidence, what to do, what was and wasn't seen."""

from collections.abc import Iterator, Sequence

from bot.slack.blocks.parts import context, header
from bot.slack.blocks.rich import (
    Block,
    Element,
    Piece,
    block_of_code,
    code,
    listed,
    paragraph,
    prose,
    quoted,
    rich,
    text,
    when,
)
from bot.slack.blocks.turn import TurnStory
from bot.slack.mrkdwn import line
from bot.slack.words import Language, colon, duration, say, sentences, told
from knowledge.wording import remedy_text, texts_of, title
from protocol.diagnosis import Change, Diagnosis, Evidence, Recommendation, RootCause, SimilarCase
from protocol.events import DiagnosisMade

EVIDENCE = 5
"""Pieces a cause; the rest is counted and in the web chat."""
CHANGES = 5
LISTED = 12
_EXCERPT = 1_200
_SHORT = 60


def verdict_of(made: DiagnosisMade) -> str:
    """found, possible, healthy or unknown, as in the web's words `diagnosis.…`."""
    match made.diagnosis.verdict:
        case "root_cause":
            return "found"
        case "healthy":
            return "healthy"
        case _:
            return "possible" if made.diagnosis.root_causes else "unknown"


def diagnosis_blocks(made: DiagnosisMade, story: TurnStory, language: Language) -> list[Block]:
    """`made` is in the reader's language already."""
    found = made.diagnosis
    blocks = [
        header(say(language, f"diagnosis.{verdict_of(made)}")),
        rich(_words(found.summary, made)),
        *(block for cause in found.root_causes for block in _cause(cause, made, language)),
    ]
    if not found.root_causes and not found.healthy and found.symptoms:
        blocks.append(rich(_titled(texts_of(language).phrases["seen"]), _symptoms(found, language)))
    if found.changes and not found.healthy:
        changes = [_change(change, language) for change in found.changes[:CHANGES]]
        blocks.append(rich(_titled(texts_of(language).phrases["changed"]), listed(changes)))
    if _no_safe_fix(made, story):
        blocks.append(rich(paragraph(text(say(language, "diagnosis.no_safe_fix"), bold=True))))
    if found.recommendations:
        advice = [_advice(one, language) for one in found.recommendations[:LISTED]]
        blocks.append(rich(_titled(say(language, "diagnosis.recommendations")), listed(advice, ordered=True)))
    blocks += _seen(found, language)
    origin = line(_origin(made, story, language))
    blocks.append(context(origin, *_dropped(made, language), *_rules_before(made, story, language)))
    return blocks


def _no_safe_fix(made: DiagnosisMade, story: TurnStory) -> bool:
    """Remedies are looked for after the rules; a model's report brings none of its own."""
    if made.stage == "rules":
        return made.diagnosis.no_safe_fix
    rules = story.rules
    return made.diagnosis.verdict == "root_cause" and rules is not None and rules.diagnosis.no_safe_fix and not story.approvals


def _words(said: str, made: DiagnosisMade) -> Element:
    """A model's words stand behind a bar; the rules' are ours, with names from the cluster in them."""
    pieces = prose(said, 2_500)
    return quoted(*pieces) if made.stage == "model" else paragraph(*pieces)


def _cause(cause: RootCause, made: DiagnosisMade, language: Language) -> Iterator[Block]:
    head = paragraph(
        text(title(cause.code, language), bold=True),
        text(" · "),
        code(str(cause.object)),
        text(" · "),
        code(cause.code),
        text(f" · {confidence(cause.confidence, language)}"),
    )
    told = [] if cause.explanation in made.diagnosis.summary else [_words(cause.explanation, made)]
    yield rich(head, *told)
    if not cause.evidence:
        return
    more = len(cause.evidence) - EVIDENCE
    yield rich(
        _titled(say(language, "diagnosis.evidence")),
        *(part for piece in cause.evidence[:EVIDENCE] for part in _evidence(piece, language)),
        *([paragraph(text(say(language, "diagnosis.more", n=more), italic=True))] if more > 0 else []),
    )


def confidence(value: float, language: Language) -> str:
    """Words and a number: Sure · 95 %."""
    word = "high" if value >= 0.85 else "medium" if value >= 0.6 else "low"
    return f"{say(language, f'confidence.{word}')} · {round(value * 100)} %"


def _evidence(piece: Evidence, language: Language) -> Iterator[Element]:
    """Where it was read, when, and to the letter what: in code, so that it can pass for nothing else. Short ones stand beside
    their source."""
    pieces: list[Piece] = [text(say(language, f"source.{piece.source}"), italic=True), text(" "), code(str(piece.object))]
    if piece.field:
        pieces += [text(" "), code(piece.field)]
    if piece.at:
        pieces += [text(" · "), when(piece.at)]
    if len(piece.excerpt) <= _SHORT and "\n" not in piece.excerpt and piece.excerpt.strip():
        yield listed([[*pieces, text(colon(language)), text(piece.excerpt, code=True)]])
        return
    yield listed([pieces])
    yield block_of_code(piece.excerpt, _EXCERPT, middle=True)


def _symptoms(found: Diagnosis, language: Language) -> Element:
    rows = dict.fromkeys((one.title or title(one.code, language), str(one.object)) for one in found.symptoms)
    return listed([[*prose(said, 300), text(" · "), code(name)] for said, name in list(rows)[:LISTED]])


def _change(change: Change, language: Language) -> list[Piece]:
    phrases = texts_of(language).phrases
    before = text(phrases["absent"]) if change.before is None else code(change.before)
    after = text(phrases["removed"]) if change.after is None else code(change.after)
    pieces: list[Piece] = [
        code(str(change.object)),
        text(" "),
        code(change.path),
        text(colon(language)),
        before,
        text(" → "),
        after,
    ]
    if change.at:
        pieces += [text(" · "), when(change.at)]
    if change.by:
        pieces += [text(f" · {phrases['by'].split('{by}')[0]}"), code(change.by), text(phrases["by"].split("{by}")[1] or " ")]
    return pieces


def _advice(one: Recommendation, language: Language) -> list[Piece]:
    about = sentences(language, one.why, one.expected_effect)
    return [
        *prose(remedy_text(one, language), 600, bold=True),
        text(f" · {say(language, f'risk.{one.risk}')}"),
        *([text("\n"), *prose(about, 800)] if about else []),
    ]


def _seen(found: Diagnosis, language: Language) -> Iterator[Block]:
    if found.similar_cases:
        cases = [_similar(case, language) for case in found.similar_cases[:LISTED]]
        yield rich(_titled(say(language, "diagnosis.cases")), listed(cases))
    for key, lines in (("diagnosis.checked", found.checked), ("diagnosis.limits", found.limits)):
        if lines:
            yield rich(_titled(say(language, key)), listed([prose(one, 400) or [text(" ")] for one in _few(lines, language)]))


def _few(lines: Sequence[str], language: Language) -> list[str]:
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([say(language, "diagnosis.more", n=more)] if more > 0 else [])]


def _similar(case: SimilarCase, language: Language) -> list[Piece]:
    seed = f" · {say(language, 'case.seed')}" if case.example else ""
    said: list[Piece] = [
        *prose(case.title, 300, bold=True),
        text(f" · {round(case.score * 100)} % · {say(language, f'outcome.{case.outcome}')}{seed}"),
    ]
    return [*said, text("\n"), *prose(case.fix, 400)] if case.fix else said


def _origin(made: DiagnosisMade, story: TurnStory, language: Language) -> str:
    by_rules = made.stage == "rules" or story.offline
    who = say(language, "diagnosis.by_rules") if by_rules else say(language, "diagnosis.by_model", model=story.model)
    return f"{who} · {duration(language, made.took_ms)}" if made.took_ms else who


def _dropped(made: DiagnosisMade, language: Language) -> list[str]:
    return [line(say(language, "diagnosis.dropped", n=made.dropped_evidence))] if made.dropped_evidence else []


def _rules_before(made: DiagnosisMade, story: TurnStory, language: Language) -> list[str]:
    """What the rules said, where a model came to something else."""
    rules = story.rules
    if made.stage == "rules" or rules is None or _causes(rules.diagnosis) == _causes(made.diagnosis):
        return []
    return [line(told(language, say(language, "diagnosis.rules_said"), rules.diagnosis.summary), 600)]


def _causes(found: Diagnosis) -> set[tuple[str, str]]:
    return {(cause.code, str(cause.object)) for cause in found.root_causes}


def _titled(words: str) -> Element:
    return paragraph(text(words, bold=True))
