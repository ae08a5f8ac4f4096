"""Keeps what is learnt in order: plants the seeds, copies changed cases into the index, looks at soaks that are due.

The rows are the truth, and each process sees to the index that it searches, its own or one that all share. What a crash left
undone is found by comparing: what the index lacks is copied, what it holds of a case that was forgotten goes, what an older
version stored without a row gets one, and what nobody has written here goes.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import structlog

from agent_runtime.actions.soak import SoakStep
from control_plane.cases import Debt, Key
from control_plane.errors import ServiceError
from control_plane.services import ControlPlane
from knowledge.cases import SEEDS_VERSION, Case, CaseStore, CasesUnavailable, seeds

log = structlog.get_logger(__name__)

EVERY_S = 10.0
COMPARE_EVERY_S = 3600.0
OVERLAP = timedelta(minutes=5)
"""Clocks of replicas differ, and a transaction's time is older than its commit."""
_BATCH = 200
_TENANT = "default"


class CaseKeeper:
    """One a process; `run` until cancelled. `store` gives None while the case store has not loaded."""

    def __init__(self, plane: ControlPlane, store: Callable[[], CaseStore | None]) -> None:
        self._plane = plane
        self._store = store
        self._soaks = SoakStep(plane)
        self._news = asyncio.Event()
        self._compare_at = 0.0
        self._known: dict[Key, int] = {}
        """What the index of this process holds, by version."""
        self._since: datetime | None = None

    def nudge(self) -> None:
        """A case was imported or forgotten here: look now."""
        self._news.set()

    async def run(self) -> None:
        while True:
            await self.once()
            self._news.clear()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        """One round. What fails is tried again in the next."""
        for step in (self._plant, self._compare, self._follow, self._soaks.run_due):
            try:
                await step()
            except CasesUnavailable as error:
                log.warning("the index of the cases is behind; it is tried again", why=str(error))
            except ServiceError as error:
                log.warning("what is learnt could not be kept in order; it is tried again", why=error.message)
            except Exception:
                log.exception("a step of keeping cases failed; it is tried again")

    async def _plant(self) -> None:
        version = SEEDS_VERSION if self._plane.settings.seed_cases else 0
        changed = await self._plane.cases.plant(seeds(), version)
        if changed:
            log.info("seeded cases", changed=changed, version=version)

    async def _compare(self) -> None:
        store = self._store()
        if store is None or time.monotonic() < self._compare_at:
            return
        held = await _all(store)
        seen = await self._plane.cases.compare(held, tenant=_TENANT)
        for stranger in seen.strangers:
            await store.forget(stranger, tenant=_TENANT)
        self._known = {(_TENANT, case): version for case, version in seen.right.items()}
        self._since = None
        self._compare_at = time.monotonic() + COMPARE_EVERY_S
        owed = seen.rows - len(seen.right)
        if seen.adopted or owed or seen.strangers:
            log.info(
                "the index of the cases was compared",
                held=len(held),
                adopted=seen.adopted,
                owed=owed,
                strangers=len(seen.strangers),
            )

    async def _follow(self) -> None:
        """What was changed since the last round, whoever changed it, into the index of this process."""
        store = self._store()
        if store is None:
            return
        changed, until = await self._plane.cases.changed(self._since)
        owed = [key for key, version in changed.items() if self._known.get(key) != version]
        for start in range(0, len(owed), _BATCH):
            debts = await self._plane.cases.debts(owed[start : start + _BATCH])
            await copy(store, debts)
            await self._plane.cases.paid(debts)
            self._known.update({(debt.tenant, debt.id): debt.version for debt in debts})
        self._since = until - OVERLAP


async def copy(store: CaseStore, debts: Sequence[Debt]) -> None:
    """Bring the index to what the rows say. Raises CasesUnavailable."""
    wanted: dict[str, list[Case]] = defaultdict(list)
    for debt in debts:
        if debt.case is None:
            await store.forget(debt.id, tenant=debt.tenant)
        else:
            wanted[debt.tenant].append(debt.case)
    for tenant, cases in wanted.items():
        await store.add_many(cases, tenant=tenant)


async def _all(store: CaseStore) -> list[Case]:
    ids = await store.ids(tenant=_TENANT)
    found: list[Case] = []
    for start in range(0, len(ids), _BATCH):
        found += await store.some(ids[start : start + _BATCH], tenant=_TENANT)
    return found
