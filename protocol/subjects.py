"""Subject names on the bus. Ids are generated base32; names never appear in a subject."""

from protocol.ids import is_id

PREFIX = "opsthread.v1"
STREAM = "OPSTHREAD_V1"
"""The JetStream stream of what runners watch; discard=new, so that the runner's spool is the back-pressure."""
STREAM_SUBJECTS = tuple(f"{PREFIX}.*.*.{kind}" for kind in ("events", "findings", "changes", "metrics"))
_ANSWERS = "_INBOX.cp"
ENROL = f"{PREFIX}.enrol"
ALL_HELLOS = f"{PREFIX}.*.*.hello"
ALL_HEARTBEATS = f"{PREFIX}.*.*.heartbeat"


def hello(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "hello")


def heartbeat(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "heartbeat")


def events(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "events")


def findings(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "findings")


def changes(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "changes")


def metrics(cluster: str, runner: str) -> str:
    return _of(cluster, runner, "metrics")


def commands(cluster: str, runner: str) -> str:
    """Requests to a runner. It answers on the message's reply subject."""
    return f"{PREFIX}.cmd.{_id(cluster)}.{_id(runner)}"


def cancel(cluster: str, runner: str) -> str:
    """The payload is the id of the command to give up."""
    return f"{PREFIX}.cancel.{_id(cluster)}.{_id(runner)}"


def conversation(conversation_id: str) -> str:
    """Live text and wake-ups of a conversation."""
    return f"{PREFIX}.conv.{_id(conversation_id)}"


def inbox_prefix(runner: str) -> str:
    """Runners have their own inbox, or their permissions would have to open everybody's."""
    return f"_INBOX.{_id(runner)}"


def active(runner: str) -> str:
    """Told to every process with this runner's identity: the payload is the start (boot) that was greeted last. Any other one
    stops taking commands."""
    return f"{inbox_prefix(runner)}.active"


def answers(runner: str, replica: str = "*") -> str:
    """Where one runner answers the commands of a replica of the control plane: it may publish in no other of our inboxes, so
    that whatever it knows it can't answer for another runner. A token of the command follows."""
    return f"{_ANSWERS}.{_id(runner)}.{replica}"


def all_answers(replica: str) -> str:
    """What a replica of the control plane listens to."""
    return f"{_ANSWERS}.*.{_id(replica)}.*"


def is_inbox_of_a_client(reply: str) -> bool:
    """May an answer go there? A reply subject is the asker's word: it must not make us publish where the asker may not."""
    return reply.startswith("_INBOX.") and not reply.startswith(f"{_ANSWERS}.")


def runner_permissions(cluster: str, runner: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(publish, subscribe) patterns of one runner's connection."""
    own = f"{PREFIX}.{_id(cluster)}.{_id(runner)}.>"
    return (
        (own, f"{_ANSWERS}.{_id(runner)}.>"),
        (commands(cluster, runner), cancel(cluster, runner), f"{inbox_prefix(runner)}.>"),
    )


def _of(cluster: str, runner: str, what: str) -> str:
    return f"{PREFIX}.{_id(cluster)}.{_id(runner)}.{what}"


def _id(text: str) -> str:
    if not is_id(text):
        raise ValueError(f"{text!r} is not a generated id and can't be part of a subject")
    return text
