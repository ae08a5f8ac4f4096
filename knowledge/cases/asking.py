"""What a Diagnosis asks the cases: its words, and the code of its first cause. Pure."""

from protocol.diagnosis import Diagnosis

_SYMPTOMS = 8


def asks(diagnosis: Diagnosis) -> tuple[str, str]:
    """(text, code). Names of objects are left out: they are others in another incident. "" where there is nothing to ask."""
    cause = next(iter(diagnosis.root_causes), None)
    if cause is None and not diagnosis.symptoms:
        return "", ""
    lines: list[str] = []
    if cause is not None:
        lines += [cause.code.replace("-", " "), cause.explanation]
    lines += [f"{one.code.replace('-', ' ')}: {one.title}" for one in diagnosis.symptoms[:_SYMPTOMS]]
    return "\n".join(dict.fromkeys(lines)), cause.code if cause is not None else ""
