"""Cases as rows, on both databases: who sees which, in pages; seeds by two replicas at once; what an index must follow."""

import asyncio

from control_plane.cases import Cases
from control_plane.principals import Principal
from knowledge.cases import SEEDS_VERSION, Case, seeds
from protocol.approval import Role
from tests.integration.desk import Desk


def case(name: str, cluster: str, namespace: str = "shop") -> Case:
    return Case(id=name, title=f"{name} is full", code="disk-full", cluster=cluster, namespace=namespace)


async def seen(cases: Cases, who: Principal, **filters: str) -> set[str]:
    found: set[str] = set()
    cursor: str | None = None
    while True:
        page, cursor = await cases.list(who, limit=7, before=cursor, **filters)
        found |= {one.case.id for one in page}
        if cursor is None:
            return found


async def test_rows(any_desk: Desk) -> None:
    cases = Cases(any_desk.database, clock=any_desk.clock)
    assert sorted(await asyncio.gather(*(cases.plant(seeds(), SEEDS_VERSION) for _ in range(4)))) == [0, 0, 0, 30]
    root = await any_desk.person("root", Role.ADMIN)
    shop = any_desk.cluster.id
    bank = (await any_desk.fleet.create("bank", by="system")).id
    any_desk.clock.move(minutes=1)
    rows = [*(case(f"a{n}", shop) for n in range(20)), case("data", shop, "data"), case("whole", shop, ""), case("vault", bank)]
    await cases.bring_in(rows, root)
    planted = {one.id for one in seeds()}
    everything = planted | {one.id for one in rows}
    assert await seen(cases, root) == everything
    vera = await any_desk.person("vera", Role.VIEWER, clusters=(shop,), namespaces=("shop",))
    assert await seen(cases, vera) == planted | {f"a{n}" for n in range(20)}
    both = await any_desk.person("both", Role.VIEWER, clusters=(shop,))
    assert await seen(cases, both) == everything - {"vault"}
    assert await seen(cases, root, origin="import", cluster=bank) == {"vault"}
    nobody = root.model_copy(update={"roles": (), "admin": False})
    assert await seen(cases, nobody) == planted

    any_desk.clock.move(seconds=1)
    changed, until = await cases.changed(None)
    assert {name for _, name in changed} == everything
    any_desk.clock.move(minutes=10)
    await cases.forget("data", root)
    later, _ = await cases.changed(until)
    assert later == {("default", "data"): 2}
    (debt,) = await cases.debts(later)
    assert (debt.id, debt.case) == ("data", None)
    await cases.paid(await cases.debts(changed))
    stored, _ = await cases.list(root, limit=200)
    assert all(one.indexed for one in stored)
    compared = await cases.compare([one.case for one in stored])
    assert (compared.rows, len(compared.right), compared.strangers) == (len(everything), len(everything), ())
    assert await any_desk.audit.verify() is None
