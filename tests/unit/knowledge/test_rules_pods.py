"""Rules on containers, configuration, images and logs: where they fire, and a twin in which they must not."""

import pytest

from tests.unit.knowledge.faults import (
    PAY,
    POD,
    PULL,
    Row,
    crash,
    edit,
    env_points_nowhere,
    events_were_long_ago,
    evicted,
    first,
    hits,
    init_waits,
    liveness,
    mount_fails,
    oom_without_limit,
    other_reason,
    pulled,
    pulls,
    readiness,
    ready_again,
    sandbox_fails,
    set_status,
    status,
    stuck,
    waits,
    well,
)
from tests.unit.knowledge.faults_platform import logs_errors, only_once
from tests.unit.knowledge.shop import checkout_config, payments_oom
from tests.unit.knowledge.world import ago

TABLE: list[Row] = [
    Row(
        "memory-limit-too-low",
        PAY,
        payments_oom,
        lambda w: [
            p["status"]["containerStatuses"][0]["lastState"]["terminated"].update(reason="Error")
            for p in w.pods_named("payments")
        ],
    ),
    Row("memory-limit-too-low", PAY, crash(137, reason="OOMKilled"), well),
    Row(
        "out-of-memory-on-node",
        PAY,
        oom_without_limit,
        lambda w: first(w)["spec"]["containers"][0]["resources"].update(limits={"memory": "64Mi"}),
    ),
    Row("crash-on-start", PAY, crash(1), well),
    Row(
        "crash-on-start",
        PAY,
        crash(0, reason="Completed"),
        set_status(ready=True, state={"running": {"startedAt": ago(minutes=2)}}),
    ),
    Row(
        "command-not-found",
        PAY,
        crash(127, message='exec: "payd": executable file not found in $PATH: unknown', reason="StartError"),
        lambda w: status(w)["lastState"]["terminated"].update(message="", exitCode=1),
    ),
    Row(
        "env-variable-missing",
        PAY,
        crash(1, "fatal: environment variable API_TOKEN is not set"),
        lambda w: first(w)["spec"]["containers"][0].update(env=[{"name": "API_TOKEN", "value": "x"}]),
    ),
    Row("liveness-probe-wrong", PAY, liveness, lambda w: status(w)["lastState"]["terminated"].update(reason="OOMKilled")),
    Row("liveness-probe-wrong", PAY, liveness, events_were_long_ago),
    Row("readiness-probe-failing", PAY, readiness("HTTP probe failed with statuscode: 503"), ready_again),
    Row(
        "readiness-probe-wrong",
        PAY,
        readiness("HTTP probe failed with statuscode: 404"),
        lambda w: w.objects[-1].update(message="Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ),
    Row(
        "init-container-waiting",
        PAY,
        init_waits,
        lambda w: first(w)["status"]["initContainerStatuses"][0]["state"]["running"].update(startedAt=ago(seconds=50)),
    ),
    Row(
        "init-container-waiting",
        PAY,
        init_waits,
        lambda w: first(w)["spec"]["initContainers"][0].update(restartPolicy="Always"),
    ),
    Row(
        "container-create-error",
        PAY,
        waits("CreateContainerError", "context deadline exceeded"),
        set_status(state={"waiting": {"reason": "ContainerCreating"}}),
    ),
    Row("sandbox-failed", PAY, sandbox_fails, events_were_long_ago),
    Row("pod-evicted", PAY, evicted, lambda w: first(w)["status"].update(startTime=ago(days=3))),
    Row("pod-stuck-terminating", POD, stuck, lambda w: first(w)["metadata"].update(deletionTimestamp=ago(seconds=20))),
    Row(
        "configmap-wrong-value",
        "ConfigMap/shop/checkout-config",
        checkout_config,
        lambda w: w.service("payments-v2", {"app": "payments"}),
    ),
    Row("env-wrong-value", PAY, env_points_nowhere, lambda w: w.service("serach", {"app": "search"})),
    Row(
        "configmap-missing",
        "ConfigMap/shop/app-config",
        waits("CreateContainerConfigError", 'configmap "app-config" not found'),
        lambda w: w.configmap("app-config", {}),
    ),
    Row(
        "configmap-missing",
        "ConfigMap/shop/tls-conf",
        mount_fails('MountVolume.SetUp failed for volume "conf" : configmap "tls-conf" not found'),
        lambda w: w.configmap("tls-conf", {}),
    ),
    Row(
        "configmap-key-missing",
        "ConfigMap/shop/checkout-config",
        waits("CreateContainerConfigError", "couldn't find key MODE in ConfigMap shop/checkout-config"),
        lambda w: w.get("ConfigMap", "checkout-config")["data"].update(MODE="a"),
    ),
    Row(
        "configmap-key-missing",
        "ConfigMap/shop/checkout-config",
        mount_fails('MountVolume.SetUp failed for volume "conf" : references non-existent config key: nginx.conf'),
        lambda w: w.get("ConfigMap", "checkout-config")["data"].update({"nginx.conf": "a"}),
    ),
    Row(
        "secret-missing",
        "Secret/shop/db",
        waits("CreateContainerConfigError", 'secret "db" not found'),
        other_reason('configmap "db" not found'),
    ),
    Row(
        "secret-key-missing",
        "Secret/shop/db",
        waits("CreateContainerConfigError", "couldn't find key PASSWORD in Secret shop/db"),
        other_reason("couldn't find key PASSWORD in ConfigMap shop/db"),
    ),
    Row("image-tag-not-found", PAY, pulls(f'failed to pull and unpack image "{PULL}": {PULL}: not found'), pulled),
    Row(
        "image-pull-unauthorized",
        PAY,
        pulls("failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized"),
        other_reason("dial tcp 10.0.0.9:443: i/o timeout"),
    ),
    Row(
        "image-pull-rate-limited",
        PAY,
        pulls("toomanyrequests: You have reached your pull rate limit"),
        other_reason("manifest unknown"),
    ),
    Row(
        "image-registry-unreachable",
        PAY,
        pulls("dial tcp: lookup registry.example on 10.0.0.2:53: no such host"),
        other_reason("manifest unknown"),
    ),
    Row(
        "image-architecture-mismatch",
        PAY,
        pulls("no match for platform in manifest: not found"),
        other_reason(f"{PULL}: not found"),
    ),
    Row(
        "image-name-invalid",
        PAY,
        waits("InvalidImageName", 'Failed to apply default image tag "Pay:1": couldn\'t parse image name'),
        pulled,
    ),
    Row("image-pull-failed", PAY, waits("ImagePullBackOff", f'Back-off pulling image "{PULL}"'), pulled),
    Row(
        "dependency-unreachable",
        "Deployment/shop/web",
        logs_errors("dial tcp: connect: connection refused http://checkout:8080/cart"),
        only_once,
    ),
    Row(
        "upstream-errors",
        "Deployment/shop/web",
        logs_errors('GET /checkout HTTP/1.1" 502 157 upstream=checkout:8080'),
        lambda w: w.logs.update({k: v.replace(" 502 ", " 200 ") for k, v in w.logs.items()}),
    ),
    Row("permission-denied", PAY, crash(1, "open /data/x: permission denied"), well),
    Row("certificate-invalid", PAY, crash(1, "x509: certificate has expired or is not yet valid"), well),
    Row("authentication-failed", PAY, crash(1, 'FATAL: password authentication failed for user "app"'), well),
    Row("disk-full", PAY, crash(1, "write /data/wal: no space left on device"), well),
    Row("port-in-use", PAY, crash(1, "listen tcp :8080: bind: address already in use"), well),
    Row(
        "env-wrong-value",
        PAY,
        edit(lambda s: s["containers"][0].update(env=[{"name": "SEARCH_URL", "value": "http://search:9200"}])),
        lambda w: w.get("Service", "search")["spec"]["ports"][0].update(port=9200),
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[f"{n}-{row.code}" for n, row in enumerate(TABLE)])
def test_a_rule_fires_and_its_twin_does_not(row: Row) -> None:
    world = row.make()
    assert (row.code, row.target) in hits(world)

    row.twin(world)
    assert (row.code, row.target) not in hits(world)
