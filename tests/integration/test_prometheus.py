"""The metrics client against a real Prometheus and a real VictoriaMetrics, straight and through a door that asks for proof."""

import asyncio
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from protocol.commands import CommandStatus, PromQuery, ScopeLimit
from runner.commands.answer import Refusal
from runner.commands.prometheus import MAX_POINTS, MAX_RANGES, query
from runner.kube.access import Access
from runner.kube.client import KubeClient
from runner.metrics.client import NOT_CONFIGURED, Prometheus
from tests.integration.metrics_asking import EVERYTHING, MEMORY, api_server, ask, config, port_of, refusal, service
from tests.integration.metrics_servers import (
    NOW,
    PASSWORD,
    SPIKE,
    TENANT,
    TOKEN,
    Door,
    Keys,
    Servers,
    door,
    make_keys,
    servers,
)
from tests.integration.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Here:
    servers: Servers
    door: Door
    keys: Keys


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Here]:
    folder = tmp_path_factory.mktemp("metrics")
    keys = make_keys(folder / "keys")
    async with servers(folder) as running, door(running.prometheus, keys.server()) as standing:
        yield Here(running, standing, keys)


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_an_instant_and_a_range_query(here: Here, which: str) -> None:
    settings = config(getattr(here.servers, which))
    now = await ask(settings, f'{MEMORY}{{namespace="shop"}}')
    assert now.text.count("\n") == 3
    assert "90359000" in now.text
    past = await ask(settings, f'{MEMORY}{{namespace="shop"}}', hours=6)
    assert past.data is not None
    assert past.data["series_total"] == 2
    assert all(len(row["values"]) <= MAX_POINTS for row in past.data["series"])


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_a_spike_of_one_point_survives(here: Here, which: str) -> None:
    settings = config(getattr(here.servers, which))
    past = await ask(settings, f'{MEMORY}{{pod="payments-6d5f-abcde"}}', hours=6)
    assert past.data is not None
    (row,) = past.data["series"]
    values = [float(value) for _, value in row["values"]]
    assert max(values) == SPIKE
    assert str(SPIKE) in past.text
    assert [at for at, _ in row["values"]] == sorted(at for at, _ in row["values"])
    assert "the lowest and highest of each stretch are kept" in past.cut


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_of_many_series_the_highest_are_kept_and_the_rest_counted(here: Here, which: str) -> None:
    past = await ask(config(getattr(here.servers, which)), "busy", hours=0.05)
    assert past.data is not None
    assert len(past.data["series"]) == MAX_RANGES
    assert past.data["series_total"] == 70
    assert {row["metric"]["job"] for row in past.data["series"]} == {f"j{n:02}" for n in range(20, 70)}
    assert "the 50 highest of 70 series" in past.cut


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_a_wrong_expression_is_said_in_the_servers_words(here: Here, which: str) -> None:
    said = await refusal(config(getattr(here.servers, which)), "sum(rate(")
    assert said.status is CommandStatus.INVALID
    assert "pars" in said.message


async def test_both_servers_say_the_same_of_a_rate(here: Here) -> None:
    expr = f'sum by (namespace) (rate({MEMORY}{{namespace="bank"}}[10m]))'
    answers = [await ask(config(url), expr, hours=2, step_s=60) for url in (here.servers.prometheus, here.servers.victoria)]
    lasts = [float(answer.data["series"][0]["values"][-1][1]) for answer in answers if answer.data is not None]
    assert lasts == pytest.approx([1000 / 60] * 2, rel=0.02)


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_labels_that_a_scrape_did_not_honour_do_not_widen_a_scope(here: Here, which: str) -> None:
    """kube_pod_info has namespace="monitoring" for pods of all namespaces."""
    settings, monitoring = config(getattr(here.servers, which)), ScopeLimit(namespaces=("monitoring",))
    assert not (await ask(settings, 'kube_pod_info{namespace="monitoring"}')).empty
    assert (await ask(settings, 'kube_pod_info{namespace="monitoring"}', scope=monitoring)).empty
    assert (await ask(settings, 'count(kube_pod_info{namespace="monitoring",})', scope=monitoring)).empty
    both = ScopeLimit(namespaces=("monitoring", "shop"))
    seen = await ask(settings, 'kube_pod_info{namespace="monitoring"}', scope=both)
    assert "payments" in seen.text
    assert "ledger" not in seen.text
    unhindered = await ask(settings, f'sum({MEMORY}{{namespace="shop"}})', scope=ScopeLimit(namespaces=("shop",)))
    assert not unhindered.empty


# Proofs


async def test_a_bearer_token_from_a_file_that_changes(here: Here, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    settings = config(f"{here.door.url}/bearer", prometheus_token_file=file)
    async with Prometheus(settings) as client:
        assert (await client.vector("1", NOW)).rows()
        here.door.token = "t0ken-after-rotation"
        try:
            with pytest.raises(Refusal, match="refused the runner's credentials"):
                await client.vector("1", NOW)
            file.write_text("t0ken-after-rotation")
            os.utime(file, ns=(1, 1))
            assert (await client.vector("1", NOW)).rows()
        finally:
            here.door.token = TOKEN


async def test_every_proof_is_asked_for_and_given(here: Here, tmp_path: Path) -> None:
    password, key = tmp_path / "password", tmp_path / "key"
    password.write_text(PASSWORD)
    key.write_text("k3y")
    rows: list[tuple[str, dict[str, Any]]] = [
        ("bearer", {"prometheus_token": TOKEN}),
        ("basic", {"prometheus_user": "runner", "prometheus_password_file": password}),
        ("tenant", {"prometheus_tenant": TENANT}),
        ("header", {"prometheus_header_files": {"X-Api-Key": key}}),
        ("header", {"prometheus_headers": {"X-Api-Key": "k3y"}}),
    ]
    for kind, proof in rows:
        assert not (await ask(config(f"{here.door.url}/{kind}", **proof), "1")).empty, kind
        bare = await refusal(config(f"{here.door.url}/{kind}"))
        assert bare.status is CommandStatus.UNAVAILABLE
        assert "PROMETHEUS_TENANT" in bare.message if kind == "tenant" else "credentials" in bare.message


async def test_both_sides_show_certificates(here: Here) -> None:
    keys, url = here.keys, f"{here.door.tls_url}/open"
    right = {
        "prometheus_ca_file": keys.path("ca.crt"),
        "prometheus_cert_file": keys.path("client.crt"),
        "prometheus_key_file": keys.path("client.key"),
        "prometheus_server_name": "metrics.internal",
    }
    assert not (await ask(config(url, **right), "1")).empty
    stranger = {"prometheus_cert_file": keys.path("stranger.crt"), "prometheus_key_file": keys.path("stranger.key")}
    wrong: list[dict[str, Any]] = [
        right | stranger,
        {**right, "prometheus_ca_file": keys.path("other.crt")},
        {**right, "prometheus_server_name": ""},
        {name: value for name, value in right.items() if name not in ("prometheus_cert_file", "prometheus_key_file")},
    ]
    for settings in wrong:
        assert (await refusal(config(url, **settings))).status is CommandStatus.UNAVAILABLE


async def test_a_certificate_file_that_is_missing_is_named(here: Here, tmp_path: Path) -> None:
    said = await refusal(config(f"{here.door.tls_url}/open", prometheus_ca_file=tmp_path / "nowhere.crt"))
    assert "nowhere.crt" in said.message
    said = await refusal(config(f"{here.door.url}/bearer", prometheus_token_file=tmp_path / "nowhere"))
    assert "nowhere" in said.message


# Paths, redirects, bad days


@pytest.mark.parametrize(
    ("kind", "found"), [("select", "/select/0/prometheus"), ("prefix", "/prometheus"), ("api", "/api/prom")]
)
async def test_a_missing_base_path_is_found(here: Here, kind: str, found: str) -> None:
    assert not (await ask(config(f"{here.door.url}/{kind}"), "1")).empty
    assert not (await ask(config(f"{here.door.url}/{kind}{found}/api/v1/"), "1")).empty
    async with Prometheus(config(f"{here.door.url}/{kind}")) as client:
        status = await client.look(())
        assert status.server.endswith(f"/{kind}{found}")
        assert status.flavour.startswith("Prometheus 2.")


async def test_credentials_follow_no_redirect_to_another_origin(here: Here) -> None:
    here.door.seen.clear()
    said = await refusal(config(f"{here.door.url}/away", prometheus_token=TOKEN))
    assert "localhost" in said.message
    assert here.door.paths("bearer") == []
    assert not (await ask(config(f"{here.door.url}/moved", prometheus_token=TOKEN), "1")).empty
    assert "circle" in (await refusal(config(f"{here.door.url}/circle"))).message


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("login", CommandStatus.UNAVAILABLE, "no Prometheus API"),
        ("odd", CommandStatus.UNAVAILABLE, "no Prometheus API"),
        ("busy", CommandStatus.UNAVAILABLE, "503"),
        ("huge", CommandStatus.INVALID, "too long"),
    ],
)
async def test_what_does_not_answer_well(here: Here, kind: str, status: CommandStatus, word: str) -> None:
    said = await refusal(config(f"{here.door.url}/{kind}"))
    assert (said.status, word in said.message) == (status, True), said.message


async def test_something_that_only_looks_like_one_is_not_used(here: Here) -> None:
    """The runner looks once a minute: what answers there must not end it."""
    async with Prometheus(config(f"{here.door.url}/odd")) as client:
        status = await client.look(())
        assert (status.answers, "no Prometheus API" in status.error) == (False, True), status


async def test_a_server_that_says_nothing_is_given_up(here: Here) -> None:
    async with Prometheus(config(here.servers.prometheus)) as client:
        await client.look(())
        assert client.status.answers
    async with asyncio.timeout(10):
        said = await refusal(config(f"{here.door.url}/slow"), timeout_s=0.2)
    assert said.status is CommandStatus.TIMEOUT


async def test_a_question_waits_no_longer_than_its_own_time_for_a_server_that_is_being_looked_for(here: Here) -> None:
    here.door.seen.clear()
    async with Prometheus(config(f"{here.door.url}/slow")) as client:
        looking = asyncio.create_task(client.look(()))
        await until(lambda: here.door.paths("slow"), "the look has begun")
        async with asyncio.timeout(2):
            with pytest.raises(Refusal) as caught:
                await client.vector("1", NOW, timeout_s=0.2)
        assert caught.value.status is CommandStatus.TIMEOUT
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def test_partial_answers_are_limits(here: Here) -> None:
    thanos = await ask(config(f"{here.door.url}/thanos"), f"count({MEMORY})")
    assert "the metrics server warns: fetch series" in thanos.cut
    assert "2 more warnings" in thanos.cut
    assert "in part" in (await ask(config(f"{here.door.url}/cluster"), f"count({MEMORY})")).cut


@pytest.mark.parametrize("which", ["prometheus", "victoria"])
async def test_one_cluster_of_many_on_a_server(here: Here, which: str) -> None:
    """`busy` stands for a metric of many clusters; the label is in every selector, whatever was asked."""
    settings = config(getattr(here.servers, which), prometheus_labels={"job": "j07"})
    assert "1" in (await ask(settings, "count(busy)")).text
    assert (await ask(settings, 'busy{job="j08"}')).empty
    assert (await ask(settings, "sum by (job) (busy) / on (job) busy")).text.count("j07") == 1
    assert (await refusal(settings, "busy{")).status is CommandStatus.INVALID


# What there is, and services of the cluster


async def test_missing_exporters_are_told(here: Here) -> None:
    async with Prometheus(config(here.servers.victoria)) as client:
        status = await client.look(())
    assert status.flavour == "VictoriaMetrics"
    assert [limit.split(":")[0] for limit in status.limits] == ["no series of node-exporter"]


async def test_a_service_of_the_cluster_is_found_and_asked_without_credentials(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    away = service("prometheus", "shop", port_of(here.door.url))
    inside = service("prometheus-k8s", "monitoring", port_of(here.servers.prometheus))
    async with Prometheus(config(None, prometheus_token=TOKEN)) as client:
        assert not client.configured
        with pytest.raises(Refusal, match="No Prometheus is configured"):
            await client.vector("1", NOW)
        here.door.seen.clear()
        status = await client.look([away, inside])
        assert (status.how, status.answers) == ("found", True)
        assert status.server == f"Service/monitoring/prometheus-k8s:{port_of(here.servers.prometheus)}"
        assert status.others == (f"Service/shop/prometheus:{port_of(here.door.url)}",)
        assert (await client.vector("1", NOW)).rows()
        assert here.door.seen == [], "a Service in a namespace of the shop is told and not asked"
    async with Prometheus(config(None, prometheus_token=TOKEN, prometheus_namespaces="shop")) as client:
        status = await client.look([away])
        assert here.door.seen
        assert all("Authorization" not in headers for _, headers in here.door.seen)


async def test_discovery_can_be_turned_off_and_never_leaves_the_cluster(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    port = port_of(here.servers.prometheus)
    inside = service("prometheus", "monitoring", port)
    async with Prometheus(config(None, prometheus_discover=False)) as client:
        assert (await client.look([inside])).how == "off"
    outward = service("prometheus", "monitoring", port, type="ExternalName", externalName="metrics.example.org")
    by_hand = service("prometheus", "monitoring", port, selector={})
    async with Prometheus(config(None)) as client:
        assert (await client.look([outward, by_hand])).how == "off"
        assert client.status.told == "none configured, none found"


async def test_from_outside_the_way_is_the_api_servers_proxy(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    asked: list[tuple[str, str]] = []
    async with api_server(here.servers.prometheus, asked) as url:
        access = Access(server=url, ssl_context=None)
        async with KubeClient(access) as kube, Prometheus(config(None, prometheus_token=TOKEN), kube) as client:
            status = await client.look([service("prometheus-operated", "monitoring", 9090, clusterIP="None")])
            assert status.answers, status
            assert "through the API server" in status.server
            found = await query(PromQuery(expr=f"count({MEMORY})"), client, EVERYTHING, NOW, 20)
            assert "3" in found.text
            with pytest.raises(Refusal, match="parse error"):
                await client.vector("sum(", NOW)
            with pytest.raises(Refusal, match="too long"):
                await client.vector("1 + " * 2500 + "1", NOW)
            forbidden = await client.look([service("prometheus-operated", "monitoring", 9090)])
            assert forbidden.answers
    assert {path.split("/proxy")[0] for path, _ in asked} == {
        "/api/v1/namespaces/monitoring/services/http:prometheus-operated:9090"
    }
    assert all(TOKEN not in header for _, header in asked)


async def test_without_the_right_to_the_proxy_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with (
        api_server("", []) as url,
        KubeClient(Access(server=url, ssl_context=None)) as kube,
        Prometheus(config(None), kube) as client,
    ):
        status = await client.look([service("prometheus", "monitoring", 9090)])
        assert (status.how, status.answers) == ("off", False)
        assert "forbidden" in status.error
        assert not client.configured


async def test_nothing_configured_is_said_with_the_setting(here: Here) -> None:
    assert (await refusal(config(None))).message == NOT_CONFIGURED
