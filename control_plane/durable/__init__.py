"""The only place that imports DBOS: durable turns and actions, their recovery, JSON arguments only.

`Durable` is the whole surface: register functions by versioned name before launch, start them by id, wait for them.
A started id runs once: starting it again attaches to what is there.
"""

from collections.abc import Awaitable, Callable

Step = Callable[[str], Awaitable[None]]
"""A durable function takes one id and reads everything else from the tables; it is at-least-once and must be idempotent."""


class Durable:
    def register(self, name: str, step: Step) -> None:
        """Before launch. `name` carries its version: `turn_v1`, `action_v1`. The function is ONE step: after a crash it is
        called again with the same id."""

    async def launch(self) -> None:
        """Start the executor; workflows of this executor id that a crash interrupted are recovered."""

    async def start(self, name: str, workflow_id: str, argument: str) -> None:
        """Idempotent by workflow_id."""

    async def active(self, workflow_id: str) -> bool:
        """Is it known and not ended?"""
        ...

    async def close(self, timeout_s: float = 10) -> None: ...
