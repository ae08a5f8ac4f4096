"""The second stage of a diagnosis: what the runner cannot know. Remedies, similar cases, limits."""

import asyncio

from knowledge.cases import CasesUnavailable, asks
from knowledge.remedies import recommend
from protocol.diagnosis import Diagnosis
from tools.cases import similar
from tools.context import ToolContext

CASES_SHOWN = 3
CASES_S = 1.0
"""Past cases are worth this much waiting; the evidence is on its way to a screen."""


async def enrich(context: ToolContext, diagnosis: Diagnosis) -> Diagnosis:
    """Recommendations, cases and what could not be seen; never a reason to fail."""
    recommendations = diagnosis.recommendations or recommend(diagnosis, await context.plane.weights.remedies())
    limits = list(diagnosis.limits)
    cases = diagnosis.similar_cases
    if diagnosis.root_causes and context.cases is not None:
        try:
            async with asyncio.timeout(CASES_S):
                text, code = asks(diagnosis)
                cases = await similar(context, text, code=code, limit=CASES_SHOWN)
        except TimeoutError:
            limits.append("past cases did not answer in time, so none was compared")
        except CasesUnavailable as error:
            limits.append(f"past cases could not be read: {error}")
    elif context.cases is None:
        limits.append("past cases are still loading, so none was compared")
    return diagnosis.model_copy(update={"recommendations": recommendations, "similar_cases": cases, "limits": tuple(limits)})
