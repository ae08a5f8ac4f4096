"""The connection to the control plane: enrol, prove the key on every connect, say hello, and come back after anything.

nats-py closes for good when its authentication expires and on most -ERR, so its own reconnect is off: one supervisor
builds a new client whenever one is gone, and replaces it before the five minutes of its credentials are over. Commands
come by a queue subscription, so that the old and the new client never both get one while they overlap. What must not get
lost is sent by `deliver`, which waits for a connection whose hello was answered and for the server's word.
"""

import asyncio
import contextlib
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import ValidationError

from protocol import subjects
from protocol.bus import EnrolReply, EnrolRequest, Hello, HelloReply
from protocol.proof import enrol_inbox_id
from protocol.text import one_line
from runner.clocks import corrected, elapsed
from runner.identity import Identity
from runner.wire import Wire, connect

log = structlog.get_logger("runner.link")

RENEW_AFTER_S = 240.0
"""Credentials live 5 minutes."""
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_HELLO_TIMEOUT_S = 2.0
_LOOK_S = 0.2
_HELLO_REFUSED_WAIT_S = 15.0
_DENIED_TIMES = 5
"""A token is given up after so many refusals in a row (about 4 s): one alone may be a control plane that is just starting."""
_JITTER = random.SystemRandom()
CONNECTION_ERRORS = (OSError, nats.errors.Error, nats.js.errors.Error, TimeoutError, asyncio.InvalidStateError)

Receive = Callable[[bytes, str], None]


KEY_REFUSED = (
    "the control plane refuses this runner's key: it was revoked, or its cluster is gone, or the clock here is off by more "
    "than a minute; a new token enrols it again"
)


class EnrolmentRefused(Exception):
    """The control plane did not take the token. A new one is needed."""


@dataclass(slots=True)
class _Line:
    client: Client
    closed: asyncio.Event


class Link:
    """`run` keeps the connection up until it is cancelled; the rest may be called at any time."""

    def __init__(
        self,
        *,
        url: str,
        name: str,
        identity: Identity,
        hello: Callable[[], Hello],
        on_command: Receive,
        on_cancel: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        passed: Callable[[], float] = elapsed,
        api_clock: Callable[[], timedelta | None] = lambda: None,
        ca_file: str | None = None,
        renew_after_s: float = RENEW_AFTER_S,
    ) -> None:
        self._url = url
        self._name = name
        self._identity = identity
        self._hello = hello
        self._on_command = on_command
        self._on_cancel = on_cancel
        self._now = now
        self._passed = passed
        self._api_clock = api_clock
        self._tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
        self._renew_after_s = renew_after_s
        self._line: _Line | None = None
        self._greeted = asyncio.Event()
        self._accepting = True
        self._clock: tuple[timedelta, datetime, float] | None = None
        self.refusal = ""
        """Why the control plane did not accept the last hello."""
        self.connects = 0

    @property
    def clock_offset(self) -> timedelta | None:
        """The control plane's clock minus ours, as of the last hello and corrected by jumps of ours since; None before it."""
        if self._clock is None:
            return None
        offset, at, passed_at = self._clock
        jumped = (self._now() - at) - timedelta(seconds=self._passed() - passed_at)
        return offset - jumped

    async def replaced(self) -> bool:
        """Does the control plane refuse this start of the runner now, because another one is active?"""
        reply = await self._ask_hello()
        return reply is not None and not reply.accepted

    @property
    def ready(self) -> bool:
        """Connected, and the control plane has answered hello."""
        return self._greeted.is_set()

    async def wait_ready(self) -> None:
        await self._greeted.wait()

    async def run(self) -> None:
        """Connect, greet, renew, reconnect; for ever."""
        try:
            while True:
                self._line = await self._connect_patiently()
                await self._greet_and_hold()
        finally:
            await self._close()

    async def stop_accepting(self) -> None:
        """No new commands; replies still go out."""
        self._accepting = False

    async def publish(self, subject: str, payload: bytes) -> bool:
        """Send if there is a connection now; False if not. For what is worthless later (heartbeats, progress)."""
        line = self._line
        if line is None or not self._greeted.is_set():
            return False
        try:
            await line.client.publish(subject, payload)
        except CONNECTION_ERRORS as error:
            log.debug("publish_failed", subject=subject, error=str(error))
            return False
        return True

    async def deliver(self, messages: list[tuple[str, bytes]]) -> None:
        """Send all, in order, and return when the server has them; again on the next connection if this one broke.

        The receiver may see a message twice, never not at all while the link comes back.
        """
        while True:
            await self._greeted.wait()
            line = self._line
            if line is None:
                self._greeted.clear()
                continue
            try:
                for subject, payload in messages:
                    await line.client.publish(subject, payload)
                await line.client.flush(timeout=10)
            except CONNECTION_ERRORS as error:
                log.info("delivery_retried", error=repr(error))
                await _either(line.closed, 0.5)
                continue
            return

    async def store(self, subject: str, payload: bytes, message_id: str, timeout_s: float = 5) -> None:
        """Publish to JetStream and wait for its acknowledgement.

        Raises one of CONNECTION_ERRORS; the caller keeps the batch.
        """
        line = self._line
        if line is None:
            raise TimeoutError("no connection to the control plane")
        client: Any = line.client
        stream = client.jetstream(timeout=timeout_s)
        await stream.publish(subject, payload, timeout=timeout_s, headers={"Nats-Msg-Id": message_id})

    async def _greet_and_hold(self) -> None:
        """Hold one connection until it is lost, renewing it in time."""
        greeting = asyncio.create_task(self._greet(), name="hello")
        try:
            while self._line is not None:
                lost = await _lost(self._line, self._renew_after_s * (0.9 + 0.2 * _JITTER.random()))
                if lost:
                    self._greeted.clear()
                    log.warning("disconnected", error=repr(self._line.client.last_error))
                    return
                await self._renew()
        finally:
            greeting.cancel()
            await asyncio.gather(greeting, return_exceptions=True)

    async def _renew(self) -> None:
        """A new connection first, then the old one ends: no moment without a subscription."""
        old = self._line
        try:
            fresh = await self._connect()
        except CONNECTION_ERRORS as error:
            log.warning("renewal_failed", error=repr(error))
            return
        self._line = fresh
        if old is not None:
            await _end(old)

    def _proof_time(self) -> datetime:
        """As the control plane has it, or else the API server: with a proof that is a minute off even reads would end."""
        offset = self.clock_offset
        return corrected(self._now(), self._api_clock() if offset is None else offset)

    async def _connect_patiently(self) -> _Line:
        attempt = 0
        while True:
            try:
                return await self._connect()
            except CONNECTION_ERRORS as error:
                wait = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)] * (0.7 + 0.6 * _JITTER.random())
                attempt += 1
                if "authorization" in str(error).lower():
                    self.refusal = KEY_REFUSED
                log.warning("connect_failed", url=self._url, error=repr(error), again_in_s=round(wait, 2))
                await asyncio.sleep(wait)

    async def _connect(self) -> _Line:
        cluster, runner = self._identity.cluster, self._identity.runner
        line = await open_line(
            self._url,
            self._name,
            lambda: self._identity.auth_token(self._proof_time()),
            subjects.inbox_prefix(runner),
            self._tls,
        )
        client = line.client
        self.connects += 1
        try:
            untyped: Any = client
            await untyped.subscribe(subjects.commands(cluster, runner), queue="runner", cb=self._take_command)
            await untyped.subscribe(subjects.cancel(cluster, runner), queue="runner", cb=self._take_cancel)
            await client.flush(timeout=5)
        except BaseException:
            await _end(line)
            raise
        log.info("connected", url=self._url)
        return line

    async def _take_command(self, message: Msg) -> None:
        if self._accepting:
            self._on_command(message.data, message.reply)

    async def _take_cancel(self, message: Msg) -> None:
        self._on_cancel(message.data.decode("ascii", "replace"))

    async def _greet(self) -> None:
        """Hello until it is answered: the control plane may start after us."""
        attempt = 0
        while True:
            reply = await self._ask_hello()
            if reply is not None and reply.accepted:
                self.refusal = ""
                self._greeted.set()
                log.info(
                    "greeted", speaks=reply.use, clock_offset_s=round((self.clock_offset or timedelta()).total_seconds(), 3)
                )
                return
            wait = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
            attempt += 1
            if reply is not None:
                self.refusal = reply.reason or "no reason given"
                log.error("hello_refused", reason=self.refusal)
                wait = _HELLO_REFUSED_WAIT_S
            await asyncio.sleep(wait)

    async def _ask_hello(self) -> HelloReply | None:
        line = self._line
        if line is None:
            return None
        subject = subjects.hello(self._identity.cluster, self._identity.runner)
        asked = self._now()
        try:
            answer = await line.client.request(subject, self._hello().model_dump_json().encode(), timeout=_HELLO_TIMEOUT_S)
            reply = HelloReply.model_validate_json(answer.data)
        except CONNECTION_ERRORS as error:
            log.debug("hello_unanswered", error=repr(error))
            return None
        except ValidationError as error:
            log.warning("hello_answer_unreadable", error=str(error))
            return None
        took = self._now() - asked
        self._clock = (reply.clock - (asked + took / 2), self._now(), self._passed())
        return reply

    async def _close(self) -> None:
        self._greeted.clear()
        line, self._line = self._line, None
        if line is not None:
            await _end(line)


async def enrol(
    url: str, identity: Identity, token: str, *, name: str, now: Callable[[], datetime], ca_file: str | None = None
) -> EnrolReply:
    """Exchange the single-use token for this runner's place: cluster and runner ids.

    Waits for a control plane that is not there yet. Raises EnrolmentRefused when it says no.
    """
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    request = EnrolRequest(token=token, public_key=identity.public_key).model_dump_json().encode()
    attempt = denied = 0
    while True:
        try:
            inbox = subjects.inbox_prefix(enrol_inbox_id(identity.public_key))
            line = await open_line(url, name, lambda: identity.auth_token(now(), enrol=token), inbox, tls)
            try:
                answer = await line.client.request(subjects.ENROL, request, timeout=5)
            finally:
                await _end(line)
            return _enrolled(answer.data)
        except CONNECTION_ERRORS as error:
            denied = denied + 1 if "authorization" in str(error).lower() else 0
            if denied >= _DENIED_TIMES:
                raise EnrolmentRefused("the token is not valid any more: make a new one and start the runner with it") from None
            wait = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
            attempt += 1
            log.warning("enrolment_waits", url=url, error=repr(error), again_in_s=wait)
            await asyncio.sleep(wait)


def _enrolled(answer: bytes) -> EnrolReply:
    """Raises EnrolmentRefused with the control plane's words when it is no EnrolReply."""
    try:
        return EnrolReply.model_validate_json(answer)
    except ValidationError:
        words = one_line(answer[:1000].decode("utf-8", "replace"))
        raise EnrolmentRefused(f"the control plane did not take the token: {words}") from None


async def open_line(url: str, name: str, token: Callable[[], str], inbox: str, tls: ssl.SSLContext | None) -> _Line:
    """One client without a reconnect of its own. Raises one of CONNECTION_ERRORS."""
    ended = asyncio.Event()

    async def closed() -> None:
        ended.set()

    async def error(problem: Exception) -> None:
        log.warning("bus_error", error=repr(problem))

    options: dict[str, Any] = {
        "name": name,
        "token": token,
        "inbox_prefix": inbox,
        "allow_reconnect": False,
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": 5,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "pending_size": 16 * 1024 * 1024,
        "closed_cb": closed,
        "error_cb": error,
    }
    client = await connect(Wire, url, tls, options)
    ended.clear()  # an attempt before this one may have ended
    return _Line(client, ended)


async def _end(line: _Line) -> None:
    """Unsubscribe, send what is pending, close. A cancellation that comes meanwhile is passed on: nats-py keeps it for itself
    while it drains, and who is cancelled then would go on for ever."""
    with contextlib.suppress(*CONNECTION_ERRORS):
        async with asyncio.timeout(3):
            await line.client.drain()
    with contextlib.suppress(*CONNECTION_ERRORS):
        async with asyncio.timeout(2):
            await line.client.close()
    current = asyncio.current_task()
    if current is not None and current.cancelling():
        raise asyncio.CancelledError


async def _lost(line: _Line, seconds: float) -> bool:
    """True when the connection ended within `seconds`. It is looked at besides, because nats-py does not always call back:
    when a connection breaks with messages still in its buffer, it fails before that, closed and silent."""
    end = asyncio.get_running_loop().time() + seconds
    while (left := end - asyncio.get_running_loop().time()) > 0:
        if await _either(line.closed, min(left, _LOOK_S)) or line.client.is_closed:
            return True
    return False


async def _either(event: asyncio.Event, seconds: float) -> bool:
    """True when the event came within `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
