"""A process that dies at a chosen moment: right before or right after a call that leaves the process.

fuse = Fuse(left=3)
await ActionStep(plane=fused(house.plane, fuse)).run(approval)   # raises Killed at the fourth moment
"""

import inspect
from dataclasses import dataclass, field, replace
from typing import Any

from control_plane.services import ControlPlane


class Killed(BaseException):
    """As SIGKILL: nothing of the process's own code runs after it."""


@dataclass
class Fuse:
    """Lets so many moments pass, and kills at the next: right before or right after a call that leaves the process."""

    left: int
    burnt: str = ""
    dead: bool = False
    seen: list[str] = field(default_factory=list[str])

    def moment(self, name: str) -> None:
        if self.dead:
            raise Killed
        self.seen.append(name)
        if self.left == 0:
            self.dead, self.burnt = True, name
            raise Killed
        self.left -= 1


class Fused:
    """A service whose every call is two moments."""

    def __init__(self, service: Any, fuse: Fuse, name: str) -> None:
        self._service, self._fuse, self._name = service, fuse, name

    def __getattr__(self, called: str) -> Any:
        real = getattr(self._service, called)
        if not inspect.iscoroutinefunction(real):
            return real

        async def call(*args: Any, **more: Any) -> Any:
            self._fuse.moment(f"before {self._name}.{called}")
            result = await real(*args, **more)
            self._fuse.moment(f"after {self._name}.{called}")
            return result

        return call


def fused(plane: ControlPlane, fuse: Fuse) -> ControlPlane:
    parts: dict[str, Any] = {name: Fused(getattr(plane, name), fuse, name) for name in ("approvals", "commands")}
    return replace(plane, **parts)
