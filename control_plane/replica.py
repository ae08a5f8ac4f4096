"""This process among the replicas: it holds the lease of its executor id, and takes up the durable work of those that died.

A lease is renewed three times while it lasts. When that fails for too long, this replica stops what it runs before anybody
else can take the lease; once it has the lease again it takes up what is still its own. What a late writer might still write is
refused where it matters: the log of a turn by the claim's fence, the state of an action by `guard`.
"""

import asyncio
import contextlib
import os
import platform

import structlog
from sqlalchemy.exc import SQLAlchemyError

from control_plane.clock import Clock, utc_now
from control_plane.database import Database, Session
from control_plane.durable import Durable
from control_plane.errors import Conflict, ServiceError, Unavailable
from control_plane.executors import executor_id, home_id
from control_plane.leases import Claimant, Held, Lease, Leases, still_held
from control_plane.settings import Settings
from protocol.ids import new_id

log = structlog.get_logger("replica")

EXECUTOR = "executor:"
_FAILURES = (SQLAlchemyError, OSError, TimeoutError, ServiceError)
_LOOK_S = 0.2


class LeaseLost(Unavailable):
    """Another replica has taken over; this one must not write."""

    code = "lease_lost"


class Replica:
    """`start` after the database, `stop` after the durable executor has closed."""

    def __init__(
        self, database: Database, durable: Durable, settings: Settings, *, kid: str = "", clock: Clock = utc_now
    ) -> None:
        self._db = database
        self._durable = durable
        self._settings = settings
        self._ttl = settings.lease_seconds
        self._kid = kid
        self.leases = Leases(database, clock=clock)
        self.holder = new_id()
        """This start of the process."""
        self._lease: Lease | None = None
        self._certain = False
        self._lapse: asyncio.TimerHandle | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._swept = False

    @property
    def id(self) -> str:
        return executor_id(self._settings)

    @property
    def held(self) -> bool:
        """Is it certain that nobody else has our lease?"""
        return self._certain

    async def start(self) -> None:
        """Take the lease; waits for one whose holder died until it ends. Raises Conflict when a live replica has the same
        executor id, or signs grants with another key."""
        home = home_id(self._settings.data_dir)
        told = f"process {os.getpid()} on {platform.node()}, data directory {self._settings.data_dir.absolute()}"
        self._me = Claimant(self.holder, home, told, self._kid)
        self._stopping.clear()
        began = asyncio.get_running_loop().time()
        self._holds(await self._first(), began)
        others = await self._others()
        stranger = next((other for other in others if other.kid and self._kid and other.kid != self._kid), None)
        if stranger is not None:
            await self.stop()
            raise Conflict(
                f"replica {stranger.name.removeprefix(EXECUTOR)} ({stranger.told}) signs grants with another key: give all "
                "replicas the same file by OPSTHREAD_GRANT_KEY_FILE, or runners refuse what one of them sends"
            )
        self._keeper = asyncio.create_task(self._keep(), name="lease of this replica")
        if others:
            log.info("replica", executor=self.id, others=[other.name.removeprefix(EXECUTOR) for other in others])

    async def stop(self) -> None:
        self._stopping.set()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        self._disarm()
        self._certain = False
        lease, self._lease = self._lease, None
        if lease is not None:
            with contextlib.suppress(*_FAILURES):
                await asyncio.wait_for(self.leases.release(lease), self._ttl)

    async def guard(self, session: Session) -> None:
        """In a transaction that only the holder may commit. Raises LeaseLost."""
        if not self.held or self._lease is None or not await still_held(session, self._lease):
            raise LeaseLost("another replica has taken over from this one; it goes on with what was begun here")

    async def job(self, name: str, ttl_s: float) -> Lease | None:
        """The lease of a job that one replica at a time does, taken for so long; None when another has it. What this replica
        held before it was killed is its own at once: nobody else can have had its data directory."""
        return await self.leases.take(f"job:{name}", self._me, ttl_s)

    async def _first(self) -> Lease:
        name = f"{EXECUTOR}{self.id}"
        seen: Held | None = None
        loop = asyncio.get_running_loop()
        patience = loop.time() + 2 * self._ttl
        while True:
            lease = await self.leases.take(name, self._me, self._ttl)
            if lease is not None:
                return lease
            now = next((held for held in await self.leases.look(name) if held.name == name), None)
            renewed = now is not None and seen is not None and now.until > seen.until
            if now is not None and (renewed or loop.time() > patience):
                raise Conflict(
                    f"executor id {self.id} is in use by {now.told}: each replica needs a name of its own; "
                    "set OPSTHREAD_EXECUTOR_ID, or stop the other one"
                )
            if seen is None and now is not None:
                log.info("waiting for a lease to end", executor=self.id, holder=now.told, until=str(now.until))
            seen = seen or now
            await asyncio.sleep(min(_LOOK_S, self._ttl / 10))

    async def _others(self) -> tuple[Held, ...]:
        found = await self.leases.look(EXECUTOR)
        return tuple(held for held in found if held.live and held.holder != self.holder)

    def _holds(self, lease: Lease, since: float) -> None:
        self._lease, self._certain = lease, True
        self._disarm()
        if self._db.dialect != "sqlite":  # there the file lock says it: nobody else opens these tables, however slow they are
            self._lapse = asyncio.get_running_loop().call_at(since + self._ttl, self._lapsed)

    def _disarm(self) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None

    def _lapsed(self) -> None:
        """From now on another may take the lease: what runs here ends first."""
        self._certain = False
        log.error("the lease was not renewed in time: durable work of this replica stops until it is", executor=self.id)
        self._durable.hold()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3)
            try:
                await self._renew()
                if self.held:
                    await self._take_over()
            except _FAILURES as error:
                log.warning("the lease could not be renewed; it is tried again", executor=self.id, why=str(error)[:300])

    async def _renew(self) -> None:
        since, was_held = asyncio.get_running_loop().time(), self.held
        async with asyncio.timeout(self._ttl / 3):
            if self._lease is not None and await self.leases.renew(self._lease, self._ttl):
                self._holds(self._lease, since)
            else:
                self._lost()
                was_held = False
                lease = await self.leases.take(f"{EXECUTOR}{self.id}", self._me, self._ttl)
                if lease is None:
                    raise LeaseLost(f"another process has the executor id {self.id}; stop one of the two")
                self._holds(lease, since)
        if not was_held:
            await self._durable.go_on()
            if self._durable.launched:
                await self._durable.recover(self.id)
            log.info("the lease is held again", executor=self.id, fence=self._lease.fence if self._lease else 0)

    def _lost(self) -> None:
        """Taken by another: at once, whatever the timer says."""
        self._lease = None
        self._disarm()
        if self._certain:
            self._lapsed()

    async def _take_over(self) -> None:
        """Work that is filed under an executor whose lease has ended is queued again, by one of us, for all of us."""
        if not self._durable.launched or (self._swept and self._db.dialect == "sqlite"):
            return
        self._swept = True
        at_work = await self._durable.executors_at_work()
        live = {held.name for held in await self.leases.look(EXECUTOR) if held.live}
        for executor in sorted(at_work - {self.id}):
            if f"{EXECUTOR}{executor}" in live:
                continue
            lease = await self.leases.take(f"{EXECUTOR}{executor}", self._as_another(), self._ttl)
            if lease is None:
                continue
            try:
                count = await self._durable.recover(executor)
                log.warning("took over from a replica that ended", executor=executor, by=self.id, workflows=count)
            finally:
                await self.leases.release(lease)

    def _as_another(self) -> Claimant:
        """For leases that are not our own name's: the data directory says nothing about their holders."""
        return Claimant(self.holder, "", self._me.told, self._kid)
