"""The values that the pieces of a plan pass to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from protocol.remediation import Remediation

Obj = dict[str, Any]


class Unfit(Exception):
    """The action does not fit the object as it is: a container that is not there, a volume that cannot shrink.

    The message is for people and says what to do instead.
    """


@dataclass(frozen=True, slots=True)
class Revision:
    """One earlier pod template of a workload."""

    number: int
    template: Obj


@dataclass(frozen=True, slots=True)
class Situation:
    """What an action meets: the object as it is now (None if there is none), and what only some actions need."""

    obj: Obj | None
    now: datetime
    revisions: tuple[Revision, ...] = ()
    """Oldest first, the current one among them."""
    current_revision: int = 0
    node_pods: tuple[Obj, ...] = ()
    """The pods on the node, for a drain."""

    def existing(self) -> Obj:
        """Raises Unfit when there is no object."""
        if self.obj is None:
            raise Unfit("the object does not exist")
        return self.obj


How = Literal["patch", "create", "delete", "drain"]


@dataclass(frozen=True, slots=True)
class Row:
    """One type of remediation. All functions are pure; those that take a Situation raise Unfit."""

    how: How
    verb: str
    """The API verb that it needs on the target's resource."""
    fields: Callable[[Any, Situation], Any]
    """The fields that it reads or writes, as JSON: their hash is frozen in the plan."""
    after: Callable[[Any, Situation], Obj | None]
    """The object as it will be."""
    undo: Callable[[Any, Situation], Remediation | None]
    effect: Callable[[Any, Situation], str]
    """What will happen, for people."""
    check: str
    """What will be watched afterwards, for people."""
    rolls_out: bool = False
    """The workload's pods are replaced."""
    stays: bool = True
    """What it sets is a state that somebody could take back. A restart leaves none, a deleted pod is replaced, and a drain says
    itself that it was undone."""
    for_git: bool = True
    """That state is something for a repository of manifests."""
    check_timeout_s: int = 300
