"""What replicas share besides their work: leases, counts of a limit, open live streams."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class LeaseRow(Table):
    """Who may do something alone, for a while. The row stays when its holder is gone, so that `fence` never goes back."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    """`executor:<id>` or `job:<name>`."""
    holder: Mapped[str] = mapped_column(String(32))
    """The process, by an id of its own start."""
    fence: Mapped[int] = mapped_column(BigInteger)
    """One more with each taking: who holds an older one has lost it."""
    until: Mapped[datetime]
    home: Mapped[str] = mapped_column(String(32), default="")
    """The data directory of the holder, which one process at a time holds."""
    told: Mapped[str] = mapped_column(String(300), default="")
    """Host and process, for people."""
    kid: Mapped[str] = mapped_column(String(32), default="")
    """The holder's grant key."""
    taken_at: Mapped[datetime]


class RateCountRow(Table):
    """How often something was tried in one window of time."""

    __tablename__ = "rate_counts"
    __table_args__ = (Index("ix_rate_counts_at", "at"),)

    key: Mapped[str] = mapped_column(String(120), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    """The window's beginning."""
    count: Mapped[int]


class OpenStreamRow(Table):
    """A live page. One that was not seen for a while belonged to a process that died."""

    __tablename__ = "open_streams"
    __table_args__ = (Index("ix_open_streams_account", "account"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(String(64))
    holder: Mapped[str] = mapped_column(String(32))
    """The process that serves it, as in a lease."""
    seen_at: Mapped[datetime]
