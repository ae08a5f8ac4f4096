"""Doors that are open to strangers, behind a proxy: the client is counted, not the proxy; and nobody writes who they are."""

from pathlib import Path

from bot.web.pages import SIGN_INS
from protocol.approval import Role
from tests.integration.http_server import Here, http_server
from tests.integration.test_web_sign_in import at


async def knock(here: Here, times: int, client: str) -> list[int]:
    door = await at(here, "/sign-in/link/none")
    return [(await door.knock({"X-Forwarded-For": client})).status for _ in range(times)]


async def test_behind_a_trusted_proxy_each_client_has_its_own_share(tmp_path: Path) -> None:
    async with http_server(tmp_path, trusted_proxies="127.0.0.1, 10.0.0.0/8") as here:
        assert set(await knock(here, SIGN_INS, "198.51.100.1")) == {401}
        assert await knock(here, 1, "198.51.100.1") == [429]
        assert await knock(here, 1, "198.51.100.2") == [401]
        assert await knock(here, 1, "1.2.3.4, 198.51.100.1, 10.1.1.1") == [429], (
            "what the client had written itself is no excuse"
        )


async def test_without_one_a_stranger_is_who_connects(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        assert set(await knock(here, SIGN_INS, "198.51.100.1")) == {401}
        assert await knock(here, 1, "198.51.100.2") == [429]


async def test_what_was_tried_at_one_replica_counts_at_the_next(tmp_path: Path) -> None:
    async with http_server(tmp_path, trusted_proxies="127.0.0.1") as here:
        for _ in range(SIGN_INS):  # as the other replicas count: rows
            await here.plane.limits.take("sign-in:198.51.100.1", limit=SIGN_INS, window_s=300)
        assert await knock(here, 1, "198.51.100.1") == [429]
        assert await knock(here, 1, "198.51.100.2") == [401]


async def test_the_audit_of_a_decision_names_the_browser_behind_the_proxy(tmp_path: Path) -> None:
    async with http_server(tmp_path, trusted_proxies="127.0.0.1") as here:
        dana, alex = await here.person("dana", Role.OPERATOR), await here.person("alex", Role.APPROVER)
        approval = await here.approval(dana)
        status, _ = await alex.browse(
            "POST",
            f"/api/v1/approvals/{approval.id}/decide",
            {"verdict": "approve", "plan_hash": approval.plan.plan_hash},
            {"X-Forwarded-For": "203.0.113.9"},
        )
        assert status == 200
        root = await here.person("root", Role.ADMIN)
        trail = await here.plane.audit.list(root.principal, subject=f"approval:{approval.id}")
        assert [row.detail["source"] for row in trail if row.action == "approval.decided"] == ["203.0.113.9"]
