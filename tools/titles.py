"""The title of a tool call for people, from its arguments alone: known before the tool runs, the same after a crash. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from protocol.kubectl import describe_remediation
from protocol.remediation import Remediation
from protocol.text import one_line

_ACTION: TypeAdapter[Remediation] = TypeAdapter(Remediation)


def title_of(name: str, args: Mapping[str, Any]) -> str:
    """One line, at most 200 characters. A tool that is not known is shown by its name."""
    value = {key: one_line(str(item), 160) for key, item in args.items() if item not in (None, "", 0, {}, [])}
    match name:
        case "kubectl":
            line = value.get("command", "")
            title = line if line.startswith("kubectl") else f"kubectl {line}"
        case "prometheus":
            title = value.get("query", "prometheus") + _for(value)
        case "diagnose":
            title = f"diagnose {value.get('target', '')}{_in(value)}" if len(value) else "diagnose the cluster"
        case "changes":
            title = f"changes {value.get('target', '')}{_in(value)}{_for(value)}"
        case "past_cases":
            title = f"past cases like {value.get('text', '')}"
        case "propose_remediation":
            title = f"propose {value.get('command') or _action(args.get('action'))}"
        case "report":
            title = "check the evidence of the diagnosis"
        case _:
            title = name
    return one_line(title, 200)


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
