"""Advice about addresses that lead nowhere."""

from knowledge.remedies.advice import by_hand, text
from protocol.diagnosis import Recommendation, RootCause
from protocol.remediation import (
    Risk,
)


def why_value(cause: RootCause, value: str) -> str:
    if text(cause, "previous"):
        by = f", before {text(cause, 'by')} changed it" if text(cause, "by") else ""
        return f"{text(cause, 'key')} was {value}{by}; {text(cause, 'current')} names a Service that does not exist."
    return (
        f"The Service that exists is called {text(cause, 'near').rpartition('/')[2]}; check that it is the one that is meant."
    )


def renamed(cause: RootCause) -> str:
    """The current value with the missing Service's name replaced by the near one of the same namespace; "" if unclear."""
    missing, near = text(cause, "missing_service").split("/"), text(cause, "near").split("/")
    current = text(cause, "current")
    if len(missing) != 3 or len(near) != 3 or missing[1] != near[1] or current.count(missing[2]) != 1:
        return ""
    return current.replace(missing[2], near[2])


def missing_service(cause: RootCause) -> Recommendation:
    if text(cause, "ports"):
        return by_hand(
            f"Set the port in {text(cause, 'key')} of {cause.object.kind} {cause.object.name} to one of {text(cause, 'ports')}",
            why=f"{text(cause, 'missing_service').rpartition('/')[2]} does not serve the port in {text(cause, 'current')}.",
            effect="Connections reach the Service.",
            risk=Risk.MEDIUM,
        )
    parts = (text(cause, "missing_service") or str(cause.object)).split("/")
    namespace, name = (parts[1], parts[2]) if len(parts) == 3 else ("", "")
    return by_hand(
        (
            f"If {name} is the right name, create the Service: kubectl -n "
            f"{namespace} expose deployment <name> --name={name} --port=<port>"
        ),
        why=f"There is no Service {name} in namespace {namespace}.",
        effect="The address resolves.",
        risk=Risk.MEDIUM,
    )
