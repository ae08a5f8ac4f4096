"""The offline model's answers as Markdown. Pure; cluster text stands in code blocks."""

from collections.abc import Mapping

from agent_runtime.models.phrases import phrase
from agent_runtime.models.view import Seen, View
from knowledge.wording import localized, remedy_text, say, translate
from protocol.diagnosis import Diagnosis
from protocol.events import Language
from protocol.text import cap, one_line
from tools.names import DIAGNOSE, PROPOSE
from tools.propose import CANNOT_RUN

BLOCK_LINES, BLOCK_CHARS = 30, 3000

_ENDED = {"succeeded": "succeeded", "failed": "failed_action", "rolled_back": "rolled_back", "rejected": "rejected"}


def diagnosis(found: Diagnosis, view: View, language: Language, *, may_propose: bool) -> str:
    """The diagnosis in words, and what became of its remedy."""
    parts = [say(found, language)]
    if found.root_causes and found.verdict == "not_enough_evidence":
        parts.append(phrase("not_enough_evidence", language))
    elif found.no_safe_fix:
        parts.append(phrase("no_safe_fix", language))
    if view.proposal is not None:
        parts.append(_proposal(view.proposal, found, language))
    elif found.recommendations and found.recommendations[0].remediation is not None and not may_propose:
        parts.append(phrase("may_not", language))
    return "\n\n".join(parts)


def fix(found: Diagnosis, view: View, language: Language, *, may_propose: bool) -> str:
    if view.proposal is not None:
        return _proposal(view.proposal, found, language)
    best = next(iter(found.recommendations), None)
    if best is not None and best.remediation is not None and not may_propose:
        return phrase("may_not", language)
    said = localized(found, language)
    best = next(iter(said.recommendations), None)
    why = (best.instructions or best.why) if best is not None else one_line(said.summary)
    return phrase("no_remedy", language, why=why)


def shown(seen: Seen, language: Language, *, only: tuple[str, ...] = ()) -> str:
    """A tool's result as it is. `only` keeps the heading and the lines that hold one of the words."""
    if not seen.good:
        return failed(seen, language)
    text = _lines_with(seen.body, only) if only else seen.body
    if not text.strip():
        return phrase("nothing", language, title=seen.title)
    return f"{phrase('looked', language, title=seen.title)}\n\n{_block(text)}"


def failed(seen: Seen, language: Language) -> str:
    return phrase("failed", language, title=seen.title, status=seen.status, why=translate(one_line(seen.why, 500), language))


def concluded(facts: Mapping[str, str], seen: Seen | None, language: Language) -> str:
    """Healed or not, how long it took, what is seen now."""
    took = f"{facts['took']} s"
    key = _ENDED.get(facts["state"], "unknown_action")
    text = phrase(
        key,
        language,
        command=facts["command"],
        target=facts["target"],
        took=took,
        by=facts.get("by", ""),
        message=_sentence(facts["message"], language),
    )
    if seen is not None and seen.good and seen.body:
        text += f"\n\n{phrase('seen', language)}\n\n{_block(seen.body)}"
    return text


def so_far(view: View, language: Language) -> str:
    """What can be said when a turn has to end: the diagnosis, else the last result, else that nothing was seen."""
    if view.diagnosis is not None:
        return diagnosis(view.diagnosis, view, language, may_propose=True)
    last = next((seen for seen in reversed(view.seen) if seen.name not in (DIAGNOSE, PROPOSE)), None)
    return shown(last, language) if last is not None else phrase("unknown", language)


def _proposal(proposal: Seen, found: Diagnosis, language: Language) -> str:
    if proposal.answer is not None and proposal.answer.approval:
        what = remedy_text(found.recommendations[0], language) if found.recommendations else ""
        cannot = _cannot_run(proposal.why)
        if cannot:
            return phrase("proposed_only", language, what=what, why=_sentence(translate(cannot, language), language))
        return phrase("proposed", language, what=what)
    return phrase("not_proposed", language, why=translate(one_line(proposal.why, 500), language))


def _cannot_run(note: str) -> str:
    """The reason why a plan can't run, from what the tool said about it."""
    _, found, after = note.partition(CANNOT_RUN)
    return after.split("\n", 1)[0].strip() if found else ""


def _sentence(text: str, language: Language) -> str:
    line = one_line(text, 800)
    return line if not line or line.endswith((".", "。", "!", "?")) else line + ("." if language == "en" else "。")


def _lines_with(text: str, words: tuple[str, ...]) -> str:
    lines = text.splitlines()
    kept = [line for line in lines[1:] if any(word.split("/")[-1] in line.lower() for word in words)]
    return "\n".join([lines[0], *kept]) if kept else ""


def _block(text: str) -> str:
    """The last lines in a fence that the text can't close."""
    lines = text.splitlines()
    cut = lines if len(lines) <= BLOCK_LINES else [lines[0], "…", *lines[-BLOCK_LINES + 2 :]]
    inner = cap("\n".join(cut), BLOCK_CHARS)
    fence = "```"
    while fence in inner:
        fence += "`"
    return f"{fence}text\n{inner}\n{fence}"
