"""Cases, weights and feedback by REST: what each role may see and do, and that a stranger learns nothing."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from control_plane.fleet import Cluster
from knowledge.cases import SEEDS_VERSION, seeds
from knowledge.diagnosis.catalogue import CATALOGUE
from protocol.approval import Role
from tests.integration.case_rows import answered, case_row
from tests.integration.http_server import Here, Person, http_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Stage:
    here: Here
    bank: Cluster
    root: Person
    dana: Person
    alex: Person
    shop_viewer: Person
    shop_admin: Person

    def row(self, name: str, **more: Any) -> dict[str, Any]:
        return case_row(self.here, name, **more)

    async def answered(self, who: Person) -> tuple[str, str]:
        return await answered(self.here, who, "web")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stage]:
    async with http_server(tmp_path_factory.mktemp("cases")) as here:
        bank = await here.plane.fleet.create("bank", by="system")
        await here.plane.cases.plant(seeds(), SEEDS_VERSION)
        yield Stage(
            here,
            bank,
            await here.person("root", Role.ADMIN),
            await here.person("dana", Role.OPERATOR),
            await here.person("alex", Role.APPROVER),
            await here.person("vera", Role.VIEWER, clusters=(here.cluster.id,), namespaces=("shop",)),
            await here.person("mia", Role.ADMIN, clusters=(here.cluster.id,), namespaces=("shop",)),
        )


async def bring(stage: Stage, who: Person, *rows: dict[str, Any], **more: Any) -> tuple[int, Any]:
    return await who.call("POST", "/api/v1/cases/import", {"cases": list(rows), **more})


async def exported(who: Person, query: str = "") -> str:
    path = f"{who.url}/api/v1/cases/export{query}"
    async with who.client.get(path, headers={"Authorization": f"Bearer {who.token}"}) as answer:
        assert answer.status == 200
        return await answer.text()


async def test_import_list_show_export_and_forget(stage: Stage) -> None:
    rows = stage.row("one"), stage.row("two", namespace="data"), stage.row("three", cluster=stage.bank.id, namespace="vault")
    assert await bring(stage, stage.root, *rows) == (201, {"imported": 3, "forgotten": 0})
    status, listed = await stage.root.call("GET", "/api/v1/cases?origin=import")
    assert status == 200
    assert {row["id"] for row in listed["cases"]} >= {"one", "two", "three"}
    one = next(row for row in listed["cases"] if row["id"] == "one")
    assert (one["cause"], one["cluster_name"], one["origin"]) == ("No space left on device", "practice", "import")
    _, said = await stage.root.call("GET", "/api/v1/cases/one?lang=ja")
    assert said["cause"] not in ("", "No space left on device")
    assert said["soak"] is None

    lines = [json.loads(line) for line in (await exported(stage.root)).splitlines()]
    assert {row["id"] for row in lines} >= {"one", "two", "three"}
    assert not [row for row in lines if row["id"].startswith("seed.")]
    status, again = await bring(stage, stage.root, *lines)
    assert (status, again["imported"]) == (201, len(lines))

    assert (await stage.root.call("DELETE", "/api/v1/cases/two"))[0] == 204
    assert (await stage.root.call("GET", "/api/v1/cases/two"))[0] == 404
    assert (await stage.root.call("DELETE", "/api/v1/cases/two"))[0] == 404
    assert (await bring(stage, stage.root, stage.row("two")))[1] == {"imported": 0, "forgotten": 1}


async def test_what_is_out_of_scope_is_as_if_it_were_not_there(stage: Stage) -> None:
    await bring(
        stage, stage.root, stage.row("mine"), stage.row("data-1", namespace="data"), stage.row("whole", namespace=""),
        stage.row("vault-1", cluster=stage.bank.id, namespace="vault"),
    )  # fmt: skip
    hidden = ("data-1", "whole", "vault-1")
    for who in (stage.shop_viewer, stage.shop_admin):
        for case in hidden:
            assert (await who.call("GET", f"/api/v1/cases/{case}"))[0] == 404
            assert (await who.call("DELETE", f"/api/v1/cases/{case}"))[0] == 404
        _, listed = await who.call("GET", "/api/v1/cases?limit=200")
        own = {row["id"] for row in listed["cases"] if row["origin"] != "seed"}
        assert "mine" in own
        assert not own & set(hidden)
        assert (await who.call("GET", f"/api/v1/cases?cluster={stage.bank.id}"))[0] == 404
        text = await exported(who, "?seeds=true")
        assert '"seed.quota"' in text
        assert not [case for case in hidden if f'"{case}"' in text]
    assert (await stage.shop_viewer.call("DELETE", "/api/v1/cases/mine"))[0] == 403
    assert (await stage.alex.call("DELETE", "/api/v1/cases/mine"))[0] == 403
    assert (await stage.shop_admin.call("DELETE", "/api/v1/cases/seed.taint"))[0] == 403
    assert (await stage.shop_admin.call("DELETE", "/api/v1/cases/mine"))[0] == 204


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "../x"}, 422),
        ({"id": "seed.mine"}, 422),
        ({"title": None}, 422),
        ({"outcome": "perfect"}, 422),
        ({"opened_at": "yesterday"}, 422),
        ({"symptoms": "one"}, 422),
        ({"cluster": "", "namespace": ""}, 403),
        ({"namespace": "data"}, 403),
        ({"namespace": ""}, 403),
        ({}, 201),
    ],
)
async def test_an_import_is_read_strictly_and_within_ones_scope(stage: Stage, change: dict[str, Any], status: int) -> None:
    row = stage.row("strict") | change
    got, body = await bring(stage, stage.shop_admin, stage.row("strict-0"), row)
    assert got == status, body
    if status != 201:
        assert (await stage.root.call("GET", "/api/v1/cases/strict-0"))[0] == (200 if status == 201 else 404)
    if status == 422:
        assert "case 2 of the import" in body["detail"]


async def test_an_import_can_be_about_another_cluster_or_about_none(stage: Stage) -> None:
    moved = stage.row("moved", cluster="of-elsewhere")
    assert (await bring(stage, stage.shop_admin, moved, cluster="practice"))[0] == 201
    assert (await stage.root.call("GET", "/api/v1/cases/moved"))[1]["cluster"] == stage.here.cluster.id
    assert (await bring(stage, stage.shop_admin, moved, cluster="bank"))[0] == 404
    assert (await bring(stage, stage.shop_admin, stage.row("all-of-us"), general=True))[0] == 403
    assert (await bring(stage, stage.root, stage.row("all-of-us"), general=True))[0] == 201
    assert (await stage.shop_viewer.call("GET", "/api/v1/cases/all-of-us"))[0] == 200


async def test_too_many_and_too_large_are_refused(stage: Stage) -> None:
    assert (await bring(stage, stage.root, *[stage.row(f"n{n}") for n in range(201)]))[0] == 422
    assert (await bring(stage, stage.root, stage.row("big", explanation="x" * 600_000)))[0] == 413
    assert (await bring(stage, stage.root))[0] == 422


async def test_feedback_by_rest(stage: Stage) -> None:
    conversation, turn = await stage.answered(stage.dana)
    path = f"/api/v1/conversations/{conversation}/turns/{turn}/feedback"
    body = {"verdict": "wrong", "actual": "node-pressure", "note": "the node"}
    status, mine = await stage.dana.call("POST", path, body)
    assert (status, mine["counted"], mine["code"]) == (200, False, "disk-full")
    status, mine = await stage.alex.call("POST", path, body)
    assert (status, mine["counted"]) == (200, True)
    _, seen = await stage.alex.call("GET", f"/api/v1/conversations/{conversation}/feedback")
    assert seen["counts"] == {turn: {"right": 0, "wrong": 2}}
    assert [one["account_name"] for one in seen["feedback"]] == ["Alex"]
    assert [one["account_name"] for one in seen["all"]] == ["Dana", "Alex"]
    _, seen = await stage.dana.call("GET", f"/api/v1/conversations/{conversation}/feedback")
    assert [one["account_name"] for one in seen["all"]] == ["Dana"]
    _, weights = await stage.dana.call("GET", "/api/v1/weights?lang=zh")
    assert {row["key"]: row["weight"] for row in weights["weights"]} == {"disk-full": 0.917, "node-pressure": 1.091}
    for who, expected in ((stage.shop_viewer, 404), (stage.shop_admin, 404)):
        assert (await who.call("POST", path, body))[0] == expected
        assert (await who.call("GET", f"/api/v1/conversations/{conversation}/feedback"))[0] == expected
    for wrong in ({"verdict": "maybe"}, {"verdict": "wrong", "actual": "x"}, {"verdict": "right", "actual": "disk-full"}):
        assert (await stage.alex.call("POST", path, wrong))[0] == 422
    assert (await stage.alex.browse("POST", path, body, headers={"X-CSRF-Token": "no"}))[0] == 403


async def test_weights_are_reset_by_administrators(stage: Stage) -> None:
    for who in (stage.dana, stage.alex, stage.shop_admin):
        assert (await who.call("POST", "/api/v1/weights/reset"))[0] == 403
        assert (await who.call("GET", "/api/v1/weights/history"))[0] == 403
    assert (await stage.root.call("POST", "/api/v1/weights/reset"))[0] == 200
    assert (await stage.root.call("GET", "/api/v1/weights"))[1]["weights"] == []
    _, history = await stage.root.call("GET", "/api/v1/weights/history")
    assert history["changes"][0]["why"] == "reset"


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
async def test_the_catalogue_is_in_the_readers_language(stage: Stage, language: str) -> None:
    _, body = await stage.dana.call("GET", f"/api/v1/root-causes?lang={language}")
    titles = {row["code"]: row["title"] for row in body["root_causes"]}
    assert set(titles) == set(CATALOGUE)
    if language != "en":
        assert not [code for code, said in titles.items() if said == CATALOGUE[code].title]
