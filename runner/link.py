"""The connection to the control plane: prove the key on every connect, say hello, and come back after anything.

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
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from nats.aio.msg import Msg
from pydantic import ValidationError

from protocol import subjects
from protocol.bus import Hello, HelloReply
from runner.clocks import corrected, elapsed
from runner.identity import Identity
from runner.line import CONNECTION_ERRORS, Line, either, end, lost, open_line

log = structlog.get_logger("runner.link")

RENEW_AFTER_S = 240.0
"""Credentials live 5 minutes."""
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_HELLO_TIMEOUT_S = 2.0
_HELLO_REFUSED_WAIT_S = 15.0
_JITTER = random.SystemRandom()

Receive = Callable[[bytes, str], None]


KEY_REFUSED = (
    "the control plane refuses this runner's key: it was revoked, or its cluster is gone, or the clock here is off by more "
    "than a minute; a new token enrols it again"
)


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
        self._line: Line | None = None
        self._greeted = asyncio.Event()
        self._mute = False
        self._other = asyncio.Event()
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
                await either(line.closed, 0.5)
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
                ended = await lost(self._line, self._renew_after_s * (0.9 + 0.2 * _JITTER.random()))
                if ended:
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
            await end(old)

    def _proof_time(self) -> datetime:
        """As the control plane has it, or else the API server: with a proof that is a minute off even reads would end."""
        offset = self.clock_offset
        return corrected(self._now(), self._api_clock() if offset is None else offset)

    async def _connect_patiently(self) -> Line:
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

    async def _connect(self) -> Line:
        runner = self._identity.runner
        inbox = subjects.inbox_prefix(runner)
        line = await open_line(self._url, self._name, lambda: self._identity.auth_token(self._proof_time()), inbox, self._tls)
        client = line.client
        self.connects += 1
        try:
            untyped: Any = client
            await untyped.subscribe(subjects.active(runner), cb=self._told_who_is_active)
            if not self._mute:
                await self._listen(line)
            await client.flush(timeout=5)
        except BaseException:
            await end(line)
            raise
        log.info("connected", url=self._url)
        return line

    async def _listen(self, line: Line) -> None:
        cluster, runner = self._identity.cluster, self._identity.runner
        client: Any = line.client
        for subject, take in ((subjects.commands, self._take_command), (subjects.cancel, self._take_cancel)):
            line.listening.append(await client.subscribe(subject(cluster, runner), queue="runner", cb=take))

    async def _stop_listening(self) -> None:
        """A process that is not the active one would take its share of the commands and could not answer."""
        self._mute = True
        self._greeted.clear()
        if self._line is not None:
            listening, self._line.listening = self._line.listening, []
            with contextlib.suppress(*CONNECTION_ERRORS):
                for subscription in listening:
                    await subscription.unsubscribe()

    async def _told_who_is_active(self, message: Msg) -> None:
        if message.data.decode("ascii", "replace") != self._hello().boot and self._greeted.is_set():
            self._other.set()

    async def _take_command(self, message: Msg) -> None:
        if self._accepting:
            self._on_command(message.data, message.reply)

    async def _take_cancel(self, message: Msg) -> None:
        self._on_cancel(message.data.decode("ascii", "replace"))

    async def _greet(self) -> None:
        """Hello until it is answered: the control plane may start after us. Again when another start of this runner took our
        place, in case that one goes."""
        attempt = 0
        while True:
            reply = await self._ask_hello()
            if reply is not None and reply.accepted:
                await self._hold_place(reply)
                attempt, wait = 0, _HELLO_REFUSED_WAIT_S
            elif reply is not None:
                await self._stop_listening()
                self.refusal = reply.reason or "no reason given"
                log.error("hello_refused", reason=self.refusal)
                wait = _HELLO_REFUSED_WAIT_S
            else:
                wait = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
                attempt += 1
            await asyncio.sleep(wait)

    async def _hold_place(self, reply: HelloReply) -> None:
        """Until another start of this runner is the active one."""
        self._other.clear()
        if self._mute and self._line is not None:
            self._mute = False
            with contextlib.suppress(*CONNECTION_ERRORS):
                await self._listen(self._line)
        self.refusal = ""
        self._greeted.set()
        log.info("greeted", speaks=reply.use, clock_offset_s=round((self.clock_offset or timedelta()).total_seconds(), 3))
        await self._other.wait()
        await self._stop_listening()
        self.refusal = "a later start of this runner is active: two processes share this identity, stop one"
        log.error("replaced", reason=self.refusal)

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
            await end(line)
