"""A Diagnosis with its words in the reader's language: from its codes and facts where they say it, else from the templates.

Evidence, names, commands and changes stay to the letter. The stored diagnosis is never rewritten: this is for the eye.
"""

import re

from knowledge.wording.codes import explanation, texts_of, title
from knowledge.wording.translate import Language, match, translate
from protocol.diagnosis import ELSEWHERE, Diagnosis, Finding, Recommendation, RootCause, SimilarCase

_EFFECTS = "Because of it: "
_TROUBLE = ("I don't know why ", " is in trouble. Seen: ", "")
_CASE = re.compile(r"([a-z0-9-]{1,80}) @ (\S{1,400})")


def localized(diagnosis: Diagnosis, lang: Language, *, own_words: bool = False) -> Diagnosis:
    """`own_words`: a model wrote the summary and the explanations, in the asker's language; they stay."""
    if lang == "en":
        return diagnosis
    causes = diagnosis.root_causes if own_words else tuple(_cause(cause, lang) for cause in diagnosis.root_causes)
    told = {old.explanation: new.explanation for old, new in zip(diagnosis.root_causes, causes, strict=True)}
    return diagnosis.model_copy(
        update={
            "summary": translate(diagnosis.summary, lang) if own_words else _summary(diagnosis, causes, lang),
            "root_causes": causes,
            "symptoms": tuple(_symptom(symptom, lang) for symptom in diagnosis.symptoms),
            "recommendations": tuple(_advice(one, told, lang) for one in diagnosis.recommendations),
            "similar_cases": tuple(_case(case, lang) for case in diagnosis.similar_cases),
            "checked": tuple(translate(line, lang) for line in diagnosis.checked),
            "limits": tuple(translate(line, lang) for line in diagnosis.limits),
        }
    )


def _cause(cause: RootCause, lang: Language) -> RootCause:
    said = explanation(cause, lang)
    if said == cause.explanation and cause.code in texts_of(lang).codes:
        said = f"{title(cause.code, lang)}。"  # a fact is missing: short is better than another language
    return cause.model_copy(update={"explanation": said})


def _summary(diagnosis: Diagnosis, causes: tuple[RootCause, ...], lang: Language) -> str:
    phrases = texts_of(lang).phrases
    if causes:
        _, found, effects = diagnosis.summary.rpartition(_EFFECTS)
        tail = f"{phrases['explains']}{phrases['colon']}{effects.removesuffix('.')}。" if found else ""
        return "".join(dict.fromkeys(cause.explanation for cause in causes[:4])) + tail
    trouble = match(_TROUBLE, diagnosis.summary)
    if trouble is None:
        return translate(diagnosis.summary, lang)
    said = phrases["unknown"].format(subject=translate(trouble[0], lang))
    seen = dict.fromkeys(title(symptom.code, lang) for symptom in diagnosis.symptoms)
    return said + (f"{phrases['seen']}{phrases['colon']}{phrases['comma'].join(seen)}。" if seen else "")


def _symptom(symptom: Finding, lang: Language) -> Finding:
    known = symptom.code in texts_of(lang).codes
    return symptom.model_copy(update={"title": title(symptom.code, lang) if known else translate(symptom.title, lang)})


def _advice(one: Recommendation, told: dict[str, str], lang: Language) -> Recommendation:
    return one.model_copy(
        update={
            "why": told.get(one.why) or translate(one.why, lang),
            "expected_effect": translate(one.expected_effect, lang),
            "instructions": translate(one.instructions, lang) if one.instructions else one.instructions,
        }
    )


def _case(case: SimilarCase, lang: Language) -> SimilarCase:
    """By its root cause: its title is a sentence of that day. One of another cluster has a cause and no object."""
    named = _CASE.fullmatch(case.root_cause)
    if case.id == ELSEWHERE:
        return case.model_copy(update={"title": translate(f"Another cluster: {title(case.root_cause, lang)}", lang)})
    if named is None or named[1] not in texts_of(lang).codes:
        return case.model_copy(update={"title": translate(case.title, lang)})
    return case.model_copy(update={"title": f"{title(named[1], lang)}{texts_of(lang).phrases['colon']}{named[2]}"})
