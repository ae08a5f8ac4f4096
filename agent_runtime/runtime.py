"""AgentRuntime: turns and actions over a control plane. The surfaces ask through Conversations; this picks the work up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.alerts import AlertWork
from agent_runtime.patience import Patience
from control_plane.clock import utc_now
from control_plane.errors import ServiceError
from control_plane.services import ControlPlane
from protocol.events import TurnFailed

if TYPE_CHECKING:
    from agent_runtime.case_keeper import CaseKeeper
    from agent_runtime.stack import Stack
    from knowledge.cases import CaseStore
    from knowledge.embeddings import Embedder

log = structlog.get_logger(__name__)

TURN, ACTION = "turn_v1", "action_v1"
SWEEP_BATCH = 50
STOP_S = 8.0
RETRY_S = 5.0
HELD_BACK_S = 5.0
NOT_LOADED = (
    "The agent could not be loaded, so nothing can be answered. Opsthread's log says why (a key file that can't be read, "
    "a package that is missing); mend it and start again."
)


class AgentRuntime:
    """Owns the sweep, the loading of the agent stack and the case store. One a process."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._slots = asyncio.Semaphore(plane.settings.concurrent_turns)
        self._here: set[str] = set()
        """Workflow ids that this process has started or runs; the sweep does not ask for them again."""
        self._conclusions = Patience(time.monotonic)
        self._launched: asyncio.Task[None] | None = None
        self._stack: asyncio.Task[Stack] | None = None
        self._sweep: asyncio.Task[None] | None = None
        self._alerts: asyncio.Task[None] | None = None
        self._warm: asyncio.Task[None] | None = None
        self._cases: CaseStore | None = None
        self._keeper: CaseKeeper | None = None
        self._embedder: Embedder | None = None

    async def start(self, after: Awaitable[object] | None = None) -> None:
        """Register turn_v1 and action_v1; behind that, in this order, one after the other so that they do not fight over two
        cores with who is about to be ready: the durable executor, the sweep (5 s) with its wake-ups, the agent stack
        (LangChain, in a thread), the case store. Serving starts before they are there; questions wait for them. `after`
        holds them back until it is done, five seconds at most: our own cluster comes first."""
        self._plane.durable.register(TURN, self._turn)
        self._plane.durable.register(ACTION, self._action)
        self._launched = asyncio.create_task(self._launch(after), name="launch the durable executor")
        self._stack = asyncio.create_task(self._load(self._launched), name="load the agent stack")
        self._warm = asyncio.create_task(self._keep_cases(), name="keep the cases")
        self._sweep = asyncio.create_task(self._sweep_for_ever(self._launched), name="sweep for turns and actions")
        self._alerts = asyncio.create_task(self._open_alerts(self._launched), name="open threads for alerts")

    async def stop(self) -> None:
        """What runs is cancelled and taken up at the next start. Within 10 s."""
        tasks: list[asyncio.Task[Any]] = [
            task for task in (self._alerts, self._sweep, self._warm, self._stack, self._launched) if task is not None
        ]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        await self._plane.durable.close(timeout_s=STOP_S)
        if self._stack is not None and self._stack.done() and not self._stack.cancelled() and not self._stack.exception():
            await self._stack.result().close()
        if self._cases is not None:
            await self._cases.close()
        if self._embedder is not None:
            await self._embedder.close()

    @property
    def model_name(self) -> str:
        """The configured model, or "offline"."""
        return self._plane.settings.model if self._plane.settings.api_key() is not None else "offline"

    def models(self) -> list[dict[str, Any]]:
        """The models in the order in which they are asked, as this process sees them; none while the stack loads."""
        stack = self._stack
        if stack is None or not stack.done() or stack.cancelled() or stack.exception() is not None:
            return []
        return stack.result().described()

    @property
    def ready(self) -> bool:
        """Has the agent stack loaded? Questions that come earlier wait for it."""
        return self._stack is not None and self._stack.done() and self._stack.exception() is None

    def cases_changed(self) -> None:
        """Somebody has imported a case, or had one forgotten: the index follows now."""
        if self._keeper is not None:
            self._keeper.nudge()

    async def _launch(self, after: Awaitable[object] | None) -> None:
        if after is not None:
            await asyncio.wait({asyncio.ensure_future(after)}, timeout=HELD_BACK_S)
        try:
            await self._plane.durable.launch()
        except Exception:
            log.exception("the durable executor could not be launched: questions and approved fixes will not run")
            raise

    async def _load(self, after: "asyncio.Task[None]") -> "Stack":
        await asyncio.wait({after})
        return await asyncio.to_thread(self._import)

    async def _keep_cases(self) -> None:
        """The first search loads ChromaDB and the vectors, which takes seconds: not while somebody waits for an answer. From
        then on what is learnt is kept in order, soaks among it."""
        if self._stack is None:
            return
        await asyncio.wait({self._stack})
        from agent_runtime.case_keeper import CaseKeeper
        from knowledge.cases import CasesUnavailable

        try:
            if self._cases is not None:
                await self._cases.search("warm up", limit=1)
        except CasesUnavailable as error:
            log.warning("past cases can't be read; diagnosis goes on without them", why=str(error))
        self._keeper = CaseKeeper(self._plane, lambda: self._cases)
        await self._keeper.run()

    def _import(self) -> "Stack":
        from agent_runtime.stack import Stack, case_store

        self._cases, self._embedder = case_store(self._plane.settings)
        return Stack(self._plane, self._cases)

    async def _turn(self, turn: str) -> None:
        workflow = f"turn:{turn}"
        self._here.add(workflow)
        try:
            stack = await self._loaded()
            if stack is None:
                await self._give_up(turn)
                return
            async with self._slots:
                await stack.turn(turn)
        finally:
            self._here.discard(workflow)

    async def _loaded(self) -> "Stack | None":
        """The agent stack, once it is there; None when it could not be loaded, which the log then says."""
        if self._stack is None:
            return None
        try:
            return await asyncio.shield(self._stack)
        except Exception:
            log.exception("the agent stack could not be loaded")
            return None

    async def _give_up(self, turn: str) -> None:
        if await self._plane.conversations.claim_turn(turn) is not None:
            failed = TurnFailed(message=NOT_LOADED, code="internal")
            await self._plane.conversations.end_turn(turn, "failed", failed)

    async def _action(self, approval: str) -> None:
        from agent_runtime.actions.step import ActionStep

        workflow = f"action:{approval}"
        self._here.add(workflow)
        try:
            # Not behind the agent stack: what became of a change that was cut off is looked for first.
            await ActionStep(self._plane).run(approval)
        finally:
            self._here.discard(workflow)

    async def _sweep_for_ever(self, after: "asyncio.Task[None]") -> None:
        """At each wake-up, and every 5 s besides. Whatever fails is tried again at the next."""
        await asyncio.wait({after})
        while True:
            try:
                async with aclosing(self._plane.conversations.watch_work()) as wakes:
                    async for _ in wakes:
                        await self._sweep_once()
            except Exception:
                log.exception("the sweep failed; it begins again")
                await asyncio.sleep(RETRY_S)

    async def _open_alerts(self, after: "asyncio.Task[None]") -> None:
        await asyncio.wait({after})
        await AlertWork(self._plane).run()

    async def _sweep_once(self) -> None:
        approvals, conversations = self._plane.approvals, self._plane.conversations
        for row in (
            _Work(TURN, "turn", conversations.running_turns),
            _Work(TURN, "turn", lambda: conversations.startable_turns(SWEEP_BATCH)),
            _Work(ACTION, "action", approvals.startable),
            _Work(ACTION, "action", approvals.running),
            _Work(ACTION, "action", self._unconcluded),
        ):
            await self._start_all(row)
        await approvals.expire_due(utc_now())

    async def _unconcluded(self) -> tuple[str, ...]:
        """Actions that have ended and whose conclusion or case is missing, and nobody here is about to see to it."""
        missing = await self._plane.approvals.unconcluded()
        return self._conclusions.due(item for item in missing if f"action:{item}" not in self._here)

    async def _start_all(self, work: "_Work") -> None:
        for item in await work.find():
            workflow = f"{work.prefix}:{item}"
            if workflow in self._here:
                continue
            try:
                await self._plane.durable.start(work.function, workflow, item)
            except ServiceError as error:
                log.warning("work could not be started; the next sweep tries again", workflow=workflow, why=error.message)


class _Work:
    """A kind of work: the durable function, the prefix of its ids, how what waits is found."""

    def __init__(self, function: str, prefix: str, find: Callable[[], Awaitable[tuple[str, ...]]]) -> None:
        self.function = function
        self.prefix = prefix
        self.find = find
