"""Builds the control plane from settings, starts and stops its parts in order."""

from contextlib import AbstractAsyncContextManager

from control_plane.services import ControlPlane
from control_plane.settings import Settings


def control_plane(settings: Settings) -> AbstractAsyncContextManager[ControlPlane]:
    """Hold the data directory by a file lock (a second opener gets Conflict with clear words), start database, bus and
    services; durable functions are registered by agent_runtime before `durable.launch()`. Stops everything on exit."""
    ...
