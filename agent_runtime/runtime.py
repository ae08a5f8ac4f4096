"""AgentRuntime: turns and actions over a control plane. The surfaces ask through Conversations; this picks the work up."""

from control_plane.services import ControlPlane


class AgentRuntime:
    def __init__(self, plane: ControlPlane) -> None: ...

    async def start(self) -> None:
        """Register turn_v1 and action_v1, launch the durable executor, start the sweep (5 s) and the wake-up listener.
        The agent stack (LangChain) loads behind it, in a thread: serving starts before it is there."""

    async def stop(self) -> None: ...

    @property
    def model_name(self) -> str:
        """The configured model, or "offline"."""
        ...
