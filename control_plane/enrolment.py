"""Enrolment: a single-use token is exchanged for a runner's place, bound to the key that it showed."""

import hashlib
from datetime import datetime
from typing import Any, cast

import structlog
from pydantic import ValidationError
from sqlalchemy import CursorResult, select, update

from control_plane.bus import Bus, Incoming, Subscription
from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.tables.fleet import EnrolmentTokenRow, RunnerRow
from protocol import subjects
from protocol.bus import EnrolReply, EnrolRequest
from protocol.ids import new_id
from protocol.proof import nkey_verify_key

LOG = structlog.get_logger("fleet")


class EnrolmentRefused(Exception):
    """The message is for the person who reads the runner's log."""


class Enrolment:
    """Answers enrol requests. The same key may ask again with its own token, because an answer can get lost."""

    def __init__(self, database: Database, bus: Bus, *, grant_keys: dict[str, str], clock: Clock = utc_now) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._grant_keys = grant_keys
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._bus.serve(subjects.ENROL, self._answer, queue="fleet", at_once=8)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.close()
            self._subscription = None

    async def _answer(self, message: Incoming) -> None:
        try:
            request = EnrolRequest.model_validate_json(message.data)
            nkey_verify_key(request.public_key)
            cluster, runner = await self._admit(request)
        except (ValidationError, ValueError):
            answer = b"the request cannot be read: the runner's version is too far from the control plane's"
        except EnrolmentRefused as refused:
            LOG.warning("enrolment refused", reason=str(refused))
            answer = str(refused).encode()
        else:
            LOG.info("runner enrolled", cluster=cluster, runner=runner)
            reply = EnrolReply(cluster=cluster, runner=runner, nats_url=self._bus.url, grant_keys=self._grant_keys)
            answer = reply.model_dump_json().encode()
        if subjects.is_inbox_of_a_client(message.reply):
            await self._bus.send(message.reply, answer)

    async def _admit(self, request: EnrolRequest) -> tuple[str, str]:
        """(cluster, runner). Raises EnrolmentRefused."""
        now = self._clock()
        async with self._database.transaction() as session:
            token = await session.get(EnrolmentTokenRow, token_sha256(request.token))
            if token is None:
                raise EnrolmentRefused("the enrolment token is not known here: make a new one for the cluster")
            known = (
                await session.execute(select(RunnerRow).where(RunnerRow.public_key == request.public_key))
            ).scalar_one_or_none()
            if known is not None and (known.revoked_at is not None or known.cluster != token.cluster):
                raise EnrolmentRefused(
                    "this runner's key was revoked or belongs to another cluster: remove its identity file and start it again"
                )
            runner = known.id if known is not None else new_id()
            if token.used_by == runner:
                return token.cluster, runner
            await _use_up(session, token.token_sha256, runner, now)
            if known is None:
                row = RunnerRow(id=runner, cluster=token.cluster, public_key=request.public_key, created_at=now, mode="{}")
                row.tenant_id = token.tenant_id
                session.add(row)
            return token.cluster, runner


async def _use_up(session: Session, digest: str, runner: str, now: datetime) -> None:
    """Compare-and-set: exactly one of two racing requests gets the token."""
    used = await session.execute(
        update(EnrolmentTokenRow)
        .where(
            EnrolmentTokenRow.token_sha256 == digest, EnrolmentTokenRow.used_at.is_(None), EnrolmentTokenRow.expires_at > now
        )
        .values(used_at=now, used_by=runner)
    )
    if cast(CursorResult[Any], used).rowcount != 1:
        raise EnrolmentRefused("the enrolment token was used already or is too old: make a new one for the cluster")


def token_sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
