"""A fix that somebody reverts, from end to end: the runner's plan warns and has a patch for Git, the fix made only in the
cluster is taken back and the check says by whom, and the same change in Git heals for good."""

from datetime import UTC, datetime
from pathlib import Path

from protocol.commands import REVERTED, CheckPlan
from protocol.objects import ObjectRef
from protocol.remediation import SetImage
from tests.integration.runner_rig import stand
from tests.integration.waiting import until

TARGET = ObjectRef.parse("Deployment/shop/recommend")
GOOD = "registry.shop.example/recommend:2.0.3"
IMAGE = "get deploy recommend -n shop -o jsonpath={.spec.template.spec.containers[0].image}"


async def test_argo_cd_reverts_what_is_mended_only_in_the_cluster(tmp_path: Path) -> None:
    async with stand(tmp_path, "recommend-gitops") as here:

        async def taken_back() -> bool:
            return (await here.plane.kubectl(IMAGE)).text.strip() != GOOD

        async def healthy() -> bool:
            return bool((await here.cluster.admin("scenarios/recommend-gitops", method="GET"))["healthy"])

        plan = await here.plane.plan(SetImage(target=TARGET, container="recommend", image=GOOD))
        assert (plan.owner.kind, plan.owner.name, plan.owner.reverts) == ("argocd", "recommend", True)
        assert plan.owner.git_patch
        assert GOOD in plan.owner.git_patch
        started = datetime.now(UTC)
        assert (await here.plane.execute(plan)).execution().outcome == "applied"
        await until(taken_back, "Argo CD takes the change back", 20)
        assert (await here.plane.kubectl(IMAGE)).text.strip().endswith(":2.1.0")
        seen = (await here.plane.ask(CheckPlan(body=plan.body, started_at=started))).check()
        assert (seen.outcome, seen.code) == ("worse", REVERTED)
        assert "Argo CD application recommend" in seen.message
        await here.cluster.admin("scenarios/recommend-gitops/heal")

        await until(healthy, "what Git says now holds", 40)
        assert (await here.plane.kubectl(IMAGE)).text.strip() == GOOD
