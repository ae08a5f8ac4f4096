"""A Diagnosis as the model reads it: short enough for a first request, exact enough to quote from."""

from protocol.canonical import canonical_json
from protocol.diagnosis import Diagnosis, Evidence, RootCause, SimilarCase
from protocol.text import one_line
from tools.answer import quoted

ROOT_CAUSES, EVIDENCE, SYMPTOMS, CHANGES, RECOMMENDATIONS, CASES = 3, 5, 6, 4, 3, 2


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """What was found and what it rests on. Cluster text throughout: fence it."""
    lines = [one_line(diagnosis.summary, 500)]
    for number, cause in enumerate(diagnosis.root_causes[:ROOT_CAUSES], 1):
        lines += _cause(number, cause)
    if len(diagnosis.root_causes) > ROOT_CAUSES:
        lines.append(f"and {len(diagnosis.root_causes) - ROOT_CAUSES} more root causes")
    lines += _section("symptoms", [f"{s.code} on {s.object}: {one_line(s.title, 120)}" for s in diagnosis.symptoms], SYMPTOMS)
    lines += _section("recent changes", [_change(c.model_dump(mode="json")) for c in diagnosis.changes], CHANGES)
    lines += _section(
        "similar cases",
        [_similar(case) for case in diagnosis.similar_cases],
        CASES,
    )
    lines += _section("looked at", list(diagnosis.checked), 8)
    lines += _section("could not see", list(diagnosis.limits), 6)
    return "\n".join(lines)


def recommendations_text(diagnosis: Diagnosis) -> str:
    """The remedies that fit, as arguments for propose_remediation: a note. Values in them are the cluster's, so they are
    quoted."""
    lines: list[str] = []
    for item in diagnosis.recommendations[:RECOMMENDATIONS]:
        if item.remediation is not None:
            action = canonical_json(item.remediation).decode()
            lines.append("- " + quoted(f"action={action} (risk {item.risk}): {one_line(item.why, 160)}"))
        elif item.instructions:
            lines.append("- for a person: " + quoted(one_line(item.instructions, 200)))
    return "Remedies that fit:\n" + "\n".join(lines) if lines else ""


def _cause(number: int, cause: RootCause) -> list[str]:
    head = f"root cause {number}: {cause.code} at {cause.object}, confidence {cause.confidence:.2f}"
    return [head, f"  {one_line(cause.explanation, 400)}", *(f"  - {_evidence(e)}" for e in cause.evidence[:EVIDENCE])]


def _evidence(evidence: Evidence) -> str:
    where = f"{evidence.source} {evidence.object}" + (f" {one_line(evidence.field, 120)}" if evidence.field else "")
    at = f" at {evidence.at:%Y-%m-%dT%H:%M:%SZ}" if evidence.at else ""
    return f"{where}{at}: {one_line(evidence.excerpt, 240)}"


def _similar(case: SimilarCase) -> str:
    known = "example from elsewhere, " if case.example else ""
    return f"{one_line(case.title, 100)}: {known}{case.outcome}, fix {case.fix or 'none'}"


def _change(change: dict[str, str | None]) -> str:
    who = f" by {change['by']}" if change.get("by") else ""
    before, after = one_line(change["before"] or "(none)", 80), one_line(change["after"] or "(none)", 80)
    return f"{change['at'] or 'time unknown'}{who}: {change['object']} {change['path']}: {before} -> {after}"


def _section(title: str, items: list[str], limit: int) -> list[str]:
    if not items:
        return []
    more = [f"  and {len(items) - limit} more"] if len(items) > limit else []
    return [f"{title}:", *(f"  {one_line(item, 320)}" for item in items[:limit]), *more]
