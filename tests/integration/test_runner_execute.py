"""Plans and grants against the practice cluster: what runs, what is undone, and what never runs."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from protocol import subjects
from protocol.commands import CheckPlan, CommandRequest, CommandStatus, Execute, PreparePlan
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import (
    CordonNode,
    CreateConfigMap,
    DeletePod,
    DrainNode,
    PatchConfigMap,
    Remediation,
    RestartWorkload,
    Risk,
    RollbackWorkload,
    ScaleWorkload,
    SetImage,
    SetResources,
    UncordonNode,
)
from tests.integration.runner_rig import (
    CLUSTER,
    RUNNER,
    Plane,
    Stand,
    empty_stand,
    free_port,
    running_runner,
    stand,
    until,
)

PAYMENTS = ObjectRef.parse("Deployment/shop/payments")
MORE_MEMORY = SetResources(target=PAYMENTS, container="payments", limits={"memory": "512Mi"}, requests={"memory": "512Mi"})
SCALE_CATALOG = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/catalog"), replicas=3)
"""No autoscaler sets it again, as one does with web."""
SCALE_WEB = ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=3)


async def healed(plane: Plane, action: Remediation, within_s: float = 60) -> str:
    """Prepare, execute, and poll the check until it has an answer."""
    plan = await plane.plan(action)
    assert plan.cannot_run is None
    started = datetime.now(UTC)
    done = await plane.execute(plan)
    assert done.execution().outcome == "applied", done.error
    last = ""

    async def answer() -> str | None:
        nonlocal last
        seen = (await plane.ask(CheckPlan(body=plan.body, started_at=started))).check()
        last = seen.message
        return seen.outcome if seen.outcome in ("healthy", "worse") else None

    try:
        return await until(answer, "an answer of the check", within_s)
    except AssertionError as late:
        raise AssertionError(f"{late}; it said last: {last}") from late


async def patched(here: Stand, path: str, change: dict[str, Any]) -> None:
    """Somebody else changes an object."""
    async with (
        aiohttp.ClientSession() as session,
        session.patch(
            f"{here.cluster.url}{path}",
            data=json.dumps(change),
            ssl=False,
            headers={"Authorization": f"Bearer {here.cluster.token}", "Content-Type": "application/merge-patch+json"},
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()


async def test_more_memory_heals_payments(tmp_path: Path) -> None:
    async with stand(tmp_path, "payments-oom") as here:
        assert await healed(here.plane, MORE_MEMORY) == "healthy"


async def test_a_rollback_heals_payments_and_names_its_revision(tmp_path: Path) -> None:
    async with stand(tmp_path, "payments-oom") as here:
        plan = await here.plane.plan(RollbackWorkload(target=PAYMENTS))
        assert isinstance(plan.body.action, RollbackWorkload)
        assert plan.body.action.to_revision == 2
        assert plan.body.undo == RollbackWorkload(target=PAYMENTS, to_revision=3)
        assert await healed(here.plane, RollbackWorkload(target=PAYMENTS)) == "healthy"


async def test_the_undo_brings_back_what_was(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(SCALE_CATALOG)
        before = await here.replicas("catalog")
        authority = f"approval:{new_id()}"
        assert (await here.plane.execute(plan, here.plane.grant(plan, authority=authority))).execution().outcome == "applied"
        assert await here.replicas("catalog") == "3"
        undo = here.plane.grant(plan, authority=authority, purpose="undo")
        assert (await here.plane.execute(plan, undo)).execution().outcome == "applied"
        assert await here.replicas("catalog") == before


async def test_an_undo_of_what_somebody_changed_since_is_refused(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(SCALE_CATALOG)
        await here.plane.execute(plan)
        await here.plane.execute(await here.plane.plan(ScaleWorkload(target=SCALE_CATALOG.target, replicas=4)))
        refused = await here.plane.execute(plan, here.plane.grant(plan, purpose="undo"))
        assert refused.execution().code == "object_changed"
        assert await here.replicas("catalog") == "4"


async def test_config_maps_are_patched_created_and_restored(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        config = ObjectRef.parse("ConfigMap/shop/checkout-config")
        patch = await here.plane.plan(PatchConfigMap(target=config, data={"NEW_KEY": "1"}))
        assert patch.body.undo == PatchConfigMap(target=config, data={"NEW_KEY": None})
        await here.plane.execute(patch)
        await here.plane.execute(patch, here.plane.grant(patch, purpose="undo"))
        text = (await here.plane.kubectl("get cm checkout-config -n shop -o yaml")).text
        assert "NEW_KEY" not in text
        fresh = await here.plane.plan(CreateConfigMap(target=ObjectRef.parse("ConfigMap/shop/extra"), data={"a": "1"}))
        assert fresh.body.target_uid == ""
        assert (await here.plane.execute(fresh)).execution().outcome == "applied"
        again = await here.plane.ask(PreparePlan(action=fresh.body.action))
        assert again.status is CommandStatus.INVALID
        assert "exists already" in again.error


async def test_an_undo_that_the_account_may_not_run_is_not_promised(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        action = CreateConfigMap(target=ObjectRef.parse("ConfigMap/shop/extra"), data={"a": "1"})
        whole = await here.plane.plan(action)
        assert whole.body.undo is not None
        assert whole.risk is Risk.LOW
        await here.cluster.fault("selfsubjectaccessreviews", status=403)
        without = await here.plane.plan(action)
        assert without.body.undo is None
        assert without.risk is Risk.MEDIUM
        assert without.cannot_run is None
        assert "It could not be undone: the runner cannot tell whether it may delete configmaps" in without.expected_effect


async def test_restart_delete_pod_and_cordon(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        pod = (await here.plane.kubectl("get pods -n shop -l app=web -o jsonpath={.items[0].metadata.name}")).text.strip()
        both = (
            RestartWorkload(target=ObjectRef.parse("Deployment/shop/search")),
            DeletePod(target=ObjectRef(kind="Pod", namespace="shop", name=pod)),
        )
        assert await asyncio.gather(*(healed(here.plane, action) for action in both)) == ["healthy", "healthy"]
        assert await healed(here.plane, CordonNode(target=ObjectRef.parse("Node//worker-1"))) == "healthy"


async def test_a_config_map_put_right_heals_checkout(tmp_path: Path) -> None:
    async with stand(tmp_path, "checkout-configmap") as here:
        config = ObjectRef.parse("ConfigMap/shop/checkout-config")
        plan = await here.plane.plan(PatchConfigMap(target=config, data={"PAYMENTS_URL": "http://payments:8080"}))
        assert plan.body.undo == PatchConfigMap(target=config, data={"PAYMENTS_URL": "http://payment:8080"})
        assert "Deployment/checkout" in plan.blast_radius.note
        assert await healed(here.plane, plan.body.action) == "healthy"
        status = await here.cluster.admin("scenarios/checkout-configmap", method="GET")
        assert status["healthy"], status


async def test_a_drain_empties_the_node_and_is_undone_by_uncordon(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        node = ObjectRef.parse("Node//worker-1")
        plan = await here.plane.plan(DrainNode(target=node, delete_emptydir_data=True))
        assert plan.risk is Risk.HIGH
        assert plan.body.undo == UncordonNode(target=node)
        assert plan.blast_radius.pods > 0
        assert await healed(here.plane, plan.body.action) == "healthy"
        left = await here.plane.kubectl("get pods -A --field-selector=spec.nodeName=worker-1 -o name")
        assert "pod/kube-proxy" in left.text
        # Finished pods stay: they hold nothing, and their logs may still be wanted.
        assert all("kube-proxy" in line or "nightly-export" in line for line in left.text.split())


@pytest.mark.parametrize(("status", "words"), [(403, "evicting its pods stopped"), (429, "could not be evicted in time")])
async def test_a_drain_that_stops_half_way_is_not_said_to_have_changed_nothing(tmp_path: Path, status: int, words: str) -> None:
    """The node is cordoned by then, and the undo must know it."""
    async with stand(tmp_path) as here:
        node = ObjectRef.parse("Node//worker-1")
        plan = await here.plane.plan(DrainNode(target=node, delete_emptydir_data=True))
        await here.cluster.fault("/eviction$", status=status, count=1000)
        authority = f"approval:{new_id()}"
        soon = datetime.now(UTC) + timedelta(seconds=9)
        done = await here.plane.execute(plan, here.plane.grant(plan, authority=authority, expires_at=soon))
        assert done.execution().outcome == "applied"
        assert words in done.execution().message
        seen = await here.plane.ask(CheckPlan(body=plan.body, started_at=datetime.now(UTC)))
        assert seen.check().outcome == "waiting"
        undone = await here.plane.execute(plan, here.plane.grant(plan, authority=authority, purpose="undo"))
        assert undone.execution().outcome == "applied"


async def test_a_drain_that_is_told_to_stop_evicts_no_further_pod(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(DrainNode(target=ObjectRef.parse("Node//worker-1"), delete_emptydir_data=True))
        await here.cluster.fault("/eviction$", status=429, count=1000)
        command = Execute(body=plan.body, grant=here.plane.grant(plan))
        request = CommandRequest(id=new_id(), command=command, deadline_s=60)
        done = asyncio.create_task(here.plane.result(await here.plane.start(request), 50))
        await until(lambda: any("pods evicted" in note.note for note in here.plane.progress), "it waits for budgets", 20)
        await here.plane.client.publish(subjects.cancel(CLUSTER, RUNNER), request.id.encode())
        await here.cluster.admin("faults", method="DELETE")
        outcome = (await done).execution()
        assert outcome.outcome == "applied"
        assert "stopped by order" in outcome.message
        left = await here.plane.kubectl("get pods -A --field-selector=spec.nodeName=worker-1 -o name")
        assert any("kube-proxy" not in line for line in left.text.split())


async def test_a_bad_image_is_worse(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        action = SetImage(
            target=ObjectRef.parse("Deployment/shop/catalog"), container="catalog", image="registry.shop.example/catalog:3.4.9"
        )
        assert await healed(here.plane, action) == "worse"


async def test_a_plan_shows_what_it_would_do_and_changes_nothing(tmp_path: Path) -> None:
    async with stand(tmp_path, "payments-oom") as here:
        plan = await here.plane.plan(MORE_MEMORY)
        assert plan.diff_source == "server-dry-run"
        assert "-            memory: 256Mi" in plan.diff
        assert "+            memory: 512Mi" in plan.diff
        assert plan.blast_radius.pods == 2
        assert plan.blast_radius.services == ("payments",)
        assert plan.verify_hash()
        limit = "get deploy payments -n shop -o jsonpath={.spec.template.spec.containers[0].resources.limits.memory}"
        assert (await here.plane.kubectl(limit)).text.strip() == "256Mi"


async def test_a_diff_that_a_card_can_not_show_whole_can_not_be_approved(tmp_path: Path) -> None:
    """What comes after the cut would run unseen."""
    async with stand(tmp_path) as here:
        target = ObjectRef.parse("ConfigMap/shop/many-keys")
        data = {f"key-{n:04}": "x" * 100 for n in range(150)} | {"zz-last": "unseen"}
        plan = await here.plane.plan(CreateConfigMap(target=target, data=data))
        assert "unseen" not in plan.diff
        assert plan.cannot_run is not None
        assert "longer than the 16,000 characters" in plan.cannot_run


async def test_an_autoscaler_would_revert_a_scale(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(SCALE_WEB)
        assert plan.owner.kind == "hpa"
        assert plan.owner.reverts


async def test_read_only_shows_a_computed_diff_and_runs_nothing(tmp_path: Path) -> None:
    async with stand(tmp_path, "payments-oom", mode="read-only", remediations=()) as here:
        plan = await here.plane.plan(MORE_MEMORY)
        assert plan.diff_source == "computed"
        assert "512Mi" in plan.diff
        assert plan.cannot_run is not None
        assert "read-only" in plan.cannot_run
        refused = await here.plane.execute(plan)
        assert refused.status is CommandStatus.DENIED
        assert "read-only" in refused.error


async def test_an_account_without_the_right_says_so(tmp_path: Path) -> None:
    async with empty_stand(tmp_path, "payments-oom") as here:
        values = {**here.values, "kubeconfig": here.cluster.kubeconfigs["viewer"]}
        async with running_runner(here.plane, values):
            plan = await here.plane.plan(MORE_MEMORY)
            assert plan.diff_source == "computed"
            assert plan.cannot_run is not None
            assert "no right to patch deployments" in plan.cannot_run


async def test_a_grant_for_one_plan_does_not_run_another(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(SCALE_WEB)
        other = plan.body.model_copy(update={"action": ScaleWorkload(target=SCALE_WEB.target, replicas=0)})
        refused = await here.plane.ask(Execute(body=other, grant=here.plane.grant(plan)))
        assert refused.execution().code == "other_plan"
        assert await here.replicas("web") == "2"


async def test_an_object_that_changed_since_is_refused(tmp_path: Path) -> None:
    async with stand(tmp_path) as here:
        plan = await here.plane.plan(SCALE_CATALOG)
        await here.plane.execute(await here.plane.plan(ScaleWorkload(target=SCALE_CATALOG.target, replicas=5)))
        refused = await here.plane.execute(plan)
        assert refused.execution().code == "object_changed"
        assert await here.replicas("catalog") == "5"


async def test_a_clock_that_is_off_is_said_and_reads_go_on(tmp_path: Path) -> None:
    port = free_port()
    async with empty_stand(tmp_path, health_port=port) as here:
        here.plane.clock_off = timedelta(seconds=45)
        async with running_runner(here.plane, here.values):
            assert "payments" in (await here.plane.kubectl("get pods -n shop")).text
            plan = await here.plane.plan(SCALE_WEB)
            assert "(+45 s): mend it (NTP)" in (plan.cannot_run or "")
            assert "(+45 s): mend it (NTP)" in here.plane.beats[-1].summary.cannot_write
            async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                assert "mend it (NTP)" in (await answer.json())["cannot_write"]
            assert (await here.plane.execute(plan)).execution().code == "clock"
            assert await here.replicas("web") == "2"


SHOP_ALONE = "^/api/v1/namespaces/shop$"


async def test_a_protected_namespace_that_cannot_be_read_now_is_known_from_the_cache(tmp_path: Path) -> None:
    async with empty_stand(tmp_path) as here:
        labels = {"metadata": {"labels": {"opsthread.dev/protected": "true"}}}
        await patched(here, "/api/v1/namespaces/shop", labels)
        async with running_runner(here.plane, here.values):
            await here.cluster.fault(SHOP_ALONE, status=403, count=100)
            assert (await here.plane.plan(SCALE_WEB)).risk is Risk.HIGH


async def test_a_namespace_that_nobody_has_seen_is_no_low_risk(tmp_path: Path) -> None:
    async with stand(tmp_path, watch_namespaces=("shop",)) as here:
        assert (await here.plane.plan(SCALE_WEB)).risk is Risk.LOW
        await here.cluster.fault(SHOP_ALONE, status=403, count=100)
        assert (await here.plane.plan(SCALE_WEB)).risk is Risk.MEDIUM
