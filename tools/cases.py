"""past_cases: closed incidents like this one, only from where the asker may look. Case text is data, like cluster text."""

from control_plane.principals import Principal, narrower
from knowledge.cases import Case, CaseStore, CasesUnavailable
from knowledge.diagnosis.catalogue import CATALOGUE
from protocol.commands import CommandStatus, ScopeLimit
from protocol.diagnosis import ELSEWHERE, SimilarCase
from protocol.text import one_line
from tools.answer import ToolAnswer, refused
from tools.context import ToolContext
from tools.names import PAST_CASES
from tools.titles import title_of

SHOWN = 5
SPARE = 5
"""More than is shown is asked for: the index may know some that are no more."""

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


async def similar(context: ToolContext, text: str, *, limit: int, code: str = "") -> tuple[SimilarCase, ...]:
    """Cases like the text, or with the cause `code`: of the scope of the conversation and its asker, and those of no cluster.
    The rows say what they are worth now; the index may be behind. Raises CasesUnavailable. Nothing while the store has not
    loaded."""
    if context.cases is None:
        return ()
    principal = await context.principal()
    cluster = context.conversation.cluster
    scope: ScopeLimit = narrower(context.conversation.scope, principal.scope_limit(cluster))
    found = await context.cases.search(
        text, tenant=principal.tenant, cluster=cluster, namespaces=scope.namespaces, code=code, limit=limit + SPARE
    )
    rows = await context.plane.cases.current([case.id for case in found], tenant=principal.tenant)
    here = [_as_it_is(case, rows[case.id]) for case in found if case.id in rows and _covers(scope, cluster, rows[case.id])]
    if len(here) < limit and context.plane.settings.cases_across_clusters:
        here += await _elsewhere(context, context.cases, text, code, principal, limit)
    return tuple(here[:limit])


async def _elsewhere(
    context: ToolContext, store: CaseStore, text: str, code: str, principal: Principal, limit: int
) -> list[SimilarCase]:
    """What was learnt outside of the conversation's scope, without a name: its cause, what kind of fix, how it ended."""
    found = await store.search(text, tenant=principal.tenant, code=code, limit=limit * 3)
    rows = await context.plane.cases.current([case.id for case in found], tenant=principal.tenant)
    own = context.conversation
    outside = [case for case in found if case.id in rows and rows[case.id].cluster not in ("", own.cluster)]
    return [anonymous(case, rows[case.id]) for case in outside if rows[case.id].code in CATALOGUE]


def anonymous(found: SimilarCase, row: Case) -> SimilarCase:
    """Nothing of it but the catalogue's words. Pure."""
    remedy = next((tag.removeprefix("remedy:") for tag in row.tags if tag.startswith("remedy:")), None)
    return SimilarCase(
        id=ELSEWHERE,
        title=f"Another cluster: {CATALOGUE[row.code].title}",
        root_cause=row.code,
        fix=remedy,
        outcome=row.outcome,
        score=found.score,
    )


def _as_it_is(found: SimilarCase, row: Case) -> SimilarCase:
    return found.model_copy(update={"outcome": row.outcome, "title": row.title, "fix": row.fix})


def _covers(scope: ScopeLimit, cluster: str, row: Case) -> bool:
    """Asked of the row, whatever the index filtered by."""
    if not row.cluster:
        return True
    return row.cluster == cluster and (scope.namespaces is None or row.namespace in scope.namespaces)


def _line(case: SimilarCase) -> str:
    at = f" ({case.at:%Y-%m-%d})" if case.at else ""
    fix = one_line(case.fix, 300) if case.fix else "none"
    known = "an example that comes with Opsthread; " if case.example else ""
    return f"{one_line(case.title, 200)}{at}: {one_line(case.root_cause, 300)}; fix: {fix}; {known}{_OUTCOMES[case.outcome]}"
