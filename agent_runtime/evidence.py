"""A model's evidence against what its tools really returned. Pure.

Each piece names a tool result of the turn and must occur in it verbatim, but for white space. What fails is dropped and the
confidence capped; a root cause with no evidence left goes; none left is "I don't know", with what was checked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol.diagnosis import Diagnosis, Evidence, EvidenceSource, RootCause
from protocol.events import Language
from protocol.objects import ObjectRef
from protocol.text import one_line
from tools.answer import GOOD, ToolAnswer, body
from tools.names import PAST_CASES, PROPOSE, REPORT
from tools.report import Report, ReportedCause, ReportedEvidence
from tools.titles import title_of

CONFIDENCE_CAP = 0.5
"""Of a root cause some of whose evidence did not hold, or that rests on past cases alone."""
MIN_EXCERPT = 3
"""Characters: "137" proves something, "0" is everywhere."""
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
    folded = {result.call: _fold(result.quotable) for result in known}
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


def report_answer(report: Report, results: Iterable[ToolResult], *, language: Language = "en") -> ToolAnswer:
    """What the `report` tool says: what held, what was dropped and why, how to go on."""
    checked = check(report, results, language=language)
    kept = sum(len(cause.evidence) for cause in checked.diagnosis.root_causes)
    note = f"Recorded: {len(checked.diagnosis.root_causes)} root cause(s) with {kept} piece(s) of evidence."
    if checked.reasons:
        note += " Dropped: " + " ".join(checked.reasons[:6])
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
    if len(excerpt) < MIN_EXCERPT:
        return f"{quote} is too short to prove anything."
    if excerpt not in folded[result.call]:
        return f"{quote} does not occur in {result.ref}."
    return ""


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
