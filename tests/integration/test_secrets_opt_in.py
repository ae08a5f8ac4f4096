"""Where a runner opens the names of Secrets by its own configuration: names and keys come out, values never do."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from protocol.commands import CommandStatus
from tests.integration.runner_rig import Stand, empty_stand, running_runner

pytestmark = pytest.mark.asyncio(loop_scope="module")

VALUES = ("c2hvcA==", "cHJhY3RpY2Utb25seQ==", "practice-only")
"""What is in the practice cluster's Secret, encoded and not."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stand]:
    """The account may read every Secret, so that only the runner's own care keeps them in."""
    async with empty_stand(tmp_path_factory.mktemp("opt-in"), secrets_opt_in=("shop",)) as made:
        made.values["kubeconfig"] = made.cluster.kubeconfigs["admin"]
        async with running_runner(made.plane, made.values):
            yield made


ROWS = {
    "get secrets -n shop": (CommandStatus.OK, "db-credentials"),
    "get secret db-credentials -n shop -o name": (CommandStatus.OK, "secret/db-credentials"),
    "describe secret db-credentials -n shop": (CommandStatus.OK, "password"),
    "get secret db-credentials -n shop -o yaml": (CommandStatus.DENIED, "values of Secrets are never read"),
    "get secret db-credentials -n shop -o json": (CommandStatus.DENIED, "values of Secrets are never read"),
    "get secret db-credentials -n shop -o jsonpath={.data}": (CommandStatus.DENIED, "values of Secrets are never read"),
    "get secrets -n shop --sort-by=.data.password": (CommandStatus.DENIED, "values of Secrets are never read"),
    "get secrets -A": (CommandStatus.DENIED, "Secrets are not read"),
    "get secrets -n kube-system": (CommandStatus.DENIED, "Secrets are not read"),
}


@pytest.mark.parametrize("line", ROWS)
async def test_names_and_keys_and_never_values(here: Stand, line: str) -> None:
    status, says = ROWS[line]
    result = await here.plane.kubectl(line)
    assert result.status is status, result.error
    assert says in result.text + result.error
    assert not [value for value in VALUES if value in f"{result.text}{result.error}{result.data}"]


async def test_it_is_within_the_askers_scope(here: Stand) -> None:
    result = await here.plane.kubectl("get secrets -n shop", namespaces=("default",))
    assert result.status is CommandStatus.DENIED
    assert "db-credentials" not in result.text + result.error


async def test_the_control_plane_is_told(here: Stand) -> None:
    assert here.plane.hellos[-1].mode.secrets_opt_in == ("shop",)
