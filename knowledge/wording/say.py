"""Saying a Diagnosis: Markdown from the language's texts and the diagnosis' own evidence."""

import re
from collections.abc import Iterator
from typing import Any, cast

from knowledge.wording.actions import SENTENCES, UNKNOWN
from knowledge.wording.codes import texts_of, title
from knowledge.wording.localize import localized
from knowledge.wording.texts import Texts
from knowledge.wording.translate import Language, translate
from protocol.diagnosis import Change, Diagnosis, Evidence, Recommendation, RootCause, SimilarCase
from protocol.objects import ObjectRef
from protocol.redaction import redact
from protocol.remediation import AdjustHpa, Remediation, RollbackWorkload, SuspendCronJob
from protocol.text import clean

MAX_EVIDENCE = 6
MAX_CHANGES = 5
MAX_ADVICE = 3
MAX_SETTINGS = 6
MAX_SETTING = 80
_FIELD = re.compile(r"\{(\w+)\}")
_KANA = re.compile(r"[\u3040-\u30ff]")
_HAN = re.compile(r"[\u3400-\u9fff]")


def language(text: str) -> Language:
    """The language to answer in: kana means Japanese, Han without kana Chinese, else English."""
    if _KANA.search(text):
        return "ja"
    return "zh" if _HAN.search(text) else "en"


def action_text(action: Remediation, lang: Language = "en") -> str:
    """A typed action in words, for the eye: long values are cut and what looks like a secret is left out. What runs is the
    action's own fields."""
    fields: dict[str, Any] = action.model_dump(mode="json")
    said = {key: str(value) for key, value in fields.items()}
    said["target"] = _short(action.target)
    settings = list(_settings(fields))
    more = f", +{len(settings) - MAX_SETTINGS}" if len(settings) > MAX_SETTINGS else ""
    said["settings"] = ", ".join(_brief(one) for one in settings[:MAX_SETTINGS]) + more
    template = str(getattr(SENTENCES.get(_form(action), UNKNOWN), lang))
    return _FIELD.sub(lambda match: said.get(match[1], "?"), template)


def remedy_text(recommendation: Recommendation, lang: Language = "en") -> str:
    """What to do, in words: the action, or the instructions, whose commands stay as they are."""
    if recommendation.remediation is not None:
        return action_text(recommendation.remediation, lang)
    return translate(recommendation.instructions or "", lang)


def say(diagnosis: Diagnosis, lang: Language = "en") -> str:
    """The whole diagnosis as Markdown: cause, evidence with sources, confidence, effects, advice, similar cases, limits."""
    texts = texts_of(lang)
    colon = texts.phrases["colon"]
    diagnosis = localized(diagnosis, lang)
    parts: list[str] = []
    if not diagnosis.root_causes:
        parts.append(diagnosis.summary)
    parts += [_cause(cause, lang) for cause in diagnosis.root_causes]
    if diagnosis.symptoms and not diagnosis.healthy:
        label = texts.phrases["explains" if diagnosis.root_causes else "seen"]
        found = dict.fromkeys(f"- {title(symptom.code, lang)}{colon}`{symptom.object}`" for symptom in diagnosis.symptoms[:8])
        parts.append(f"**{label}**\n" + "\n".join(found))
    if diagnosis.changes and not diagnosis.healthy:
        parts.append(
            f"**{texts.phrases['changed']}**\n"
            + "\n".join(_change(change, texts) for change in diagnosis.changes[:MAX_CHANGES])
        )
    if diagnosis.recommendations:
        rows = [_advice(n, one, lang) for n, one in enumerate(diagnosis.recommendations[:MAX_ADVICE], 1)]
        parts.append(f"**{texts.phrases['do']}**\n" + "\n".join(rows))
    elif lang != "en":
        parts += [texts.codes[cause.code].remedy for cause in diagnosis.root_causes[:3] if cause.code in texts.codes]
    if diagnosis.similar_cases:
        rows = [_similar(case, texts) for case in diagnosis.similar_cases[:3]]
        parts.append(f"**{texts.phrases['similar']}**\n" + "\n".join(rows))
    if diagnosis.checked:
        parts.append(f"{texts.phrases['checked']}{colon}{texts.phrases['comma'].join(diagnosis.checked)}")
    if diagnosis.limits:
        parts.append(f"{texts.phrases['limits']}{colon}{texts.phrases['semicolon'].join(diagnosis.limits)}")
    return "\n\n".join(parts)


def _cause(cause: RootCause, lang: Language) -> str:
    texts = texts_of(lang)
    sure = texts.phrases["confidence"].format(percent=round(cause.confidence * 100))
    head = f"**{texts.phrases['root_cause']}{texts.phrases['colon']}{title(cause.code, lang)}** · `{cause.object}` · {sure}"
    rows = [_evidence(one, texts) for one in cause.evidence[:MAX_EVIDENCE]]
    body = f"{head}\n\n{cause.explanation}"
    return f"{body}\n\n**{texts.phrases['evidence']}**\n" + "\n".join(rows) if rows else body


def _evidence(one: Evidence, texts: Texts) -> str:
    where = f"{texts.phrases[f'source_{one.source}']} `{one.object}`"
    field = f" {_code(one.field)}" if one.field else ""
    at = f" ({one.at:%Y-%m-%d %H:%M:%S} UTC)" if one.at else ""
    return f"- {where}{field}{at}: {_code(one.excerpt)}"


def _change(change: Change, texts: Texts) -> str:
    by = f", {texts.phrases['by'].format(by=_code(change.by))}" if change.by else ""
    at = f" ({change.at:%Y-%m-%d %H:%M:%S} UTC{by})" if change.at else ""
    before = _code(change.before) if change.before is not None else texts.phrases["absent"]
    after = _code(change.after) if change.after is not None else texts.phrases["removed"]
    return f"- `{change.object}` {_code(change.path)}: {before} → {after}{at}"


def _advice(number: int, one: Recommendation, lang: Language) -> str:
    texts = texts_of(lang)
    about = (
        f"{texts.phrases['comma']}{texts.phrases['about'].format(seconds=one.expected_duration_s)}"
        if one.expected_duration_s
        else ""
    )
    risk = texts.phrases["risk"].format(risk=texts.phrases[f"risk_{one.risk.value}"])
    said = f"{number}. {remedy_text(one, lang)} ({risk}{about})"
    why, effect = (f"{texts.phrases[key]}{texts.phrases['colon']}" for key in ("why", "effect"))
    return f"{said}\n   {why}{one.why} {effect}{one.expected_effect}"


def _similar(case: SimilarCase, texts: Texts) -> str:
    example = f"{texts.phrases['example']}{texts.phrases['comma']}" if case.example else ""
    return f"- {_code(case.title)} ({example}{texts.phrases[f'outcome_{case.outcome}']})"


def _form(action: Remediation) -> str:
    """The key of its sentence: its type, and where a field turns the meaning round, which way."""
    match action:
        case SuspendCronJob(suspend=False):
            return "suspend_cronjob.resume"
        case AdjustHpa(min_replicas=None):
            return "adjust_hpa.max"
        case AdjustHpa(max_replicas=None):
            return "adjust_hpa.min"
        case RollbackWorkload(to_revision=None):
            return "rollback.before"
        case _:
            return action.type


def _settings(fields: dict[str, Any]) -> Iterator[str]:
    for name in ("requests", "limits"):
        for key, value in cast(dict[str, Any], fields.get(name) or {}).items():
            yield f"{name}.{key}={value}"
    for name in ("env", "data"):
        for key, value in cast(dict[str, Any], fields.get(name) or {}).items():
            yield f"{key}={value}" if value is not None else f"-{key}"


def _brief(setting: str) -> str:
    text = redact(" ".join(clean(setting[:4096]).split())).text
    return text if len(text) <= MAX_SETTING else f"{text[: MAX_SETTING - 1]}…"


def _short(ref: ObjectRef) -> str:
    return f"{ref.kind} {ref.name}"


def _code(text: str) -> str:
    """A code span that shows `text` to the letter, whatever backticks it holds; a break in it becomes a block."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    if "\n" in text:
        fence = "`" * max(3, longest + 1)
        return f"\n  {fence}\n  " + text.replace("\n", "\n  ") + f"\n  {fence}"
    ticks = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"
