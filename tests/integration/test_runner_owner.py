"""A GitOps owner on the practice cluster: the naive fix is taken back and said to be; its patch for Git heals."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import yaml

from protocol.commands import REVERTED, CheckOutcome, CheckPlan
from protocol.ids import new_id
from protocol.objects import ObjectRef
from protocol.remediation import Plan, RestartWorkload, ScaleWorkload, SetImage
from tests.integration.runner_rig import Plane, Stand, stand

RECOMMEND = ObjectRef.parse("Deployment/shop/recommend")
GOOD = "registry.shop.example/recommend:2.0.3"
FIX = SetImage(target=RECOMMEND, container="recommend", image=GOOD)


async def checked(plane: Plane, plan: Plan, started: datetime, within_s: float = 40) -> CheckOutcome:
    """The first answer of the check that ends it."""
    async with asyncio.timeout(within_s):
        while True:
            seen = (await plane.ask(CheckPlan(body=plan.body, started_at=started))).check()
            if seen.outcome in ("healthy", "worse"):
                return seen


async def image(here: Stand) -> str:
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return (await here.plane.kubectl(f"get deploy recommend -n shop -o {path}")).text.strip()


async def test_argo_cd_takes_a_naive_fix_back_and_its_patch_heals(tmp_path: Path) -> None:
    async with stand(tmp_path, "recommend-gitops", speed=10) as here:
        plan = await here.plane.plan(FIX)
        assert (plan.owner.kind, plan.owner.name, plan.owner.reverts) == ("argocd", "recommend", True)
        assert "takes this back within seconds" in plan.owner.detail
        patch = yaml.safe_load(plan.owner.git_patch or "")
        containers = [{"name": "recommend", "image": GOOD}]
        assert patch["spec"] == {"template": {"spec": {"containers": containers}}}

        started = datetime.now(UTC)
        authority = f"approval:{new_id()}"
        done = await here.plane.execute(plan, here.plane.grant(plan, authority=authority))
        assert done.execution().outcome == "applied"
        seen = await checked(here.plane, plan, started)
        assert (seen.outcome, seen.code) == ("worse", REVERTED)
        assert "was taken back by argocd-controller, Argo CD application recommend: it is as it was before" in seen.message
        assert await image(here) != GOOD
        undo = await here.plane.execute(plan, here.plane.grant(plan, authority=authority, purpose="undo"))
        assert undo.execution().code == "object_changed", "there is nothing to undo"

        change = {"kind": patch["kind"], "name": patch["metadata"]["name"], "body": {"spec": patch["spec"]}}
        await here.cluster.admin("git", {"app": plan.owner.name, "patch": change})
        async with asyncio.timeout(40):
            while not (await here.cluster.admin("scenarios/recommend-gitops", method="GET"))["healthy"]:
                await here.plane.kubectl("version")
        assert await image(here) == GOOD


async def test_who_looks_after_what(tmp_path: Path) -> None:
    async with stand(tmp_path, "recommend-gitops", speed=10) as here:
        restart = await here.plane.plan(RestartWorkload(target=RECOMMEND))
        assert (restart.owner.kind, restart.owner.reverts, restart.owner.git_patch) == ("argocd", False, None)
        assert "leaves this field alone" in restart.owner.detail

        scale = await here.plane.plan(ScaleWorkload(target=RECOMMEND, replicas=3))
        assert (scale.owner.kind, scale.owner.reverts) == ("argocd", True)

        names = (await here.plane.kubectl("get rs -n shop -l app=web -o name")).text.split()
        child = ObjectRef.parse(f"ReplicaSet/shop/{names[0].partition('/')[2]}")
        below = await here.plane.plan(ScaleWorkload(target=child, replicas=5))
        assert (below.owner.kind, below.owner.name, below.owner.reverts) == ("operator", "Deployment/web", True)

        web = await here.plane.plan(ScaleWorkload(target=ObjectRef.parse("Deployment/shop/web"), replicas=6))
        assert (web.owner.kind, web.owner.reverts) == ("hpa", True)
        started = datetime.now(UTC)
        assert (await here.plane.execute(web)).execution().outcome == "applied"
        seen = await checked(here.plane, web, started)
        assert seen.code == REVERTED, seen.message
