"""The title of a tool call for people, from its arguments alone: known before the tool runs, the same after a crash. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from protocol.kubectl import describe_remediation
from protocol.remediation import Remediation
from protocol.text import one_line
from tools.names import CHANGES, DIAGNOSE, KUBECTL, PAST_CASES, PROMETHEUS, PROPOSE, REPORT

_ACTION: TypeAdapter[Remediation] = TypeAdapter(Remediation)


def title_of(name: str, args: Mapping[str, Any]) -> str:
    """One line, at most 200 characters. A tool without a row is shown by its name."""
    value = {key: one_line(str(item), 160) for key, item in args.items() if item not in (None, "", 0, {}, [])}
    row = _TITLES.get(name)
    return one_line(row(value, args) if row else name, 200)


def _action(action: object) -> str:
    """In kubectl's words where it is a known one."""
    try:
        return describe_remediation(_ACTION.validate_python(action))
    except ValidationError:
        return one_line(str(action), 160)


def _in(value: Mapping[str, str]) -> str:
    return f" in {value['namespace']}" if "namespace" in value else ""


def _for(value: Mapping[str, str]) -> str:
    return f" for {value['minutes']} min" if "minutes" in value else ""


def _kubectl(value: Mapping[str, str], _: Mapping[str, Any]) -> str:
    line = value.get("command", "")
    return line if line.startswith("kubectl") else f"kubectl {line}"


_TITLES: dict[str, Callable[[Mapping[str, str], Mapping[str, Any]], str]] = {
    DIAGNOSE: lambda value, _: f"diagnose {value.get('target', '')}{_in(value)}" if value else "diagnose the cluster",
    KUBECTL: _kubectl,
    PROMETHEUS: lambda value, _: value.get("query", "prometheus") + _for(value),
    CHANGES: lambda value, _: f"changes {value.get('target', '')}{_in(value)}{_for(value)}",
    PAST_CASES: lambda value, _: f"past cases like {value.get('text', '')}",
    PROPOSE: lambda value, args: f"propose {value.get('command') or _action(args.get('action'))}",
    REPORT: lambda _value, _: "check the evidence of the diagnosis",
}
"""From the arguments as one-line texts without the empty ones, and as they came."""
