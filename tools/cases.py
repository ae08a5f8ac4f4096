"""past_cases: closed incidents like this one, only from where the asker may look. Case text is data, like cluster text."""

from control_plane.principals import narrower
from knowledge.cases import CasesUnavailable
from protocol.commands import CommandStatus, ScopeLimit
from protocol.diagnosis import SimilarCase
from protocol.text import one_line
from tools.answer import ToolAnswer, refused
from tools.context import ToolContext
from tools.names import PAST_CASES
from tools.titles import title_of

SHOWN = 5

_OUTCOMES = {
    "held": "solved, and it held",
    "provisional": "fixed a short time ago, not yet known to hold",
    "relapsed": "did NOT hold",
    "unsolved": "not solved",
}


async def past_cases(context: ToolContext, text: str) -> ToolAnswer:
    title = title_of(PAST_CASES, {"text": text})
    if context.cases is None:
        return refused(title, "The case store is still loading. Go on without past cases.", CommandStatus.UNAVAILABLE)
    try:
        found = await similar(context, text, limit=SHOWN)
    except CasesUnavailable as error:
        return refused(title, f"{error} Go on without past cases.", CommandStatus.UNAVAILABLE)
    if not found:
        return ToolAnswer(title, CommandStatus.EMPTY.value, note="No case like this is known.")
    return ToolAnswer(title, body="\n".join(_line(case) for case in found))


async def similar(context: ToolContext, text: str, *, limit: int) -> tuple[SimilarCase, ...]:
    """Raises CasesUnavailable. Nothing while the store has not loaded."""
    if context.cases is None:
        return ()
    principal = await context.principal()
    scope: ScopeLimit = narrower(context.conversation.scope, principal.scope_limit(context.conversation.cluster))
    found = await context.cases.search(
        text, tenant=principal.tenant, cluster=context.conversation.cluster, namespaces=scope.namespaces, limit=limit
    )
    return tuple(found)


def _line(case: SimilarCase) -> str:
    at = f" ({case.at:%Y-%m-%d})" if case.at else ""
    fix = one_line(case.fix, 300) if case.fix else "none"
    return f"{one_line(case.title, 200)}{at}: {one_line(case.root_cause, 300)}; fix: {fix}; {_OUTCOMES[case.outcome]}"
