"""What people read about a command: its title, and why it did not end well. Pure."""

from datetime import datetime

from protocol.commands import (
    CheckPlan,
    Command,
    Diagnose,
    Execute,
    GrantStatus,
    Kubectl,
    ListChanges,
    PreparePlan,
    PromQuery,
    SelfCheck,
)
from protocol.kubectl.render import describe_remediation, render
from protocol.text import one_line

PROPOSE_INSTEAD = (
    "A change is never run as a command. Propose it: POST /api/v1/proposals, or ask in the chat; it runs once it is approved."
)


def title(command: Command) -> str:
    """The kubectl line or the PromQL expression, or a few words for what has neither."""
    match command:
        case Kubectl():
            text = render(command.call)
        case PromQuery():
            text = command.expr
        case Diagnose():
            about = str(command.target) if command.target else " ".join(command.words) or "everything"
            text = f"diagnose {about}" + (f" in {command.namespace}" if command.namespace else "")
        case ListChanges():
            text = f"changes of {command.target or command.namespace or 'the cluster'} in the last {command.since_s} s"
        case PreparePlan():
            text = f"plan: {describe_remediation(command.action)}"
        case Execute():
            undoing = command.grant.grant.purpose == "undo" and command.body.undo is not None
            action = command.body.undo if undoing and command.body.undo else command.body.action
            text = f"{command.grant.grant.purpose}: {describe_remediation(action)}"
        case GrantStatus():
            text = f"what became of {command.authority} ({command.purpose})"
        case CheckPlan():
            text = f"check after: {describe_remediation(command.body.action)}"
        case SelfCheck():
            text = "the runner looks at itself"
    return one_line(text, 500)


def never_connected(cluster: str) -> str:
    return (
        f"No runner has connected for cluster {cluster} yet. Install one: `opsthread cluster add {cluster}` "
        "prints the command for it."
    )


def offline(cluster: str, heard: datetime | None, now: datetime) -> str:
    if heard is None:
        return never_connected(cluster)
    ago = _ago((now - heard).total_seconds())
    return (
        f"Cluster {cluster} is offline: its runner was last heard of {ago} ago. "
        "Look whether the runner's process runs and reaches the control plane, then ask again."
    )


def nobody_answers(cluster: str) -> str:
    return (
        f"The runner of cluster {cluster} is not connected just now. "
        "It comes back by itself if its process runs; ask again in a few seconds."
    )


def bus_down(cluster: str) -> str:
    return (
        f"The command to cluster {cluster} was not sent: the message bus (NATS) is down. "
        "It is started again by itself; ask again in a few seconds, and look into the log of nats-server if that goes on."
    )


def silent(cluster: str, seconds: float, *, writes: bool) -> str:
    if writes:
        return f"The runner of cluster {cluster} did not answer within {seconds:g} s. {_MAY_HAVE_RUN}"
    return (
        f"The runner of cluster {cluster} did not answer within {seconds:g} s. "
        "Look into its log; ask for less or allow more time."
    )


def lost(cluster: str, *, writes: bool) -> str:
    after = _MAY_HAVE_RUN if writes else "Ask again once the cluster is online."
    return (
        f"The runner of cluster {cluster} took the command and was not heard of again: its connection or process ended. {after}"
    )


def restarted(cluster: str, *, writes: bool) -> str:
    after = _MAY_HAVE_RUN if writes else "Ask again."
    return f"The runner of cluster {cluster} was restarted in the middle of the command. {after}"


def too_large(cluster: str) -> str:
    return f"The command to cluster {cluster} is larger than the bus takes (1 MiB). Ask for fewer things at once."


def answer_too_large(cluster: str, most: int) -> str:
    return (
        f"The runner of cluster {cluster} sent more than was asked for (over {most / 1024 / 1024:.0f} MiB); it was given up. "
        "Ask for fewer things at once; a runner that cuts its answers does not do this, so update it."
    )


def unreadable(cluster: str, why: str) -> str:
    return (
        f"The answer of the runner of cluster {cluster} could not be read ({why}). "
        "Is it of another version? Update the older one."
    )


_MAY_HAVE_RUN = "The change may have been made. Don't send it again: ask for the state of its grant, and look at the object."


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, round(seconds))} s"
    if seconds < 7200:
        return f"{round(seconds / 60)} minutes"
    return f"{round(seconds / 3600)} hours"
