"""Cluster dumps: the same diagnosis as from the live view; what is missing or broken is said."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from knowledge.diagnosis import diagnose
from knowledge.dump import NoDump, load_dump
from protocol.commands import Diagnose
from tests.unit.knowledge.shop import checkout_config, payments_oom
from tests.unit.knowledge.world import NOW, World, stamp


def write(world: World, directory: Path, *, form: str = "json") -> Path:
    listed = {"apiVersion": "v1", "kind": "List", "items": world.objects}
    if form == "json":
        (directory / "objects.json").write_bytes(orjson.dumps(listed))
    else:
        (directory / "objects.yaml").write_text(yaml.safe_dump(listed))
    for key, text in world.logs.items():
        name = f"{key.container}.previous.log" if key.previous else f"{key.container}.log"
        path = directory / "logs" / key.namespace / key.pod / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    series = [{"metric": dict(one.metric), "values": [[at, str(value)] for at, value in one.values]} for one in world.metrics]
    (directory / "metrics.json").write_bytes(orjson.dumps(series))
    (directory / "now.txt").write_text(f"{stamp(NOW)}\n")
    return directory


def codes(directory: Path, **kept: Any) -> list[tuple[str, str]]:
    return [(cause.code, str(cause.object)) for cause in diagnose(load_dump(directory, **kept), Diagnose()).root_causes]


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_dump_is_diagnosed_like_the_cluster(tmp_path: Path, form: str) -> None:
    write(payments_oom(), tmp_path, form=form)
    view = load_dump(tmp_path)

    assert view.now == NOW
    found = diagnose(view, Diagnose())
    assert [cause.code for cause in found.root_causes] == ["memory-limit-too-low"]
    assert found.root_causes[0].facts["peak_bytes"] == 185000000


def test_logs_are_read_with_the_run_before(tmp_path: Path) -> None:
    world = checkout_config()
    pod = world.pods_named("checkout")[0]
    world.log(pod, "the run before\n", previous=True)
    view = load_dump(write(world, tmp_path))
    assert set(view.logs) == set(world.logs)


def test_what_is_absent_is_said(tmp_path: Path) -> None:
    write(payments_oom(), tmp_path)
    (tmp_path / "metrics.json").unlink()
    (tmp_path / "now.txt").unlink()
    view = load_dump(tmp_path)
    assert "the dump has no logs" in view.limits
    assert "the dump has no metrics" in view.limits
    assert any("does not say when it was made" in limit for limit in view.limits)
    assert [code for code, _ in codes(tmp_path)] == ["memory-limit-too-low"]


def test_now_can_be_given(tmp_path: Path) -> None:
    write(payments_oom(), tmp_path)
    later = datetime(2026, 4, 1, tzinfo=UTC)
    assert load_dump(tmp_path, now=later).now == later


def test_no_dump_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoDump, match=r"objects\.json"):
        load_dump(tmp_path)
    with pytest.raises(NoDump, match="is no directory"):
        load_dump(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2", b"null", b'"text"', b'{"items": 3}', b"\xff\xfe"])
def test_broken_objects_are_a_limit_and_no_health(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "objects.json").write_bytes(content)
    found = diagnose(load_dump(tmp_path), Diagnose())
    assert not found.healthy
    assert found.root_causes == ()
    assert found.limits


def test_broken_metrics_are_left_out(tmp_path: Path) -> None:
    write(payments_oom(), tmp_path)
    (tmp_path / "metrics.json").write_text(
        '[{"metric": 3}, {"metric": {"__name__": "x"}, "values": [[1], ["a", "b"], [2, "NaN"]]}, 7]'
    )
    assert [code for code, _ in codes(tmp_path)] == ["memory-limit-too-low"]


def test_links_out_of_the_dump_are_not_followed(tmp_path: Path) -> None:
    dump, outside = tmp_path / "dump", tmp_path / "secret.log"
    dump.mkdir()
    write(checkout_config(), dump)
    outside.write_text("secret")
    pod = dump / "logs" / "shop" / "linked"
    pod.mkdir()
    os.symlink(outside, pod / "app.log")
    view = load_dump(dump)
    assert not any("secret" in text for text in view.logs.values())
    assert any("leads out of the dump" in limit for limit in view.limits)


def test_yaml_can_build_no_object(tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text("!!python/object/apply:os.system ['true']\n")
    assert any("no valid YAML" in limit for limit in load_dump(tmp_path).limits)


def test_a_list_of_lists_and_typed_lists_are_read(tmp_path: Path) -> None:
    world = payments_oom()
    pods = [{key: value for key, value in o.items() if key != "kind"} for o in world.objects if o["kind"] == "Pod"]
    rest = [o for o in world.objects if o["kind"] != "Pod"]
    (tmp_path / "objects.json").write_bytes(orjson.dumps([{"kind": "PodList", "items": pods}, {"kind": "List", "items": rest}]))
    assert [code for code, _ in codes(tmp_path, now=NOW)] == ["memory-limit-too-low"]


def test_a_newer_version_is_said(tmp_path: Path) -> None:
    write(payments_oom(), tmp_path)
    (tmp_path / "dump.json").write_text('{"v": 99}')
    assert any("version 99" in limit for limit in load_dump(tmp_path).limits)
