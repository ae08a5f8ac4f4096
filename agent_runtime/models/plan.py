"""What the offline model does next: a pure function of the transcript. Tool calls, or the answer.

Each kind of question is one function that reads what has been seen in this turn and says the next step.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from agent_runtime.models import answers
from agent_runtime.models.intents import Ask, Intent, intent_of
from agent_runtime.models.phrases import phrase
from agent_runtime.models.probes import look, probes
from agent_runtime.models.tables import matching_pods
from agent_runtime.models.view import INTERRUPTED, Seen, View
from protocol.diagnosis import Diagnosis, Recommendation
from protocol.events import Language
from protocol.objects import ObjectRef
from tools.names import CHANGES, DIAGNOSE, KUBECTL, PROMETHEUS, PROPOSE

PROPOSE_FROM = 0.5
"""Confidence of the first root cause from which the remedy is proposed without being asked."""


@dataclass(frozen=True, slots=True)
class Call:
    name: str
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    text: str


Step = tuple[Call, ...] | Answer


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what is needed to go on."""

    view: View
    intent: Intent
    language: Language
    tools: frozenset[str]

    def step(self, name: str, args: dict[str, Any]) -> Seen | Call | None:
        """What a call gave; the call, when it has not been made; None when that tool is not there."""
        done = self.view.called(name, args)
        if done is not None:
            return done
        return Call(name, args) if name in self.tools else None


def next_step(view: View, *, language: Language, tools: Collection[str], namespaces: Collection[str] = ()) -> Step:
    """With no tools the answer comes at once, from what has been seen."""
    intent = intent_of(view.question, namespaces=namespaces)
    asked = Asked(view, intent, language, frozenset(tools))
    if view.conclude is not None:
        return _conclude(asked, dict(view.conclude))
    return _ROWS[intent.ask](asked)


def _diagnose(asked: Asked) -> Step:
    diagnosis = asked.view.diagnosis
    if diagnosis is None:
        tried = [seen for seen in asked.view.calls(DIAGNOSE) if seen.status != INTERRUPTED]
        if tried:
            return Answer(answers.failed(tried[-1], asked.language))
        if DIAGNOSE not in asked.tools:
            return Answer(phrase("unknown", asked.language))
        where = {"namespace": asked.intent.namespace} if asked.intent.namespace else {}
        return (Call(DIAGNOSE, {"target": " ".join(asked.intent.words), **where}),)
    further = tuple(
        Call(name, args) for name, args in probes(diagnosis) if name in asked.tools and not asked.view.called(name, args)
    )
    if further and asked.view.proposal is None:
        return further
    proposal = _propose(asked, diagnosis)
    return proposal or Answer(answers.diagnosis(diagnosis, asked.view, asked.language, may_propose=PROPOSE in asked.tools))


def _fix(asked: Asked) -> Step:
    diagnosis = asked.view.diagnosis or (None if asked.intent.words else asked.view.earlier)
    if diagnosis is None:
        if asked.intent.words or asked.intent.namespace:
            return _diagnose(asked)
        return Answer(phrase("no_diagnosis", asked.language))
    if asked.view.proposal is None and remedy(diagnosis) is not None and PROPOSE in asked.tools:
        return (_proposal(diagnosis),)
    return Answer(answers.fix(diagnosis, asked.view, asked.language, may_propose=PROPOSE in asked.tools))


def _propose(asked: Asked, diagnosis: Diagnosis) -> tuple[Call, ...]:
    """The proposal of the best remedy, when it has not been made and the cause is likely enough."""
    if asked.view.proposal is not None or PROPOSE not in asked.tools or remedy(diagnosis) is None:
        return ()
    likely = bool(diagnosis.root_causes) and diagnosis.root_causes[0].confidence >= PROPOSE_FROM
    return (_proposal(diagnosis),) if likely else ()


def remedy(diagnosis: Diagnosis) -> Recommendation | None:
    """The first recommendation, when a remediation can carry it out."""
    first = next(iter(diagnosis.recommendations), None)
    return first if first is not None and first.remediation is not None else None


def _proposal(diagnosis: Diagnosis) -> Call:
    best = remedy(diagnosis)
    action = best.remediation.model_dump(mode="json") if best and best.remediation else {}
    code = diagnosis.root_causes[0].code if diagnosis.root_causes else ""
    return Call(PROPOSE, {"action": action, "why": best.why if best else "", "code": code})


def _logs(asked: Asked) -> Step:
    def read(namespace: str, pod: str) -> str:
        return f"logs {pod} -n {namespace}{' --previous' if asked.intent.previous else ''} --tail=50"

    return _of_a_pod(asked, read)


def _usage(asked: Asked) -> Step:
    if not asked.intent.words:
        return _one(asked, KUBECTL, {"command": f"top pods {_reach(asked)}" if asked.intent.namespace else "top nodes"})
    step = _of_a_pod(asked, lambda namespace, pod: f"top pod {pod} -n {namespace} --containers")
    top = next((seen for seen in asked.view.calls(KUBECTL) if "top pod" in str(seen.args.get("command"))), None)
    if not isinstance(step, Answer) or top is None or top.good:
        return step
    name = str(top.args["command"]).split()[2]
    query = f'sum by (container) (container_memory_working_set_bytes{{pod="{name}",container!=""}})'
    return _one(asked, PROMETHEUS, {"query": query, "minutes": 30})


def _of_a_pod(asked: Asked, line: Callable[[str, str], str]) -> Step:
    """Find the pod that the words mean, then read it with the line that `line` makes of namespace and pod."""
    if not asked.intent.words:
        return Answer(phrase("which", asked.language))
    pods = asked.step(KUBECTL, {"command": f"get pods {_reach(asked)}"})
    if not isinstance(pods, Seen):
        return (pods,) if pods else Answer(phrase("unknown", asked.language))
    if not pods.good:
        return Answer(answers.failed(pods, asked.language))
    found = matching_pods(pods.body, asked.intent.words, asked.intent.namespace)
    if not found:
        return Answer(phrase("no_pod", asked.language, target=asked.intent.target))
    namespace, pod = found[0]
    return _one(asked, KUBECTL, {"command": line(namespace, pod)})


def _changes(asked: Asked) -> Step:
    args: dict[str, Any] = {"minutes": asked.intent.minutes or 60}
    if asked.intent.namespace:
        args["namespace"] = asked.intent.namespace
    return _one(asked, CHANGES, args, only=asked.intent.words)


def _events(asked: Asked) -> Step:
    return _one(asked, KUBECTL, {"command": f"events {_reach(asked)}"}, only=asked.intent.words)


def _list(asked: Asked) -> Step:
    cluster_wide = asked.intent.kind.rstrip("s") in ("node", "namespace", "persistentvolume", "pv", "ns", "no")
    return _one(asked, KUBECTL, {"command": f"get {asked.intent.kind}{'' if cluster_wide else f' {_reach(asked)}'}"})


def _one(asked: Asked, name: str, args: dict[str, Any], *, only: tuple[str, ...] = ()) -> Step:
    """One call, then its result as the answer; `only` keeps the lines that name one of the words."""
    step = asked.step(name, args)
    if isinstance(step, Seen):
        return Answer(answers.shown(step, asked.language, only=only))
    return (step,) if step else Answer(phrase("unknown", asked.language))


def _conclude(asked: Asked, facts: dict[str, str]) -> Step:
    step = asked.step(KUBECTL, {"command": f"get {look(ObjectRef.parse(facts['target']))}"})
    if isinstance(step, Call):
        return (step,)
    return Answer(answers.concluded(facts, step, asked.language))


def _help(asked: Asked) -> Step:
    return Answer(phrase("help", asked.language))


def _unknown(asked: Asked) -> Step:
    if asked.view.diagnosis is not None:
        return _diagnose(asked)
    return Answer(f"{phrase('unknown', asked.language)}\n\n{phrase('help', asked.language)}")


def _reach(asked: Asked) -> str:
    return f"-n {asked.intent.namespace}" if asked.intent.namespace else "-A"


_ROWS: dict[Ask, Callable[[Asked], Step]] = {
    Ask.DIAGNOSE: _diagnose,
    Ask.FIX: _fix,
    Ask.LOGS: _logs,
    Ask.USAGE: _usage,
    Ask.CHANGES: _changes,
    Ask.EVENTS: _events,
    Ask.LIST: _list,
    Ask.HELP: _help,
    Ask.UNKNOWN: _unknown,
}
