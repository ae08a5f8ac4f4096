"""Who was shown exactly which plan: one audit row an approval, account and plan, however often it is read.

"Shown" means that the server handed the card with this plan's hash to this account: as an answer that it was about to send,
or, on a stream, as an event that the connection had taken. It does not mean that somebody read it. The row of
`approval_showings` is the truth, and commits with the audit's; what this process knows of it only spares the look.
"""

from collections.abc import Iterable
from typing import Literal

import structlog
from sqlalchemy import select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from control_plane.approval_records import Approval
from control_plane.audit import Entry, record
from control_plane.clock import Clock
from control_plane.database import Database, Session
from control_plane.errors import ServiceError
from control_plane.principals import Principal
from control_plane.tables.approvals import ShowingRow
from protocol.text import one_line

log = structlog.get_logger(__name__)

CardDoor = Literal["web", "slack", "rest", "cli"]
REMEMBERED = 10_000
"""Showings that a process keeps in mind; of older ones it asks the table."""
BITE = 50
"""Showings noted at once: nobody else adds to the audit meanwhile."""

_Key = tuple[str, str, str]
"""Approval, account, plan hash."""


class Showings:
    def __init__(self, database: Database, *, clock: Clock, remembers: int = REMEMBERED) -> None:
        self._db = database
        self._clock = clock
        self._remembers = remembers
        self._known: dict[_Key, None] = {}

    @property
    def known(self) -> int:
        """How many showings this process remembers now."""
        return len(self._known)

    async def note(self, cards: Iterable[Approval], principal: Principal, *, door: CardDoor, source: str) -> None:
        """See `Approvals.shown`."""
        cards_of = {_key(card, principal): card for card in cards if principal.sees(card.cluster, card.namespace or None)}
        unknown = sorted(key for key in cards_of if key not in self._known)
        if not unknown:
            return
        try:
            noted = await self._noted(unknown)
            fresh = [key for key in unknown if key not in noted]
            for bite in (fresh[start : start + BITE] for start in range(0, len(fresh), BITE)):
                async with self._db.transaction() as session:
                    for key in await self._taken(session, bite, principal.tenant):
                        record(session, self._entry(cards_of[key], principal, door, source))
        except (ServiceError, SQLAlchemyError) as error:
            # Where nothing can be written nothing can be decided either; who looks at what is still there may.
            why = str(error)[:300]
            log.warning("who was shown a plan could not be noted; the next look is", why=why, account=principal.account)
            return
        self._remember(unknown)

    async def _noted(self, keys: list[_Key]) -> set[_Key]:
        columns = ShowingRow.approval, ShowingRow.account, ShowingRow.plan_hash
        async with self._db.read() as session:
            rows = await session.execute(select(*columns).where(tuple_(*columns).in_(keys)))
            return {(approval, account, plan_hash) for approval, account, plan_hash in rows}

    async def _taken(self, session: Session, keys: list[_Key], tenant: str) -> list[_Key]:
        """Those that are ours to tell of: another replica may have been faster. In order, so that two don't wait for each
        other."""
        insert = postgresql.insert if self._db.dialect == "postgresql" else sqlite.insert
        now = self._clock()
        values = [
            {"tenant_id": tenant, "approval": approval, "account": account, "plan_hash": plan_hash, "at": now}
            for approval, account, plan_hash in keys
        ]
        taking = insert(ShowingRow).values(values).on_conflict_do_nothing()
        rows = await session.execute(taking.returning(ShowingRow.approval, ShowingRow.account, ShowingRow.plan_hash))
        return sorted((approval, account, plan_hash) for approval, account, plan_hash in rows)

    def _entry(self, card: Approval, principal: Principal, door: CardDoor, source: str) -> Entry:
        detail = {"plan_hash": card.plan.plan_hash, "state": card.state.value, "source": one_line(source, 100)}
        return Entry(
            actor=principal.account,
            actor_name=principal.name,
            door=door,
            action="approval.shown",
            subject=f"approval:{card.id}",
            at=self._clock(),
            cluster=card.cluster,
            namespace=card.namespace,
            detail=detail,
            tenant=principal.tenant,
        )

    def _remember(self, keys: list[_Key]) -> None:
        self._known.update(dict.fromkeys(keys))
        for key in list(self._known)[: max(0, len(self._known) - self._remembers)]:
            del self._known[key]


def _key(card: Approval, principal: Principal) -> _Key:
    return card.id, principal.account, card.plan.plan_hash
