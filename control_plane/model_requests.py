"""The requests that a turn sent to models, byte for byte, for admins of all that the conversation shows. Reading is audited."""

import hashlib
import zlib
from datetime import datetime, timedelta

from sqlalchemy import Update, delete, func, select, update
from sqlalchemy.orm import defer

from control_plane.audit import Entry, record
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.errors import Forbidden, NotFound
from control_plane.principals import Principal
from control_plane.readers import may_read
from control_plane.settings import Settings
from control_plane.tables.conversations import ConversationRow
from control_plane.tables.models import ModelCallRow
from control_plane.turns import find
from protocol.approval import Role
from protocol.base import Value
from protocol.commands import ScopeLimit
from protocol.ids import is_id
from protocol.text import one_line

LARGEST = 4 * 1024 * 1024
"""A request above this is hashed and measured, not kept."""
FACTS_KEPT = timedelta(days=400)
"""How long a call is known at all: tokens, money, digest."""
_BATCH = 200


class ModelRequest(Value):
    """One request, without its bytes."""

    id: str
    turn: str
    at: datetime
    model: str
    endpoint: str
    outcome: str
    """How it ended, in words; empty while it runs."""
    state: str
    input_tokens: int
    output_tokens: int
    money: float
    estimated: bool
    sha256: str
    size: int
    kept: bool


def packed(body: bytes) -> bytes | None:
    """What is kept of a request; None when it is too large."""
    return zlib.compress(body, 6) if len(body) <= LARGEST else None


class ModelRequests:
    def __init__(self, database: Database, settings: Settings, *, clock: Clock = utc_now) -> None:
        self._db = database
        self._settings = settings
        self._clock = clock

    @property
    def on(self) -> bool:
        return self._settings.model_requests_days > 0

    async def list(self, turn: str, principal: Principal, *, door: str) -> tuple[ModelRequest, ...]:
        """In the order in which they were sent. Raises NotFound, Forbidden."""
        async with self._db.transaction() as session:
            conversation = await _administered(session, turn, principal)
            query = (
                select(ModelCallRow)
                .where(ModelCallRow.turn == turn)
                .order_by(ModelCallRow.at, ModelCallRow.id)
                .options(defer(ModelCallRow.body))
            )
            found = tuple(_request(row, self._oldest()) for row in await session.scalars(query))
            self._audit(session, principal, conversation, door, f"turn:{turn}", {"requests": str(len(found))})
        return found

    async def body(self, turn: str, request: str, principal: Principal, *, door: str) -> bytes:
        """The bytes as they were sent, whose digest is checked. Raises NotFound, Forbidden."""
        async with self._db.transaction() as session:
            conversation = await _administered(session, turn, principal)
            row = await session.get(ModelCallRow, request) if is_id(request) else None
            if row is None or row.turn != turn:
                raise NotFound(f"there is no model request {one_line(request, 40)!r} in this turn")
            if row.body is None or row.at < self._oldest():
                raise NotFound("the bytes of this request are not kept any more, or never were; its digest and size are")
            body = zlib.decompress(row.body)
            if hashlib.sha256(body).hexdigest() != row.sha256:
                raise NotFound("the bytes of this request were altered in the database, so they are not shown")
            self._audit(session, principal, conversation, door, f"model_request:{row.id}", {"turn": turn, "sha256": row.sha256})
        return body

    async def tidy(self) -> None:
        """Let go of bytes that are too old, and of the oldest while there are too many; of whole rows after 400 days."""
        async with self._db.transaction() as session:
            await session.execute(_forget().where(ModelCallRow.kept > 0, ModelCallRow.at < self._oldest()))
            await session.execute(
                delete(ModelCallRow).where(ModelCallRow.at < self._clock() - FACTS_KEPT, ModelCallRow.state != "reserved")
            )
        while await self._one_batch_less():
            pass

    async def _one_batch_less(self) -> bool:
        async with self._db.transaction() as session:
            total = await session.scalar(select(func.sum(ModelCallRow.kept)).where(ModelCallRow.kept > 0)) or 0
            over = int(total) - self._settings.model_requests_mb * 1_000_000
            if over <= 0:
                return False
            query = select(ModelCallRow.id, ModelCallRow.kept).where(ModelCallRow.kept > 0).order_by(ModelCallRow.at)
            oldest: list[str] = []
            for call, kept in (await session.execute(query.limit(_BATCH))).all():
                if over <= 0:
                    break
                oldest.append(call)
                over -= kept
            await session.execute(_forget().where(ModelCallRow.id.in_(oldest)))
            return bool(oldest)

    def _oldest(self) -> datetime:
        """Bytes from before that are shown to nobody, whether they have been let go of or not."""
        return self._clock() - timedelta(days=self._settings.model_requests_days)

    def _audit(
        self,
        session: Session,
        principal: Principal,
        conversation: ConversationRow,
        door: str,
        subject: str,
        detail: dict[str, str],
    ) -> None:
        record(
            session,
            Entry(
                actor=principal.account,
                actor_name=principal.name,
                door=door,
                action="model_requests.read",
                subject=subject,
                at=self._clock(),
                cluster=conversation.cluster,
                detail={"conversation": conversation.id, **detail},
                tenant=principal.tenant,
            ),
        )


async def _administered(session: Session, turn: str, principal: Principal) -> ConversationRow:
    """The conversation of a turn, all of whose scope the principal administers."""
    row = await session.get(ConversationRow, (await find(session, turn)).conversation)
    if row is None or not may_read(row, principal):
        raise NotFound(f"there is no turn {one_line(turn, 40)!r}")
    scope = ScopeLimit.model_validate_json(row.scope)
    for namespace in (None,) if scope.namespaces is None else scope.namespaces:
        if principal.role_in(row.cluster, namespace) is not Role.ADMIN:
            raise Forbidden("what was sent to the model is for admins of all that this conversation shows; ask one of them")
    return row


def forget_of(conversation: str) -> Update:
    """The bytes of a conversation go with its words."""
    return _forget().where(ModelCallRow.conversation == conversation, ModelCallRow.kept > 0)


def _forget() -> Update:
    return update(ModelCallRow).values(body=None, kept=0).execution_options(synchronize_session=False)


def _request(row: ModelCallRow, oldest: datetime) -> ModelRequest:
    return ModelRequest(
        id=row.id,
        turn=row.turn,
        at=row.at,
        model=row.model,
        endpoint=row.endpoint,
        outcome=row.outcome,
        state=row.state,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        money=row.micros / 1_000_000,
        estimated=row.estimated,
        sha256=row.sha256,
        size=row.size,
        kept=row.kept > 0 and row.at >= oldest,
    )
