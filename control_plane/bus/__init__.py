"""The bus: the embedded nats-server child or an external NATS, our supervised client, live text and wake-ups."""

from control_plane.bus.core import Bus
from control_plane.bus.feed import WAKE, Feed
from control_plane.bus.link import Incoming, Link, Subscription

__all__ = ["WAKE", "Bus", "Feed", "Incoming", "Link", "Subscription"]
