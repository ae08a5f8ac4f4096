"""The auth callout: who may connect to the bus, as what, for how long. NATS asks, we answer with a signed user JWT.

Runners prove their key on each connect and get their own subjects for five minutes. Whoever holds a live enrolment token
may ask for enrolment for a minute. Everybody else is refused, without a word to the peer; the log says why.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any, cast

import structlog
from sqlalchemy import CursorResult, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from control_plane.bus import Bus, Incoming, Link
from control_plane.bus.config import APP_ACCOUNT
from control_plane.bus.jwt import Permissions, answer_claims, sign_jwt, unverified_claims, user_claims
from control_plane.clock import Clock, utc_now
from control_plane.database import Database
from control_plane.enrolment import token_sha256
from control_plane.errors import ServiceError
from control_plane.tables.fleet import EnrolmentTokenRow, RunnerRow
from protocol import subjects
from protocol.bus import ConnectProof
from protocol.proof import ProofRefused, decode_proof, enrol_inbox_id

LOG = structlog.get_logger("fleet")
AUTH_SUBJECT = "$SYS.REQ.USER.AUTH"
RUNNER_S = 300
ENROL_S = 60
_ANSWERS_S = 0.4


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a connection may be and do, and for how many seconds."""

    name: str
    permissions: Permissions
    seconds: int


@dataclass(frozen=True, slots=True)
class _Asked:
    """The part of the server's question that we use."""

    server: str
    user_nkey: str
    address: str
    token: str


class AuthCallout:
    """Answers the server's questions over a connection of its own; does nothing where NATS authorizes by itself."""

    def __init__(self, database: Database, bus: Bus, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._link: Link | None = None

    async def start(self) -> None:
        self._link = self._bus.auth_link()
        if self._link is None:
            LOG.info("runners are authorized by the external NATS itself")
            return
        await self._link.start()
        await self._link.listen(AUTH_SUBJECT, self._answer, queue="auth", at_once=64)

    async def stop(self) -> None:
        if self._link is not None:
            await self._link.stop()
            self._link = None

    async def cut(self, runner: str) -> None:
        """End the runner's connections now, whichever replica let them in and however long ago.

        Where we may not (an external NATS without its system user), they end within five minutes.
        """
        system = self._bus.system_link()
        if system is None:
            return
        await system.start()
        try:
            # A connection that was being made when the key was revoked is there at the second look.
            for _ in range(2):
                for server, connection in await self._connections_of(system, runner):
                    kick = json.dumps({"cid": connection}).encode()
                    # The server does nothing without a reply subject, even when nobody listens to it.
                    await system.publish(f"$SYS.REQ.SERVER.{server}.KICK", kick, reply=self._bus.new_inbox())
                await system.flush()
        finally:
            await system.stop()

    async def _connections_of(self, system: Link, runner: str) -> list[tuple[str, int]]:
        """(server, connection) of everybody whom all NATS servers know by the name that our JWTs give to this runner."""
        found: list[tuple[str, int]] = []

        async def hear(message: Incoming) -> None:
            answer: dict[str, Any] = json.loads(message.data)
            rows: list[dict[str, Any]] = answer.get("data", {}).get("connections") or []
            found.extend((str(answer["server"]["id"]), int(row["cid"])) for row in rows)

        inbox = self._bus.new_inbox()
        listening = await system.listen(inbox, hear)
        asked = {"auth": True, "user": _user_name(runner), "limit": 256}
        await system.publish("$SYS.REQ.SERVER.PING.CONNZ", json.dumps(asked).encode(), reply=inbox)
        # Nobody knows how many servers there are.
        await asyncio.sleep(_ANSWERS_S)
        await listening.close()
        return found

    async def _answer(self, message: Incoming) -> None:
        seed, link = self._bus.issuer_seed, self._link
        if seed is None or link is None:
            return
        asked = _asked(message.data)
        now = int(self._clock().timestamp())
        try:
            admitted = await self._judge(asked.token)
        except ProofRefused as refused:
            LOG.warning("connection refused", address=asked.address, reason=str(refused))
            claims = answer_claims(user_nkey=asked.user_nkey, server_id=asked.server, issued_at=now, error="refused")
        except (SQLAlchemyError, TimeoutError, RuntimeError, ServiceError) as error:
            LOG.error("connection refused because the database does not answer", error=str(error))
            claims = answer_claims(user_nkey=asked.user_nkey, server_id=asked.server, issued_at=now, error="try again")
        else:
            user = user_claims(
                user_nkey=asked.user_nkey,
                name=admitted.name,
                account=APP_ACCOUNT,
                permissions=admitted.permissions,
                issued_at=now,
                expires_at=now + admitted.seconds,
            )
            claims = answer_claims(
                user_nkey=asked.user_nkey, server_id=asked.server, issued_at=now, user_jwt=sign_jwt(user, seed)
            )
        await link.publish(message.reply, sign_jwt(claims, seed).encode())

    async def _judge(self, token: str) -> Admitted:
        """Raises ProofRefused with the reason for the log."""
        if not token:
            raise ProofRefused("it showed no proof")
        proof = decode_proof(token, now=self._clock())
        async with asyncio.timeout(4):
            if proof.enrol is not None:
                return await self._judge_enrolment(proof, proof.enrol)
            return await self._judge_runner(proof)

    async def _judge_runner(self, proof: ConnectProof) -> Admitted:
        """One statement takes the proof: a second use, here or on another replica, is not later than the first."""
        taken = (
            update(RunnerRow)
            .where(
                RunnerRow.id == proof.runner,
                RunnerRow.cluster == proof.cluster,
                RunnerRow.public_key == proof.public_key,
                RunnerRow.revoked_at.is_(None),
                or_(RunnerRow.last_proof_at.is_(None), RunnerRow.last_proof_at < proof.issued_at),
            )
            .values(last_proof_at=proof.issued_at)
        )
        async with self._database.transaction() as session:
            if cast(CursorResult[Any], await session.execute(taken)).rowcount != 1:
                raise ProofRefused(_why_not(await session.get(RunnerRow, proof.runner), proof))
        publish, subscribe = subjects.runner_permissions(proof.cluster, proof.runner)
        return Admitted(_user_name(proof.runner), Permissions(publish, subscribe), RUNNER_S)

    async def _judge_enrolment(self, proof: ConnectProof, token: str) -> Admitted:
        """The token is looked at here and used up by the enrol request; its own runner may come back for a lost answer."""
        async with self._database.read() as session:
            row = await session.get(EnrolmentTokenRow, token_sha256(token))
            key = select(RunnerRow.public_key).where(RunnerRow.id == row.used_by) if row and row.used_by else None
            used_by = (await session.execute(key)).scalar_one_or_none() if key is not None else None
        if row is None or row.expires_at <= self._clock():
            raise ProofRefused("the enrolment token is unknown or too old")
        if row.used_at is not None and used_by != proof.public_key:
            raise ProofRefused(f"the enrolment token for cluster {row.cluster} was used already")
        inbox = subjects.inbox_prefix(enrol_inbox_id(proof.public_key))
        return Admitted("enrolment", Permissions((subjects.ENROL,), (f"{inbox}.>",)), ENROL_S)


def _user_name(runner: str) -> str:
    return f"runner {runner}"


def _why_not(row: RunnerRow | None, proof: ConnectProof) -> str:
    if row is None or row.cluster != proof.cluster:
        return f"there is no runner {proof.runner!r} in cluster {proof.cluster!r}"
    if row.public_key != proof.public_key:
        return f"the key {proof.public_key} is not that of runner {row.id}"
    if row.revoked_at is not None:
        return f"runner {row.id} was revoked by {row.revoked_by}"
    return f"the proof of runner {row.id} was used before, or is older than one that was"


def _asked(data: bytes) -> _Asked:
    """Raises KeyError or ValueError for what is no question of a NATS server."""
    question: dict[str, Any] = unverified_claims(data.decode())["nats"]
    client: dict[str, Any] = question.get("client_info", {})
    return _Asked(
        server=str(question["server_id"]["id"]),
        user_nkey=str(question["user_nkey"]),
        address=str(client.get("host", "")),
        token=str(question.get("connect_opts", {}).get("auth_token", "")),
    )
