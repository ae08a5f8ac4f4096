"""The engine on the practice cluster: what its scenarios break is named, and a healthy shop is called healthy."""

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

import sandbox
from knowledge.diagnosis import ClusterView, LogKey, NamedQuery, Series, diagnose, needs, read_series
from knowledge.diagnosis.needs import TAIL_LINES
from knowledge.remedies import recommend
from protocol.commands import Diagnose
from protocol.diagnosis import Diagnosis
from tests.integration.waiting import until

LISTS = {
    "Pod": "/api/v1/pods",
    "Service": "/api/v1/services",
    "Event": "/api/v1/events",
    "ConfigMap": "/api/v1/configmaps",
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "StorageClass": "/apis/storage.k8s.io/v1/storageclasses",
    "Deployment": "/apis/apps/v1/deployments",
    "ReplicaSet": "/apis/apps/v1/replicasets",
    "StatefulSet": "/apis/apps/v1/statefulsets",
    "DaemonSet": "/apis/apps/v1/daemonsets",
    "Job": "/apis/batch/v1/jobs",
    "CronJob": "/apis/batch/v1/cronjobs",
}


class Asker:
    """What a runner does for one question, without a cache: list, fetch what is needed, diagnose."""

    def __init__(self, cluster: sandbox.Running, http: aiohttp.ClientSession) -> None:
        self.cluster = cluster
        self.http = http

    async def ask(self, *words: str) -> Diagnosis:
        request = Diagnose(words=words)
        objects: list[dict[str, Any]] = []
        for kind, path in LISTS.items():
            async with self.http.get(self.cluster.url + path) as answer:
                answer.raise_for_status()
                objects += [{**item, "kind": kind} for item in (await answer.json())["items"]]
        now = datetime.now(UTC)
        wanted = needs(ClusterView(objects, now=now), request)
        logs = {key: text for key in wanted.logs if (text := await self._log(key)) is not None}
        series: list[Series] = []
        for query in wanted.queries:
            series += await self._series(query, now)
        more = needs(ClusterView(objects, now=now, logs=logs), request)
        logs |= {key: text for key in more.logs if (text := await self._log(key)) is not None}
        return diagnose(ClusterView(objects, now=now, logs=logs, metrics=series), request)

    async def _log(self, key: LogKey) -> str | None:
        path = f"{self.cluster.url}/api/v1/namespaces/{key.namespace}/pods/{key.pod}/log"
        asked = {"container": key.container, "previous": str(key.previous).lower(), "tailLines": str(TAIL_LINES)}
        async with self.http.get(path, params=asked) as answer:
            return await answer.text() if answer.status == 200 else None

    async def _series(self, query: NamedQuery, now: datetime) -> list[Series]:
        end = now.timestamp()
        asked = {"query": query.expr, "start": str(end - query.range_s), "end": str(end), "step": str(query.step_s)}
        async with self.http.get(f"{self.cluster.prometheus_url}/api/v1/query_range", params=asked) as answer:
            answer.raise_for_status()
            return read_series((await answer.json())["data"]["result"], query.name)


@asynccontextmanager
async def asking(*scenarios: str) -> AsyncGenerator[Asker]:
    async with sandbox.running(scenarios=scenarios) as cluster:
        trust = ssl.create_default_context(cadata=cluster.authority)
        headers = {"Authorization": f"Bearer {cluster.tokens['admin']}"}
        connector = aiohttp.TCPConnector(ssl=trust)
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout) as http:
            yield Asker(cluster, http)


TOLD = [
    ("payments-oom", "payments", "memory-limit-too-low", "Deployment/shop/payments", "set_resources"),
    ("checkout-configmap", "checkout", "configmap-wrong-value", "ConfigMap/shop/checkout-config", "patch_configmap"),
    ("checkout-configmap", "web", "configmap-wrong-value", "ConfigMap/shop/checkout-config", "patch_configmap"),
    ("catalog-image", "catalog", "image-tag-not-found", "Deployment/shop/catalog", "set_image"),
    ("worker-missing-env", "worker", "env-variable-missing", "Deployment/shop/worker", "set_env"),
    ("reports-unschedulable", "reports", "insufficient-cpu", "Deployment/shop/reports", "set_resources"),
]


@pytest.mark.parametrize(("scenario", "word", "code", "target", "action"), TOLD, ids=[f"{row[0]}-{row[1]}" for row in TOLD])
async def test_a_scenario_is_named_with_its_remedy(scenario: str, word: str, code: str, target: str, action: str) -> None:
    async with asking(scenario) as asker:

        async def named() -> bool:
            diagnosis = await asker.ask(word)
            return [(cause.code, str(cause.object)) for cause in diagnosis.root_causes] == [(code, target)]

        await until(named, f"{code} of {target}", 60)
        best = recommend(await asker.ask(word))[0].remediation
        assert best is not None
        assert best.type == action


async def test_a_healthy_shop_and_its_suspicious_search_are_healthy() -> None:
    async with asking("search-healthy") as asker:

        async def healthy() -> bool:
            return (await asker.ask()).healthy

        await until(healthy, "a healthy shop", 60)
        search = await asker.ask("search")
        assert search.healthy
        assert "restarts" in search.summary


async def test_faults_at_once_are_told_apart() -> None:
    async with asking(*dict.fromkeys(row[0] for row in TOLD)) as asker:

        async def all_named() -> bool:
            found = {(cause.code, str(cause.object)) for cause in (await asker.ask()).root_causes}
            return found == {(code, target) for _, _, code, target, _ in TOLD}

        await until(all_named, "all five causes", 60)
