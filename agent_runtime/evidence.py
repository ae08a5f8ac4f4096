"""A model's evidence against what its tools really returned. Pure.

Each piece names a tool result of the turn and must occur in it verbatim: whole words and numbers, within its lines, and no
words that the model itself put into the call. It must say something, and the result must be about the object that it is said
of. What fails is dropped and the confidence capped; a root cause with no
evidence left goes; none left is "I don't know", with what was checked. "Nothing is wrong" does not hide what the rules found.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from protocol.diagnosis import Diagnosis, Evidence, EvidenceSource, RootCause
from protocol.events import Language
from protocol.objects import ObjectRef
from protocol.text import one_line
from tools.answer import GOOD, ToolAnswer, body
from tools.names import PAST_CASES, PROPOSE, REPORT
from tools.report import Report, ReportedCause, ReportedEvidence
from tools.titles import title_of

CONFIDENCE_CAP = 0.5
"""Of a root cause some of whose evidence did not hold, that rests on past cases alone, or that the model calls healthy."""
_LONG = 8
_SHORT = re.compile(r"(?=.*\d).{3,}|(?=.*[A-Z]).{5,}")
"""Shorter than that: "137", "256Mi", "Error" prove something; "pod", "the", "0" are everywhere."""
_WORD = re.compile(r"[\w.:%/-]+")
_GENERATED = 2
"""Parts at the end of a pod's name that its owners have made up: payments-7c9d-x2k4p is a pod of payments."""
_OWN = frozenset({PROPOSE, REPORT})

_UNKNOWN: dict[Language, str] = {
    "en": "I don't know: nothing that was seen proves a root cause.",
    "zh": "我不知道：已看到的内容都不能证明根因。",
    "ja": "分かりません：見た範囲に原因を証明するものがありません。",
}


@dataclass(frozen=True, slots=True)
class ToolResult:
    """One finished tool call of the turn, as the model saw it."""

    ref: str
    """r1, r2, … in the order of start."""
    call: str
    name: str
    title: str
    status: str
    text: str
    asked: str = ""
    """What the model put into the call: a literal in a jsonpath, a label in an expression, a made-up name all come back."""

    @property
    def quotable(self) -> str:
        """What may be quoted: the cluster's part of a good result. Error texts repeat the model's own words."""
        return body(self.text) if self.status in GOOD and self.name not in _OWN else ""


@dataclass(frozen=True, slots=True)
class Checked:
    diagnosis: Diagnosis
    dropped: int
    reasons: tuple[str, ...]
    """Why each piece was dropped, for the model."""


def check(report: Report, results: Iterable[ToolResult], *, language: Language = "en") -> Checked:
    """The report with only what holds."""
    known = list(results)
    by_name = {result.ref: result for result in known} | {result.call: result for result in known}
    folded = {result.call: _fold_lines(result.quotable) for result in known}
    causes: list[RootCause] = []
    reasons: list[str] = []
    for cause in report.root_causes:
        kept = _keep(cause, by_name, folded, reasons)
        if kept is not None:
            causes.append(kept)
    # "Nothing is wrong" has no excerpt to quote, but whoever says so must have looked.
    looked = any(result.status in GOOD and result.name not in (*_OWN, PAST_CASES) for result in known)
    proven = bool(causes) or (report.healthy and not report.root_causes and looked)
    unproven = () if proven else ("No root cause could be proven with what was seen.",)
    diagnosis = Diagnosis(
        summary=one_line(report.summary, 2000) if proven else _UNKNOWN[language],
        root_causes=tuple(causes),
        healthy=proven and not report.root_causes,
        checked=tuple(result.title for result in known if result.status in GOOD and result.name not in _OWN),
        limits=(*(one_line(limit, 300) for limit in report.limits), *unproven),
    )
    return Checked(diagnosis, len(reasons), tuple(reasons))


def against_rules(checked: Checked, rules: Diagnosis | None) -> Checked:
    """Healthy, says the model, and the rules found a root cause in this turn: theirs stays, with less confidence, and both are
    told. A log line can talk a model into calling all well."""
    if rules is None or not rules.root_causes or not checked.diagnosis.healthy:
        return checked
    first = rules.root_causes[0]
    words = f"The model called this healthy; the rules found {first.code} at {first.object} in the same turn."
    causes = tuple(
        cause.model_copy(update={"confidence": min(cause.confidence, CONFIDENCE_CAP)}) for cause in rules.root_causes
    )
    update = {
        "summary": rules.summary,
        "root_causes": causes,
        "healthy": False,
        "limits": (*checked.diagnosis.limits, words),
    }
    reason = f"{words} That stays visible to people: say in your answer why you disagree."
    return replace(checked, diagnosis=checked.diagnosis.model_copy(update=update), reasons=(*checked.reasons, reason))


def report_answer(
    report: Report, results: Iterable[ToolResult], *, rules: Diagnosis | None = None, language: Language = "en"
) -> ToolAnswer:
    """What the `report` tool says: what held, what was dropped and why, how to go on. `rules` is what they found this turn."""
    kept_by_itself = check(report, results, language=language)
    checked = against_rules(kept_by_itself, rules)
    kept = sum(len(cause.evidence) for cause in checked.diagnosis.root_causes)
    note = f"Recorded: {len(checked.diagnosis.root_causes)} root cause(s) with {kept} piece(s) of evidence."
    if kept_by_itself.reasons:
        note += " Dropped: " + " ".join(kept_by_itself.reasons[:6])
    note += "".join(f" {reason}" for reason in checked.reasons[len(kept_by_itself.reasons) :])
    if report.root_causes and not checked.diagnosis.root_causes:
        note += " Nothing is left: quote exactly and report once more, or answer that you don't know and what you checked."
    return ToolAnswer(title_of(REPORT, {}), note=note, diagnosis=checked.diagnosis, dropped_evidence=checked.dropped)


def _keep(
    cause: ReportedCause, results: Mapping[str, ToolResult], folded: Mapping[str, str], reasons: list[str]
) -> RootCause | None:
    kept: list[Evidence] = []
    before = len(reasons)
    for item in cause.evidence:
        result = results.get(item.result.strip())
        reason = _fault(item, result, folded)
        if reason or result is None:
            reasons.append(reason)
        else:
            kept.append(_evidence(item, result))
    if not kept:
        return None
    doubtful = len(reasons) > before or all(e.source == "case" for e in kept)
    return RootCause(
        code=cause.code,
        object=ObjectRef.parse(cause.object),
        explanation=one_line(cause.explanation, 2000),
        confidence=min(cause.confidence, CONFIDENCE_CAP) if doubtful else cause.confidence,
        evidence=tuple(kept),
    )


def _fault(item: ReportedEvidence, result: ToolResult | None, folded: Mapping[str, str]) -> str:
    """Why a piece of evidence does not hold; "" when it does."""
    quote = f"{one_line(item.excerpt, 60)!r}"
    if result is None:
        return f"{quote} names {one_line(item.result, 20)!r}, which is no result of this turn."
    if not folded[result.call]:
        return f"{quote} names {result.ref}, which holds nothing that can be quoted."
    excerpt = _fold(item.excerpt)
    about = ObjectRef.parse(item.object)
    if not _says_something(excerpt):
        return f"{quote} is too short to prove anything."
    if excerpt in (about.name, about.namespace, about.kind, str(about)):
        return f"{quote} only repeats what the object is called."
    if not _occurs(item.excerpt, folded[result.call]):
        return f"{quote} does not occur in {result.ref}."
    if not _says_more(excerpt, about, result.asked):
        return f"{quote} only repeats what {result.ref} was asked for."
    if not _is_about(result, about):
        return f"{quote} is said of {about}, which {result.ref} does not name."
    return ""


def _says_something(excerpt: str) -> bool:
    return len(excerpt) >= _LONG or _SHORT.fullmatch(excerpt) is not None


def _says_more(excerpt: str, about: ObjectRef, asked: str) -> bool:
    """Is something left of it without the words of the call itself?"""
    own = set(_WORD.findall(asked))
    said = [word for word in _WORD.findall(excerpt) if word not in own]
    if len(said) == len(_WORD.findall(excerpt)):
        return True
    left = " ".join(said)
    return _says_something(left) and left not in (about.name, about.namespace, about.kind)


def _occurs(excerpt: str, lines: str) -> bool:
    """Whole words and numbers: "exit code 13" is not in "exit code 137", nor "5 GiB" in "1.5 GiB". A line that the model has
    broken is the same line; two lines that it has joined are none."""
    parts = [re.escape(folded) for part in excerpt.split("\n") if (folded := _fold(part))]
    if not parts:
        return False
    first, last = excerpt.strip()[0], excerpt.strip()[-1]
    before = _NOT_BEHIND_A_NUMBER if first.isdigit() else _NOT_BEHIND_A_WORD if first.isalpha() and first.isascii() else ""
    after = _NOT_BEFORE_A_NUMBER if last.isdigit() else _NOT_BEFORE_A_WORD if last.isalpha() and last.isascii() else ""
    return re.search(before + "[ \n]".join(parts) + after, lines) is not None


_NOT_BEHIND_A_WORD, _NOT_BEFORE_A_WORD = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"
_NOT_BEHIND_A_NUMBER, _NOT_BEFORE_A_NUMBER = _NOT_BEHIND_A_WORD + r"(?<![0-9][.,])", _NOT_BEFORE_A_WORD + r"(?![.,][0-9])"


def _is_about(result: ToolResult, about: ObjectRef) -> bool:
    """Does the result name the object, in what was asked for (logs don't say whose they are) or in what came? Of a pod its
    owner's name is enough: `kubectl logs deploy/payments` is about payments' pods."""
    parts = about.name.split("-")
    most = min(_GENERATED, len(parts) - 1) if about.kind in ("Pod", "ReplicaSet") else 0
    return any("-".join(parts[: len(parts) - cut]) in result.text for cut in range(most + 1))


def _evidence(item: ReportedEvidence, result: ToolResult) -> Evidence:
    # A past case proves nothing about this cluster now, whatever the model calls it.
    source: EvidenceSource = "case" if result.name == PAST_CASES else item.source
    return Evidence(
        source=source,
        object=ObjectRef.parse(item.object),
        field=one_line(item.field, 300) if item.field else None,
        excerpt=item.excerpt,
        tool_result=result.call,
    )


def _fold(text: str) -> str:
    return " ".join(text.split())


def _fold_lines(text: str) -> str:
    """White space within a line does not matter; lines do. Empty ones don't."""
    return "\n".join(folded for line in text.splitlines() if (folded := _fold(line)))
