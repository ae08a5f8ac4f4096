"""A real Prometheus and a real VictoriaMetrics with the same loaded past, and in front of them a door that asks for proof."""

import asyncio
import base64
import contextlib
import shutil
import signal
import ssl
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
from aiohttp import web

from tests.integration.runner_rig import end, free_port
from tests.integration.waiting import until

LIMIT = 134_217_728
SPIKE = 131_000_000
MINUTES = 360
PODS = (("shop", "payments-6d5f-abcde", 90e6), ("shop", "payments-6d5f-fghij", 80e6), ("bank", "ledger-0", 70e6))
TOKEN, PASSWORD, TENANT = "t0ken-of-the-runner", "pa:ss wörd", "team-a"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
"""When the tests were collected; a long run comes here much later."""
AHEAD = 90
"""Minutes for which the series go on after NOW, for what asks for what there is at present."""


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"{name} is not installed; `scripts/install-packages` installs it")
    return found


def open_metrics() -> str:
    """Six hours at a point a minute: memory that creeps up with one spike of a single point, and other exporters' series."""
    end_at = int(NOW.timestamp())
    lines = ["# TYPE container_memory_working_set_bytes gauge"]
    for namespace, pod, base in PODS:
        labels = f'namespace="{namespace}",pod="{pod}",container="{pod.split("-")[0]}"'
        for minute in range(MINUTES + AHEAD):
            value = SPIKE if (pod.endswith("abcde") and minute == 201) else base + minute * 1000
            lines.append(f"container_memory_working_set_bytes{{{labels}}} {value:.0f} {end_at - 60 * (MINUTES - 1 - minute)}")
    lines.append("# TYPE kube_pod_info gauge")
    for namespace, pod in (("shop", "payments-6d5f-abcde"), ("bank", "ledger-0")):
        labels = f'namespace="monitoring",exported_namespace="{namespace}",exported_pod="{pod}",pod="ksm-0"'
        lines += [f"kube_pod_info{{{labels}}} 1 {end_at - 60 * ago}" for ago in range(4, -AHEAD, -1)]
    lines.append("# TYPE busy gauge")
    for index in range(70):
        lines += [f'busy{{job="j{index:02}"}} {index} {end_at - 60 * ago}' for ago in range(4, -1, -1)]
    return "\n".join([*lines, "# EOF", ""])


@dataclass
class Servers:
    prometheus: str
    victoria: str
    folder: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict[str, asyncio.subprocess.Process])


@contextlib.asynccontextmanager
async def servers(folder: Path) -> AsyncGenerator[Servers]:
    """Both, loaded: by promtool's blocks, and by VictoriaMetrics' import."""
    text = folder / "past.om"
    text.write_text(open_metrics())
    done = await asyncio.to_thread(
        subprocess.run,
        [program("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(text), str(folder / "prometheus")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "prometheus.yml").write_text("global: {}\n")
    ports = free_port(), free_port()
    house = Servers(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", folder)
    house.processes["prometheus"] = await _start(
        folder, "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus",
        f"--web.listen-address=127.0.0.1:{ports[0]}", "--storage.tsdb.retention.time=30d",
    )  # fmt: skip
    house.processes["victoria"] = await _start(
        folder, "victoria-metrics", f"-storageDataPath={folder}/victoria", f"-httpListenAddr=127.0.0.1:{ports[1]}",
        "-search.latencyOffset=0s", "-search.disableCache", "-memory.allowedPercent=10",
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession() as session:
            await until(lambda: _answers(session, f"{house.prometheus}/-/ready"), "prometheus is ready", 30)
            await until(lambda: _answers(session, f"{house.victoria}/health"), "victoria-metrics is ready", 30)
            body = "\n".join(_with_milliseconds(line) for line in text.read_text().splitlines() if not line.startswith("#"))
            async with session.post(f"{house.victoria}/api/v1/import/prometheus", data=body.encode()) as answer:
                assert answer.status == 204, await answer.text()
            await _answers(session, f"{house.victoria}/internal/force_flush")
        yield house
    finally:
        for process in house.processes.values():
            await end(process, signal.SIGKILL)


def _with_milliseconds(line: str) -> str:
    series, at = line.rsplit(" ", 1)
    return f"{series} {at}000"


async def _start(folder: Path, name: str, *arguments: str) -> asyncio.subprocess.Process:
    with (folder / f"{name}.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(program(name), *arguments, stdout=log, stderr=log)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Door:
    """What stands in front of metrics in real installations. `seen` holds what it was asked, with headers."""

    behind: str
    url: str = ""
    tls_url: str = ""
    token: str = TOKEN
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list[tuple[str, dict[str, str]]])
    session: aiohttp.ClientSession | None = None

    def paths(self, kind: str) -> list[str]:
        return [path for path, _ in self.seen if path.startswith(f"/{kind}/")]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, dict(request.headers)))
        kind, rest = request.match_info["kind"], f"/{request.match_info['rest']}"
        headers = request.headers
        basic = base64.b64encode(f"runner:{PASSWORD}".encode()).decode()
        match kind:
            case "bearer" if headers.get("Authorization") != f"Bearer {self.token}":
                return web.Response(status=401, text="Unauthorized")
            case "basic" if headers.get("Authorization") != f"Basic {basic}":
                return web.Response(status=401, text="Unauthorized")
            case "tenant" if headers.get("X-Scope-OrgID") != TENANT:
                return web.Response(status=401, text="no org id")
            case "header" if headers.get("X-Api-Key") != "k3y":
                return web.Response(status=403, text="forbidden")
            case "away":
                raise web.HTTPFound(f"http://localhost:{request.url.port}/bearer{rest}")
            case "moved":
                raise web.HTTPTemporaryRedirect(f"/bearer{rest}")
            case "circle":
                raise web.HTTPTemporaryRedirect(f"/circle{rest}")
            case "login":
                return web.Response(text="<html>Sign in</html>", content_type="text/html")
            case "odd":
                return web.json_response({"status": "success", "data": [1, {"result": 5}]})
            case "slow":
                await asyncio.Event().wait()
            case "busy":
                return web.Response(status=503, text="too many outstanding requests")
            case "huge":
                return await _huge(request)
            case "select" | "prefix" | "api":
                return await self._below(kind, rest, request)
            case "thanos" | "cluster":
                return await self._pass(rest, request, _partial[kind])
            case _:
                pass
        return await self._pass(rest, request, {})

    async def _below(self, kind: str, rest: str, request: web.Request) -> web.StreamResponse:
        """The API is under /prometheus, /select/0/prometheus or /api/prom, and nowhere else."""
        base = {"select": "/select/0/prometheus", "prefix": "/prometheus", "api": "/api/prom"}[kind]
        if not rest.startswith(f"{base}/"):
            return web.Response(status=404, text="404 page not found")
        return await self._pass(rest.removeprefix(base), request, {})

    async def _pass(self, path: str, request: web.Request, more: dict[str, Any]) -> web.Response:
        assert self.session is not None
        async with self.session.request(
            request.method, f"{self.behind}{path}", data=await request.read() or None, params=request.query,
            headers={"Content-Type": request.headers.get("Content-Type", "")} if request.method == "POST" else {},
        ) as answer:  # fmt: skip
            if "json" in answer.content_type and more:
                return web.json_response(cast(dict[str, Any], await answer.json()) | more, status=answer.status)
            return web.Response(body=await answer.read(), status=answer.status, content_type=answer.content_type)


_partial: dict[str, dict[str, Any]] = {
    "thanos": {"warnings": [f'fetch series for {{replica="{n}"}}: rpc error' for n in range(5)]},
    "cluster": {"isPartial": True},
}


async def _huge(request: web.Request) -> web.StreamResponse:
    """Sends for as long as somebody reads."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        await response.write(b'{"status":"success","data":{"resultType":"vector","result":["')
        while True:
            await response.write(b"x" * 1_048_576)
    return response


@contextlib.asynccontextmanager
async def door(behind: str, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Door]:
    standing = Door(behind)
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{kind}/{rest:.*}", standing.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    async with aiohttp.ClientSession() as session:
        standing.session = session
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            if tls is not None:
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
            ports = [cast(int, address[1]) for address in runner.addresses]
            standing.url = f"http://127.0.0.1:{ports[0]}"
            standing.tls_url = f"https://127.0.0.1:{ports[-1]}" if tls is not None else ""
            yield standing
        finally:
            await runner.cleanup()


@dataclass(frozen=True)
class Keys:
    """An authority, a server certificate for `metrics.internal` only, and two client certificates, one of another authority."""

    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.crt"), self.path("server.key"))
        context.load_verify_locations(self.path("ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def make_keys(folder: Path) -> Keys:
    folder.mkdir(exist_ok=True)
    for authority in ("ca", "other"):
        _openssl(folder, "req", "-x509", *_new_key(authority), "-days", "2", "-subj", f"/CN={authority}")
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        _openssl(folder, "req", *_new_key(name, "csr"), "-subj", f"/CN={name}")
        (folder / "ext").write_text(
            "subjectAltName=DNS:metrics.internal\n" if name == "server" else "basicConstraints=CA:FALSE\n"
        )
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", "1", "-extfile", "ext", "-out", f"{name}.crt",
        )  # fmt: skip
    return Keys(folder)


def _new_key(name: str, ending: str = "crt") -> list[str]:
    return [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        f"{name}.key",
        "-out",
        f"{name}.{ending}",
    ]


def _openssl(folder: Path, *arguments: str) -> None:
    line = [program("openssl"), *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
