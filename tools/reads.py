"""The tools that look: diagnose, kubectl, prometheus, changes. Each sends one Command, judged with the asker's scope."""

from datetime import timedelta

from protocol.commands import Command, CommandResult, CommandStatus, Diagnose, Kubectl, ListChanges, PromQuery
from protocol.diagnosis import Diagnosis
from protocol.kubectl import parse
from protocol.kubectl.calls import GrammarError, WriteCall
from protocol.objects import valid_namespace
from protocol.text import one_line
from tools.answer import ToolAnswer, from_result, refused
from tools.context import ToolContext
from tools.diagnosis_text import diagnosis_text, recommendations_text
from tools.enrich import enrich
from tools.targets import object_of, words_of
from tools.titles import title_of

READ_DEADLINE_S = 30.0


async def send(context: ToolContext, command: Command, *, deadline_s: float = READ_DEADLINE_S) -> CommandResult:
    """One Command as the asker, whose account is read anew; Commands narrows the conversation's scope by what it may see."""
    return await context.plane.commands.run(
        context.conversation.cluster,
        command,
        principal=await context.principal(),
        scope=context.conversation.scope,
        deadline_s=deadline_s,
        correlation=context.correlation(),
        on_progress=context.progress,
    )


async def diagnose(context: ToolContext, target: str = "", namespace: str = "") -> ToolAnswer:
    return await diagnose_words(context, target, words_of(target), namespace)


async def diagnose_words(context: ToolContext, target: str, words: tuple[str, ...], namespace: str) -> ToolAnswer:
    """The runner's rules, then what only the control plane knows: remedies, past cases, limits."""
    title = title_of("diagnose", {"target": target or " ".join(words), "namespace": namespace})
    if namespace and not valid_namespace(namespace):
        return refused(title, f"{one_line(namespace, 60)!r} is not a namespace; give a name such as shop, or leave it out.")
    where = namespace or context.only_namespace()
    found = object_of(target, where) if target else None
    weights = await context.plane.weights.causes()
    command = Diagnose(target=found, words=() if found else words, namespace=where, weights=weights)
    result = await send(context, command)
    if not result.good or result.data is None:
        return from_result(title, result)
    return diagnosis_answer(title, await enrich(context, result.diagnosis()), command=result.id, cut=result.cut)


def diagnosis_answer(title: str, diagnosis: Diagnosis, *, command: str | None = None, cut: str = "") -> ToolAnswer:
    return ToolAnswer(
        title,
        body=diagnosis_text(diagnosis),
        note=recommendations_text(diagnosis),
        cut=cut,
        command=command,
        diagnosis=diagnosis,
    )


async def kubectl(context: ToolContext, command: str) -> ToolAnswer:
    title = title_of("kubectl", {"command": command})
    try:
        call = parse(command)
    except GrammarError as error:
        return refused(title, f"Refused: {error}")
    if isinstance(call, WriteCall):
        return refused(
            title, "Refused: this changes the cluster. Pass the same line to propose_remediation; people decide about it."
        )
    only = context.only_namespace()
    if only and "namespace" in type(call).model_fields and getattr(call, "namespace", None) is None:
        call = call.model_copy(update={"namespace": only, "all_namespaces": False})
    return from_result(title, await send(context, Kubectl(call=call)))


async def prometheus(context: ToolContext, query: str, minutes: int = 0, step: int = 0) -> ToolAnswer:
    """An instant query; a range over the last `minutes` when given, which people see as a chart. `step` in seconds; 0: the
    runner chooses one that shows every spike."""
    title = title_of("prometheus", {"query": query, "minutes": minutes})
    if not query.strip() or len(query) > 4000:
        return refused(title, "The query is empty or over 4,000 characters.", CommandStatus.INVALID)
    if minutes <= 0:
        return from_result(title, await send(context, PromQuery(expr=query)))
    end = context.now()
    start = end - timedelta(minutes=min(minutes, 7 * 24 * 60))
    return from_result(
        title, await send(context, PromQuery(expr=query, start=start, end=end, step_s=step if step > 0 else None))
    )


async def changes(context: ToolContext, target: str = "", namespace: str = "", minutes: int = 60) -> ToolAnswer:
    title = title_of("changes", {"target": target, "namespace": namespace, "minutes": minutes})
    where = namespace or context.only_namespace()
    if where and not valid_namespace(where):
        return refused(title, f"{one_line(where, 60)!r} is not a namespace; give a name such as shop, or leave it out.")
    found = object_of(target, where) if target else None
    since = min(max(minutes, 1), 14 * 24 * 60) * 60
    result = await send(context, ListChanges(namespace=where, target=found, since_s=since))
    note = (
        f"{one_line(target, 80)!r} is no Kind/namespace/name, so changes of everything are shown."
        if target and not found
        else ""
    )
    return from_result(title, result, note=note)
