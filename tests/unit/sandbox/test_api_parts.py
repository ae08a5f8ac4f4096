"""The small parts: selectors, patches, quantities, ages, cron, protobuf bodies, field ownership, certificates."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sandbox import fields, patches, protobuf, quantity, selectors
from sandbox.auth import IDENTITIES
from sandbox.clock import duration, human
from sandbox.controllers.jobs import next_run
from sandbox.errors import ApiError
from sandbox.objects import Obj
from sandbox.rbac import Question, allowed
from sandbox.requests import target
from sandbox.resources import POD
from sandbox.tls import certificates
from tests.unit.sandbox.bench import CONFIG_MAPS, DEPLOYMENTS, PODS, Bench, deployment


@pytest.mark.parametrize(
    ("text", "value"),
    [("250m", 0.25), ("512Mi", 512 * 2**20), ("1G", 1e9), ("2", 2), ("1e3", 1000), ("1.5Gi", 1.5 * 2**30), ("100n", 1e-7)],
)
def test_quantities(text: str, value: float) -> None:
    assert quantity.parse(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "Mi", "1MB", "12 Mi", "1..2", "lots"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantit"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (5, "5s"),
        (119, "119s"),
        (200, "3m20s"),
        (1500, "25m"),
        (18600, "5h10m"),
        (100_000, "27h"),
        (600_000, "6d22h"),
        (3_600_000, "41d"),
    ],
)
def test_ages_as_kubectl_prints_them(seconds: float, said: str) -> None:
    assert human(seconds) == said


def test_durations() -> None:
    assert [duration(d) for d in ("90s", "25m", "6d2h", "7")] == [90, 1500, 525_600, 7]


@pytest.mark.parametrize("selector", ["a=b=c", "a in b", "a in (b", "=x", "a b", "a,,b"])
def test_what_is_no_label_selector(selector: str) -> None:
    with pytest.raises(ApiError) as refused:
        selectors.labels(selector)({})
    assert refused.value.code == 400


def test_field_selectors_know_their_fields() -> None:
    test = selectors.fields("spec.nodeName=n1,status.phase!=Failed", POD)
    assert test({"spec": {"nodeName": "n1"}, "status": {"phase": "Running"}})
    assert not test({"spec": {"nodeName": "n1"}, "status": {"phase": "Failed"}})
    with pytest.raises(ApiError):
        selectors.fields("spec.color=red", POD)


CONTAINERS: Obj = {
    "kind": "Pod",
    "spec": {"containers": [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]},
}


@pytest.mark.parametrize(
    ("patch", "containers"),
    [
        ([{"name": "a", "image": "2"}], [{"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]),
        ([{"name": "b", "$patch": "delete"}], [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}]),
        ([{"name": "c"}], [*CONTAINERS["spec"]["containers"], {"name": "c"}]),
        ([{"$patch": "replace"}, {"name": "z"}], [{"name": "z"}]),
        ([{"name": "a", "env": [{"name": "Y", "value": "2"}]}],
         [{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}, {"name": "b"}]),
        ([{"name": "a", "env": None}], [{"name": "a", "image": "1"}, {"name": "b"}]),
    ],
)  # fmt: skip
def test_strategic_merge_of_lists(patch: list[Any], containers: list[Any]) -> None:
    body = {"spec": {"containers": patch}}
    assert patches.patched(CONTAINERS, body, patches.STRATEGIC_PATCH)["spec"]["containers"] == containers
    assert CONTAINERS["spec"]["containers"][0]["image"] == "1"


def test_strategic_directives() -> None:
    pod: Obj = {
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {"containers": [{"name": "a"}, {"name": "b"}], "strategy": {"x": 1, "y": 2}},
    }
    body: Obj = {
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]},
        "spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "strategy": {"$retainKeys": ["x"], "x": 3}},
    }
    made = patches.patched(pod, body, patches.STRATEGIC_PATCH)
    assert made["metadata"]["finalizers"] == ["b"]
    assert [c["name"] for c in made["spec"]["containers"]] == ["b", "a"]
    assert made["spec"]["strategy"] == {"x": 3}


def test_a_merge_patch_is_not_a_strategic_one() -> None:
    made = patches.patched(CONTAINERS, {"spec": {"containers": [{"name": "a"}]}}, patches.MERGE_PATCH)
    assert made["spec"]["containers"] == [{"name": "a"}]


def test_unknown_patch_types_are_refused() -> None:
    with pytest.raises(ApiError) as refused:
        patches.patched(CONTAINERS, {}, "application/json")
    assert refused.value.code == 415


@pytest.mark.parametrize(
    ("schedule", "now", "due"),
    [
        ("15 2 * * *", "2026-03-01T03:00", "2026-03-02T02:15"),
        ("*/5 * * * *", "2026-03-01T03:01", "2026-03-01T03:05"),
        ("0 0 1 * *", "2026-03-01T00:00", "2026-04-01T00:00"),
        ("0 9-17/4 * * 1-5", "2026-03-06T14:00", "2026-03-06T17:00"),
        ("@hourly", "2026-03-01T03:01", "2026-03-01T04:00"),
    ],
)
def test_cron(schedule: str, now: str, due: str) -> None:
    def moment(text: str) -> float:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    assert next_run(schedule, moment(now)) == moment(due)


@pytest.mark.parametrize("schedule", ["", "* * * *", "a b c d e", "0 0 31 2 *"])
def test_cron_that_never_comes(schedule: str) -> None:
    assert next_run(schedule, 1_700_000_000.0) is None


# kubectl create configmap c --from-literal=a=b, as kubectl puts it on the wire: an envelope of type and raw object
_TYPE = b"\x0a\x02v1\x12\x09ConfigMap"
_RAW = b"\x0a\x03\x0a\x01c\x12\x06\x0a\x01a\x12\x01b"
CONFIG_MAP_BODY = b"k8s\x00\x0a" + bytes([len(_TYPE)]) + _TYPE + b"\x12" + bytes([len(_RAW)]) + _RAW


def test_protobuf_bodies() -> None:
    made = protobuf.decode(CONFIG_MAP_BODY)
    assert made == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}


@pytest.mark.parametrize("cut", [5, 8, 20, len(CONFIG_MAP_BODY) - 3])
def test_a_damaged_protobuf_body_is_refused(cut: int) -> None:
    with pytest.raises(ApiError) as refused:
        protobuf.decode(CONFIG_MAP_BODY[:cut])
    assert refused.value.code in (400, 415)


def test_who_owns_a_field_follows_who_changed_it() -> None:
    one: Obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "1"}}
    first = fields.tracked(None, one, "alice", "t1")
    second = fields.tracked(first, {**first, "data": {"a": "2", "b": "1"}}, "bob", "t2")
    assert [(e["manager"], e["time"], e["fieldsV1"]) for e in second["metadata"]["managedFields"]] == [
        ("alice", "t1", {"f:data": {"f:b": {}}}),
        ("bob", "t2", {"f:data": {"f:a": {}}}),
    ]


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/api/v1/pods", ("", "pods", "", "", "")),
        ("/api/v1/namespaces", ("", "namespaces", "", "", "")),
        ("/api/v1/namespaces/shop", ("", "namespaces", "", "shop", "")),
        ("/api/v1/namespaces/shop/status", ("", "namespaces", "", "shop", "status")),
        ("/api/v1/namespaces/shop/pods/p/log", ("", "pods", "shop", "p", "log")),
        ("/apis/apps/v1/namespaces/shop/deployments/d/scale", ("apps", "deployments", "shop", "d", "scale")),
        ("/apis/apps/v1/deployments", ("apps", "deployments", "", "", "")),
    ],
)
def test_paths(path: str, named: tuple[str, ...]) -> None:
    found = target(path)
    assert found is not None
    assert (found.group, found.plural, found.namespace, found.name, found.subresource) == named


def test_only_admin_sees_secrets_and_the_runner_can_not_break_out() -> None:
    store, rights = Bench().cluster.store, {who.name: who for who in IDENTITIES}

    def may(who: str, verb: str, group: str, resource: str, namespace: str = "shop") -> bool:
        return allowed(store, rights[who], Question(verb, group, resource, namespace))

    for name in ("viewer", "runner"):
        for verb in ("get", "list", "watch", "create", "patch", "delete"):
            assert not may(name, verb, "", "secrets")
            assert not may(name, verb, "rbac.authorization.k8s.io", "clusterrolebindings", "")
        assert not may(name, "create", "", "pods")
        assert not may(name, "delete", "", "namespaces", "")
        assert not may(name, "deletecollection", "", "pods")
        assert not may(name, "impersonate", "", "users", "")
        assert not may(name, "create", "", "serviceaccounts/token")
    assert may("runner", "patch", "apps", "deployments")
    assert not may("viewer", "patch", "apps", "deployments")
    assert may("admin", "delete", "", "nodes", "")


def test_a_client_that_checks_strictly_trusts_the_certificate(tmp_path: Path) -> None:
    keys = certificates()
    server_side, client_side = ssl.MemoryBIO(), ssl.MemoryBIO()
    trust = ssl.create_default_context(cadata=keys.authority)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    client = trust.wrap_bio(client_side, server_side, server_hostname="127.0.0.1")
    server = keys.context(tmp_path).wrap_bio(server_side, client_side, server_side=True)
    for _ in range(6):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    subject = client.getpeercert()
    assert subject is not None
    assert "127.0.0.1" in str(subject["subjectAltName"])
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_every_write_leaves_no_trace() -> None:
    bench = Bench()
    bench.create(CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "1"}})
    before = bench.cluster.store.version
    pod = bench.get(PODS, labelSelector="app=orders")["items"][0]["metadata"]["name"]

    def dry(method: str, path: str, body: Any = None, kind: str = "application/json", **more: str) -> None:
        bench.answer(method, path, body, query={"dryRun": "All", **more}, content_type=kind)

    dry("POST", DEPLOYMENTS, deployment("new"))
    dry("PUT", f"{CONFIG_MAPS}/kept", {"metadata": {"name": "kept"}, "data": {"a": "2"}})
    for kind in (patches.MERGE_PATCH, patches.STRATEGIC_PATCH):
        dry("PATCH", f"{CONFIG_MAPS}/kept", {"data": {"a": "2"}}, kind)
    for name in ("kept", "fresh"):
        wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"z": "1"}}
        dry("PATCH", f"{CONFIG_MAPS}/{name}", wanted, patches.APPLY_PATCH, fieldManager="me", force="true")
    dry("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 9}}, patches.MERGE_PATCH)
    dry("PATCH", f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 9}}, patches.MERGE_PATCH)
    dry("POST", f"{PODS}/{pod}/eviction", {"metadata": {"name": pod}})
    dry("DELETE", f"{PODS}/{pod}")
    dry("DELETE", CONFIG_MAPS)
    bench.answer("DELETE", f"{CONFIG_MAPS}/kept", {"dryRun": ["All"]})
    assert bench.cluster.store.version == before
