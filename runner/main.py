"""The runner as one process: credentials, the Lease, its identity, then everything at work; its end within 20 s of SIGTERM."""

import asyncio
import contextlib
import signal
from collections.abc import Coroutine, Generator
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from runner.clocks import corrected
from runner.config import KEPT_IN, RunnerConfig
from runner.enrolment import EnrolmentRefused, enrol
from runner.health import Face, serve_health
from runner.holding import Holding
from runner.identity import Identity, IdentityFile, IdentityStore, digest_of, new_identity
from runner.key_secret import IdentitySecret
from runner.kube.access import AccessError, load_access
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.parts import Parts

log = structlog.get_logger("runner")

T = TypeVar("T")

_ACCESS_AGAIN_S = 5.0


async def run(config: RunnerConfig, stop: asyncio.Event | None = None) -> None:
    """Run until SIGTERM, SIGINT or `stop`; then end within `config.stop_within_s`.

    Raises EnrolmentRefused, PermissionError (key file) and RuntimeError (not enrolled and no token, no Secret for the key).
    """
    stopping = stop or asyncio.Event()
    with _signals(stopping):
        ended = asyncio.create_task(stopping.wait(), name="stop")
        work = asyncio.create_task(_run(config, stopping), name="runner")
        try:
            await asyncio.wait({ended, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                done, _ = await asyncio.wait({work}, timeout=config.stop_within_s)
                if not done:
                    log.warning("stop_took_too_long")
                    work.cancel()
            await work
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if not stopping.is_set():
                raise
        finally:
            ended.cancel()


async def _run(config: RunnerConfig, stopping: asyncio.Event) -> None:
    """A turn as the active runner after the other, each with a start (boot) of its own, which grants name."""
    async with contextlib.AsyncExitStack() as stack:
        face = Face()
        health, port = await serve_health(config.health_host, config.health_port, face)
        stack.push_async_callback(health.cleanup)
        log.info("health", port=port)
        client = await _until(stopping, _client(config))
        if client is None:
            return
        await stack.enter_async_context(client)
        with contextlib.suppress(KubeError):
            # Its answer is dated, which a runner whose own clock is off needs before it shows a proof.
            await client.get("/version", timeout=2)
        holding = Holding.of(config, client, _now)
        stack.push_async_callback(holding.release)
        while not stopping.is_set():
            face.state = holding.state
            if await _until(stopping, holding.acquire()) is None:
                break
            await _turn(config, client, holding, face, stopping)


async def _turn(config: RunnerConfig, client: KubeClient, holding: Holding, face: Face, stopping: asyncio.Event) -> None:
    identity = await _until(stopping, _identity(config, client))
    if identity is None:
        return
    async with contextlib.AsyncExitStack() as stack:
        parts = await _until(stopping, Parts.build(config, identity, client, holding, stack))
        if parts is not None:
            face.metrics, face.state = parts.metrics, parts.state
            await parts.serve(stopping)


async def _identity(config: RunnerConfig, client: KubeClient) -> Identity:
    """The kept identity. It enrols first when there is none, and when the configuration has another token than the one that it
    enrolled with: so a runner that was revoked comes back, with a new key."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    store = _store(config, client)
    identity = await store.load()
    if config.cluster and config.runner:
        return identity.enrolled_as(config.cluster, config.runner)
    token = config.enrolment_token()
    again = bool(token and identity.token_sha256 and digest_of(token) != identity.token_sha256)
    if identity.enrolled and not again:
        return identity
    if not token:
        raise RuntimeError(
            "this runner is not enrolled and has no token: set OPSTHREAD_RUNNER_ENROL_TOKEN or …_ENROL_TOKEN_FILE"
        )
    try:
        fresh = await _enrolled(config, client, new_identity() if identity.enrolled else identity, token)
    except EnrolmentRefused as refused:
        if not identity.enrolled:
            raise
        log.warning("not_enrolled_again", reason=str(refused), runner=identity.runner)
        return identity
    await store.save(fresh)
    log.info("enrolled", cluster=fresh.cluster, runner=fresh.runner)
    return fresh


async def _enrolled(config: RunnerConfig, client: KubeClient, identity: Identity, token: str) -> Identity:
    ca_file = str(config.nats_ca_file) if config.nats_ca_file else None
    reply = await enrol(
        config.nats_url,
        identity,
        token,
        name=config.name,
        now=lambda: corrected(_now(), client.clock_offset(_now())),
        ca_file=ca_file,
    )
    if reply.grant_keys and config.grant_keys and not set(config.grant_keys.values()) & set(reply.grant_keys.values()):
        log.warning("grant_keys_differ", pinned=list(config.grant_keys), offered=list(reply.grant_keys))
    return identity.enrolled_as(reply.cluster, reply.runner, token)


def _store(config: RunnerConfig, client: KubeClient) -> IdentityStore:
    """A Secret in the cluster, a file outside of it; what the configuration names comes first."""
    name = config.key_secret or ("" if config.key_file or not client.access.in_cluster else KEPT_IN)
    if name:
        return IdentitySecret(client, config.key_secret_namespace or client.access.namespace, name)
    return IdentityFile(config.identity_path)


async def _client(config: RunnerConfig) -> KubeClient:
    """Waits for credentials that are not there yet: a kubeconfig may be written after we start."""
    while True:
        try:
            mount = config.service_account_dir
            return KubeClient(await load_access(config.kubeconfig, config.context, in_cluster=config.in_cluster, mount=mount))
        except AccessError as error:
            log.error("no_access", error=str(error), again_in_s=_ACCESS_AGAIN_S)
            await asyncio.sleep(_ACCESS_AGAIN_S)


async def _until(stopping: asyncio.Event, job: Coroutine[Any, Any, T]) -> T | None:
    """The job's result, or None when `stopping` came first."""
    task = asyncio.create_task(job)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        return await task if task.done() else None
    finally:
        for one in (task, stop):
            one.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Generator[None]:
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stopping.set)
            caught.append(number)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


def _now() -> datetime:
    return datetime.now(UTC)
