"""The whole control plane from settings: who holds the data directory, what is made at the first start, what is left."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from control_plane.assembly import control_plane
from control_plane.data_dir import grant_key, kid_of
from control_plane.errors import Conflict, Invalid
from control_plane.settings import Settings
from protocol.canonical import sha256_hex
from tests.integration.postgres import Postgres
from tests.integration.waiting import until


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_fresh_directory_becomes_a_control_plane_without_anybody_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    async with control_plane(Settings(data_dir=folder)) as plane:
        assert await plane.accounts.list() == ()
        assert await plane.fleet.list() == ()
        assert plane.bus.connected
        assert plane.grant_kid == sha256_hex(bytes(plane.grant_key.verify_key))[:16]
        first = bytes(plane.grant_key)
    assert mode(folder) == 0o700
    assert mode(folder / "grant.key") == 0o600
    async with control_plane(Settings(data_dir=folder)) as plane:
        assert bytes(plane.grant_key) == first


async def test_the_same_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    async with control_plane(Settings(data_dir=tmp_path, database_url=postgres.new_database())) as plane:
        assert await plane.accounts.list() == ()
        assert not (tmp_path / "opsthread.db").exists()


async def test_a_second_opener_is_told_who_holds_it(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    async with control_plane(settings) as plane:
        second = control_plane(settings)
        with pytest.raises(Conflict, match=f"already in use by process {os.getpid()}"):
            await second.__aenter__()
        assert plane.bus.connected
    async with control_plane(settings):
        pass


HOLDER = """
import asyncio, json, sys
from pathlib import Path
from control_plane.assembly import control_plane
from control_plane.settings import Settings

async def main():
    async with control_plane(Settings(data_dir=Path(sys.argv[1]))) as plane:
        print(json.dumps({"nats": plane.bus.server_pid}), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def hold(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE)


async def test_a_killed_holder_leaves_neither_the_lock_nor_a_broker(tmp_path: Path) -> None:
    holder = hold(tmp_path)
    try:
        assert holder.stdout is not None
        nats = int(json.loads(await asyncio.to_thread(holder.stdout.readline))["nats"])
        refused = control_plane(Settings(data_dir=tmp_path))
        with pytest.raises(Conflict, match=f"process {holder.pid}"):
            await refused.__aenter__()
    finally:
        holder.kill()
        await asyncio.to_thread(holder.wait, 10)
    await until(lambda: not running(nats), "the broker's end")
    async with control_plane(Settings(data_dir=tmp_path)) as plane:
        assert plane.bus.connected


def running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_what_started_is_stopped_when_a_later_part_fails(tmp_path: Path) -> None:
    broken = control_plane(Settings(data_dir=tmp_path, nats_server_path="/nowhere/nats-server"))
    with pytest.raises(Exception, match="/nowhere/nats-server"):
        await broken.__aenter__()
    async with control_plane(Settings(data_dir=tmp_path)):
        pass


def test_a_directory_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    broken = control_plane(Settings(data_dir=tmp_path / "file" / "data"))
    with pytest.raises(Invalid, match=r"file/data can't be used.*OPSTHREAD_DATA_DIR"):
        asyncio.run(broken.__aenter__())


@pytest.mark.parametrize("text", ["", "zz", "00" * 31, "00" * 33])
def test_a_grant_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(Invalid, match="grant key"):
        grant_key(file, tmp_path)


def test_a_grant_key_file_is_never_made_up(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"can't be read"):
        grant_key(tmp_path / "mounted-later", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_kid_is_the_same_on_all_replicas(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("11" * 32 + "\n")
    assert kid_of(grant_key(file, tmp_path)) == kid_of(grant_key(file, tmp_path / "other"))
