"""`self_check`: what this runner can and can't do in its cluster, and the line that mends it."""

import asyncio
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from knowledge.diagnosis.certificates import NotACertificate, expires_at
from knowledge.diagnosis.fields import sub, text
from protocol.bus import RunnerMode
from protocol.checkup import CheckRow, fail, ok, skip, warn
from protocol.rights import Right, rights_for
from protocol.text import one_line
from runner.cache.live import CLUSTER_KINDS, KINDS, LiveCache
from runner.commands.answer import Answer
from runner.commands.ask import Ask, gather_bounded
from runner.commands.cluster import review
from runner.config import RunnerConfig
from runner.holding import Holding
from runner.kube.client import KubeClient
from runner.kube.errors import KubeError
from runner.kube.resources import BUILT_IN
from runner.metrics.client import MetricsStatus, Prometheus
from runner.spool import MAX_ROWS, Spool

_AT_ONCE = 8
_MOST_NAMESPACES = 10
_CLOCK_OFF = timedelta(seconds=5)
_CLOCK_WRONG = timedelta(seconds=30)
_FREE_WARN, _FREE_FAIL = 512 << 20, 64 << 20
_ENDS_SOON = timedelta(days=21)
_MUST_BE = frozenset(
    {"prometheus_token_file", "prometheus_password_file", "prometheus_ca_file", "prometheus_cert_file", "nats_ca_file"}
)
"""Others, such as the enrolment token's, are rightly gone once they were used."""
_DOCUMENTED_ACCOUNT = "system:serviceaccount:opsthread:opsthread-runner"


@dataclass(frozen=True, slots=True)
class Needed:
    """One right, and what is lost without it."""

    verb: str
    group: str
    resource: str
    """With its subresource: `pods/log`."""
    namespace: str
    without: str
    vital: bool = False


@dataclass(slots=True)
class Patient:
    """What the runner is made of, as far as it is looked at."""

    config: RunnerConfig
    cache: LiveCache
    prometheus: Prometheus
    spool: Spool
    clock_offset: timedelta | None
    holding: Holding


async def self_check(ask: Ask, runner: Patient) -> Answer:
    """Rows only: nothing that is wrong in a cluster makes this fail."""
    user = await _user(ask.client)
    await runner.prometheus.look(runner.cache.objects(("Service",)))
    parts = await asyncio.gather(
        _api_server(ask.client, user),
        look_at_rights(ask.client, runner.config, user),
        asyncio.to_thread(_disk, runner.config.data_dir),
    )
    rows = [row for part in parts for row in part]
    rows += await asyncio.to_thread(look_at_files, runner.config, ask.now())
    rows += [*_spool(runner.spool), *_cache(runner.cache), *_clock(runner.clock_offset)]
    rows += [place(runner.holding), *look_at_metrics(runner.config, runner.prometheus.status)]
    words = "\n".join(f"{row.health:5} {row.area:8} {row.name}: {row.found}" for row in rows) + "\n"
    return Answer(text=words, data={"checks": [row.model_dump(mode="json") for row in rows]})


def needed_rights(config: RunnerConfig) -> list[Needed]:
    """What the watch, reads and this runner's mode need, in the namespaces that it is for."""
    spaces = config.watch_namespaces[:_MOST_NAMESPACES] or ("",)
    wanted: list[Needed] = []
    for kind in KINDS:
        if config.watch_namespaces and kind in CLUSTER_KINDS:
            continue
        resource = BUILT_IN[kind]
        lost = f"{resource.plural} can't be seen, nor what is wrong with them"
        wanted += [
            Needed(verb, resource.group, resource.plural, space, lost, vital=kind == "Pod")
            for space in (spaces if resource.namespaced else ("",))
            for verb in ("list", "watch")
        ]
    for space in spaces:
        wanted.append(Needed("get", "", "pods/log", space, "logs can't be read, and most root causes stand in them"))
        wanted.append(Needed("list", "metrics.k8s.io", "pods", space, "`kubectl top` shows nothing"))
    return wanted + _writes(config.runner_mode())


def _writes(mode: RunnerMode) -> list[Needed]:
    if not mode.writes:
        return []
    types: dict[Right, list[str]] = {}
    for name in mode.remediations:
        for right in rights_for([name]):
            types.setdefault(right, []).append(name)
    return [
        Needed(right.verb, right.group, right.resource, space, f"approved remediations fail: {', '.join(names)}", vital=True)
        for right, names in types.items()
        for space in ((mode.namespaces or ("",))[:_MOST_NAMESPACES] if right.namespaced else ("",))
    ]


TOO_MUCH = (
    Needed("get", "", "secrets", "", "it could read Secrets, which it never needs"),
    Needed("create", "", "pods/exec", "", "it could run programs in containers, which it never does"),
    Needed("*", "*", "*", "", "it may do everything in this cluster"),
)
"""Rights that no mode needs: who takes the runner over would have them too."""
READ_ONLY_TOO_MUCH = Needed("patch", "apps", "deployments", "", "its mode is read-only, and its account may write")


async def look_at_rights(client: KubeClient, config: RunnerConfig, user: str) -> list[CheckRow]:
    """What is missing for this runner's mode, and what is more than any mode needs; `user` as the API server calls it."""
    wanted = needed_rights(config)
    beyond = [*TOO_MUCH, *(() if config.mode == "writes" else (READ_ONLY_TOO_MUCH,))]
    try:
        answers = await gather_bounded([lambda n=n: _may(client, n) for n in [*wanted, *beyond]], _AT_ONCE)
    except KubeError as error:
        mend = "kubectl auth can-i create selfsubjectaccessreviews.authorization.k8s.io"
        return [fail("rights", "review", f"the API server does not say what this runner may do: {error.message}", mend)]
    may = dict(zip([*wanted, *beyond], answers, strict=True))
    rows = [_missing(resource, group, user) for resource, group in _by_resource([n for n in wanted if not may[n]]).items()]
    rows += [_excess(n, user) for n in beyond if may[n]]
    good = sum(may[n] for n in wanted)
    unseen = len(
        set(config.watch_namespaces[_MOST_NAMESPACES:]) | set((config.runner_mode().namespaces or ())[_MOST_NAMESPACES:])
    )
    if unseen:
        rows.append(skip("rights", "more namespaces", f"not looked at in {unseen} more of its namespaces"))
    return [ok("rights", "needed", f"{good} of {len(wanted)} needed rights are there, as {user or 'this account'}"), *rows]


async def _may(client: KubeClient, need: Needed) -> bool:
    resource, _, subresource = need.resource.partition("/")
    status = await review(
        client, verb=need.verb, group=need.group, resource=resource, subresource=subresource, namespace=need.namespace
    )
    return bool(status.get("allowed"))


def _by_resource(missing: Sequence[Needed]) -> dict[tuple[str, str], list[Needed]]:
    found: dict[tuple[str, str], list[Needed]] = {}
    for need in missing:
        found.setdefault((need.group, need.resource), []).append(need)
    return found


def _missing(which: tuple[str, str], needs: Sequence[Needed], user: str) -> CheckRow:
    group, resource = which
    full = f"{resource}.{group}" if group and "/" not in resource else resource
    verbs = sorted({need.verb for need in needs})
    spaces = sorted({need.namespace for need in needs})
    where = f" in {', '.join(spaces)}" if spaces != [""] else ""
    made = fail if any(need.vital for need in needs) else warn
    found = f"may not {', '.join(verbs)} {full}{where}: {'; '.join(sorted({need.without for need in needs}))}"
    return made("rights", full, found, _grant(full, verbs, spaces, user))


def _grant(full: str, verbs: Sequence[str], spaces: Sequence[str], user: str) -> str:
    """The two lines that give the right, and no more."""
    role = "opsthread-extra-" + full.replace("/", "-").replace(".", "-")
    lines = [f"kubectl create clusterrole {role} --verb={','.join(verbs)} --resource={full}"]
    for space in spaces:
        kind = f"rolebinding {role} -n {space}" if space else f"clusterrolebinding {role}"
        lines.append(f"kubectl create {kind} --clusterrole={role} {_subject(user)}")
    return " && ".join(lines)


def _subject(user: str) -> str:
    parts = (user or _DOCUMENTED_ACCOUNT).split(":")
    if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4:
        return shlex.quote(f"--serviceaccount={parts[2]}:{parts[3]}")
    return shlex.quote(f"--user={user}")  # the API server's word, in a line for a shell


def _excess(need: Needed, user: str) -> CheckRow:
    mend = f"Give {user or 'the runner'} the rights of its manifests alone: opsthread cluster add prints them."
    return warn("rights", f"more than needed: {need.verb} {need.resource}", need.without, mend)


async def _user(client: KubeClient) -> str:
    """Who the API server takes us for; "" where it is too old to say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", body, timeout=5)
    except KubeError:
        return ""
    return one_line(text(sub(answer, "status", "userInfo"), "username"), 200)


async def _api_server(client: KubeClient, user: str) -> list[CheckRow]:
    try:
        version: dict[str, Any] = await client.get("/version", timeout=5)
    except KubeError as error:
        mend = "Look whether the API server runs, and whether the runner's kubeconfig or service account is right."
        return [fail("cluster", "API server", one_line(error.message, 300), mend)]
    return [ok("cluster", "API server", f"Kubernetes {one_line(text(version, 'gitVersion'), 40)}, as {user or 'an account'}")]


def _cache(cache: LiveCache) -> list[CheckRow]:
    limits = cache.limits()
    said = f"{cache.size():,} objects" + (f"; {one_line('; '.join(limits), 500)}" if limits else "")
    match cache.state:
        case "warm" if not limits:
            return [ok("cluster", "live cache", said)]
        case "warm":
            return [warn("cluster", "live cache", said, "What is forbidden is listed under rights.")]
        case state:
            return [fail("cluster", "live cache", f"{state}: {said}", "Look into the runner's log for watch errors.")]


def place(holding: Holding) -> CheckRow:
    """Is this pod surely its cluster's active one?"""
    if holding.lease is None and holding.refused:
        mend = "kubectl auth can-i update leases.coordination.k8s.io   # the role opsthread-runner-own gives it"
        return warn("cluster", "lease", holding.told, mend)
    if holding.lease is None:
        return skip("cluster", "lease", holding.told)
    if holding.left() > 0:
        return ok("cluster", "lease", holding.told)
    return warn(
        "cluster", "lease", f"{holding.told}: writes are refused", "Look at the API server: the Lease can't be renewed."
    )


def _clock(offset: timedelta | None) -> list[CheckRow]:
    if offset is None:
        return [skip("clock", "runner", "the control plane has not told its time yet")]
    said, mend = f"{-offset.total_seconds():+.1f} s against the control plane", "timedatectl set-ntp true   # on the node"
    if abs(offset) >= _CLOCK_WRONG:
        return [fail("clock", "runner", f"{said}: writes are refused over {_CLOCK_WRONG.total_seconds():.0f} s", mend)]
    return [warn("clock", "runner", said, mend) if abs(offset) >= _CLOCK_OFF else ok("clock", "runner", said)]


def look_at_metrics(config: RunnerConfig, status: MetricsStatus) -> list[CheckRow]:
    """Which metrics server there is, what it lacks, and whether our proof is safe on the way to it."""
    where = "OPSTHREAD_RUNNER_PROMETHEUS_URL"
    if status.how == "off":
        found = status.told + (f"; {status.error}" if status.error else "")
        mend = f"{where}=http://prometheus-server.monitoring.svc   # in the runner's ConfigMap"
        if status.others and not status.error:
            spaces = sorted({other.split("/")[1] for other in status.others})
            mend = f"OPSTHREAD_RUNNER_PROMETHEUS_NAMESPACES={','.join(spaces)}   # if these Services are to be believed"
        return [warn("metrics", "server", found, mend)]
    if not status.answers:
        return [fail("metrics", "server", status.told, f"Correct {where}, or the credentials beside it.")]
    rows = [ok("metrics", "server", status.told)]
    rows += [_lacks(limit) for limit in status.limits]
    proof = config.prometheus_token or config.prometheus_token_file or config.prometheus_user or config.prometheus_header_files
    if proof and urlsplit(config.prometheus_url or "").scheme == "http":
        rows.append(warn("metrics", "credentials", "they go over plain http", f"{where}=https://…"))
    return rows


def _lacks(limit: str) -> CheckRow:
    """What is missing says itself what brings it: `no series of X: what is not known: what to do`."""
    name, _, rest = limit.partition(": ")
    return warn("metrics", name, rest, rest.rpartition(": ")[2]) if rest else ok("metrics", "labels", limit)


def _disk(folder: Path) -> list[CheckRow]:
    free = shutil.disk_usage(folder).free
    said = f"{free >> 20:,} MiB free at {folder}"
    mend = f"df -h {folder}   # make room, or give the runner's volume more"
    made = fail if free < _FREE_FAIL else warn
    return [made("data", "runner's disk", said, mend) if free < _FREE_WARN else ok("data", "runner's disk", said)]


def look_at_files(config: RunnerConfig, now: datetime) -> list[CheckRow]:
    """Certificates and secrets that this runner's configuration names."""
    rows: list[CheckRow] = []
    for name in RunnerConfig.model_fields:
        path = getattr(config, name)
        if not name.endswith("_file") or not isinstance(path, Path) or not (path.exists() or name in _MUST_BE):
            continue
        rows += _file(f"OPSTHREAD_RUNNER_{name.upper()}", path, now, certificate="ca_" in name or "cert_" in name)
    return rows


def _file(name: str, path: Path, now: datetime, *, certificate: bool) -> list[CheckRow]:
    try:
        text = path.read_text()
        end = expires_at(text) if certificate else None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        return [fail("keys", name, f"{path} can't be read: {why}", f"ls -l {path}   # is the Secret mounted?")]
    except NotACertificate as error:
        return [fail("keys", name, f"{path}: {error}", f"openssl x509 -in {path} -noout -text   # it must be PEM")]
    if end is None:
        return []
    said, mend = f"{path} ends on {end:%Y-%m-%d}", f"openssl x509 -in {path} -noout -subject -enddate   # renew it"
    if end <= now:
        return [fail("keys", name, said, mend)]
    return [warn("keys", name, said, mend)] if end - now < _ENDS_SOON else [ok("keys", name, said)]


def _spool(spool: Spool) -> list[CheckRow]:
    waiting = spool.depth
    if waiting <= MAX_ROWS // 10:
        return []
    found = f"{waiting:,} batches wait for the control plane, {spool.dropped:,} were dropped"
    return [warn("bus", "runner's spool", found, "Look whether JetStream takes messages: its disk may be full.")]
