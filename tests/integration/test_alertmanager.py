"""A real Alertmanager (Debian's) posts to us: its groups, its retries, its repeats and its resolutions."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from control_plane.alerts.values import Group
from control_plane.clock import utc_now
from protocol.approval import Role
from tests.integration.http_server import Here, Person, http_server
from tests.integration.metrics_servers import program
from tests.integration.postgres import Postgres
from tests.integration.runner_rig import end, free_port
from tests.integration.test_database_away import away
from tests.integration.waiting import until


class Manager:
    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url = url
        self._client = client

    async def ready(self) -> bool:
        try:
            async with self._client.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def tell(self, pod: str, *, over: bool = False, **labels: str) -> None:
        """As Prometheus does."""
        said = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "severity": "warning"} | labels
        now = utc_now()
        alert: dict[str, Any] = {"labels": said, "annotations": {"summary": f"{pod} restarts"}}
        alert["startsAt"] = (now - timedelta(minutes=5)).isoformat()
        alert["endsAt"] = (now if over else now + timedelta(minutes=5)).isoformat()
        async with self._client.post(f"{self._url}/api/v2/alerts", json=[alert]) as answer:
            assert answer.status == 200, await answer.text()

    async def counted(self, metric: str) -> float:
        async with self._client.get(f"{self._url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return sum(
            float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric) and 'integration="webhook"' in line
        )


@asynccontextmanager
async def alertmanager(folder: Path, here: Here, token: str) -> AsyncGenerator[Manager]:
    """As docs/alerts.md configures it, but in a hurry."""
    (folder / "opsthread.token").write_text(token)
    receiver: dict[str, Any] = {
        "url": f"{here.url}/api/v1/alerts/alertmanager",
        "send_resolved": True,
        "max_alerts": 100,
        "http_config": {"authorization": {"credentials_file": str(folder / "opsthread.token")}},
    }
    waits = {"group_wait": "100ms", "group_interval": "300ms", "repeat_interval": "300ms"}
    config = {
        "route": {"receiver": "opsthread", "group_by": ["alertname", "namespace"], **waits},
        "receivers": [{"name": "opsthread", "webhook_configs": [receiver]}],
    }
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program("prometheus-alertmanager"), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=", stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        manager = Manager(f"http://127.0.0.1:{port}", here.client)
        await until(manager.ready, "alertmanager is ready")
        yield manager
    finally:
        await end(process, signal.SIGKILL)


async def test_a_real_alertmanager_is_understood(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.new_database()
    async with http_server(tmp_path, database_url=url) as here:
        root = await here.person("root", Role.ADMIN)
        _, token = await here.plane.alert_tokens.create(root.principal, "alertmanager", cluster="practice")
        async with alertmanager(tmp_path, here, token) as manager:
            failed = "alertmanager_notification_requests_failed_total"
            with away(postgres, url):
                await manager.tell("payments-1")
                await until(lambda: manager.counted(failed), "it was told to come again")
            group = await shown(here, root, firing=1)
            assert (group.title, group.namespace, group.objects) == ("KubePodCrashLooping", "shop", ("Pod/shop/payments-1",))
            sent = await manager.counted("alertmanager_notifications_total")
            revision = group.revision

            async def repeated() -> bool:
                return await manager.counted("alertmanager_notifications_total") > sent

            await until(repeated, "it has repeated itself")
            assert (await shown(here, root, firing=1)).revision == revision, "a repeat says nothing new"
            await manager.tell("payments-2", severity="critical")
            joined = await shown(here, root, firing=2, severity="critical")
            assert joined.id == group.id
            await manager.tell("payments-1", over=True)
            await manager.tell("payments-2", over=True, severity="critical")
            over = await shown(here, root, firing=0, resolved=2, state="resolved")
            assert over.id == group.id
            assert await manager.counted("alertmanager_notifications_failed_total") == 0, "no notification was given up"


async def shown(here: Here, who: Person, **expected: object) -> Group:
    """The one group, once it is as expected."""

    async def found() -> Group | None:
        groups = await here.plane.alerts.list(who.principal)
        assert len(groups) <= 1
        return next((one for one in groups if all(getattr(one, name) == value for name, value in expected.items())), None)

    return await until(found, f"a group with {expected}")
