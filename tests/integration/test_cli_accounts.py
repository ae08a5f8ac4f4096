"""`opsthread account` against a running server, as a person types it; and the administrator that a start makes."""

import asyncio
import sys
from pathlib import Path

from bot.cli.people import ADMIN, OPERATOR, first_admin
from protocol.approval import Role
from tests.integration.http_server import Here, http_server


async def opsthread(here: Here, token: str, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", "account", *words, "--url", here.url, "--token", token,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode().strip(), err.decode()


async def test_the_link_that_is_printed_signs_its_account_in_once(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        root = await here.person("root", Role.ADMIN)
        for words in (("create", "bob", "--role", "operator"), ("link", "bob")):
            code, link, err = await opsthread(here, root.token, *words)
            assert code == 0, err
            base, _, secret = link.rpartition("/sign-in/link/")
            assert base == here.url
            session = await here.plane.accounts.use_link(secret)
            assert (await here.plane.accounts.get(session.account)).name == "bob"


async def test_a_restart_gives_the_administrator_no_role_back(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        admin = await first_admin(here.plane)
        assert admin.roles == ADMIN
        other = await here.plane.accounts.create("root", "Root", ADMIN, by="system")
        await here.plane.accounts.set_roles(admin.id, OPERATOR, by=other.id)
        assert (await first_admin(here.plane)).roles == OPERATOR
        await here.plane.accounts.disable(admin.id, by=other.id)
        assert (await first_admin(here.plane)).disabled
