"""`opsthread account` against a running server, as a person types it; and the administrator that a start makes."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bot.cli.people import ADMIN, OPERATOR, cli_token, first_admin
from control_plane.errors import NotSignedIn
from control_plane.slack.installations import Facts
from protocol.approval import Role
from tests.integration.http_server import Here, http_server


async def opsthread(here: Here, token: str, *words: str, group: str = "account") -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", group, *words, "--url", here.url, "--token", token,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode().strip(), err.decode()


async def test_the_link_that_is_printed_signs_its_account_in_once(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here, cli_token(here.plane, await first_admin(here.plane)) as own:
        for words in (("create", "bob", "--role", "operator"), ("link", "bob")):
            code, link, err = await opsthread(here, own, *words)
            assert code == 0, err
            base, _, secret = link.rpartition("/sign-in/link/")
            assert base == here.url
            session = await here.plane.accounts.use_link(secret)
            assert (await here.plane.accounts.get(session.account)).name == "bob"
        root = await here.person("root", Role.ADMIN)
        code, link, err = await opsthread(here, root.token, "link", "bob")
        assert (code, link) == (1, "")
        assert "on the server itself" in " ".join(err.split())


async def test_a_restart_gives_the_administrator_no_role_back(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        admin = await first_admin(here.plane)
        assert admin.roles == ADMIN
        other = await here.plane.accounts.create("root", "Root", ADMIN, by="system")
        await here.plane.accounts.set_roles(admin.id, OPERATOR, by=other.id)
        assert (await first_admin(here.plane)).roles == OPERATOR
        await here.plane.accounts.disable(admin.id, by=other.id)
        assert (await first_admin(here.plane)).disabled


async def test_the_token_of_the_command_line_ends_with_the_server(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        admin = await first_admin(here.plane)
        async with cli_token(here.plane, admin) as token:
            assert (await here.plane.accounts.authenticate(token))[0].account == admin.id
        with pytest.raises(NotSignedIn):
            await here.plane.accounts.authenticate(token)


async def test_the_next_start_ends_the_token_of_a_server_that_was_killed_and_no_other(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here:
        admin = await first_admin(here.plane)
        own = await here.plane.accounts.token_for(admin.id, by=admin.id, label="laptop", valid=timedelta(days=1))
        async with cli_token(here.plane, admin) as killed, cli_token(here.plane, admin) as token:
            with pytest.raises(NotSignedIn):
                await here.plane.accounts.authenticate(killed)
            for good in (token, own.token):
                await here.plane.accounts.authenticate(good)


async def test_slack_is_administered_by_the_command_line(tmp_path: Path) -> None:
    async with http_server(tmp_path) as here, cli_token(here.plane, await first_admin(here.plane)) as own:
        await here.plane.slack_workspaces.keep(Facts(team="T0001", name="Payments"), "")
        ann = await here.plane.accounts.create("ann", "Ann", OPERATOR, by="system")
        code = await here.plane.slack_people.take(await here.plane.slack_people.offer("T0001", "U0001", "ann"), ann.id)
        await here.plane.slack_people.confirm("T0001", "U0001", code)
        steps: list[tuple[int, str, tuple[str, ...]]] = [
            (0, "/sign-in/link/", ("account", "create", "bea", "--email", "bea@example.com")),
            (2, "another account has the e-mail address", ("account", "email", "ann", "BEA@example.com")),
            (0, "ann: ann@example.com", ("account", "email", "ann", "Ann@Example.com")),
            (0, "may see: practice / payments, shop", ("slack", "bind", "C0001", "--cluster", "practice:payments,shop")),
            (0, "are approver", ("slack", "map", "S0001", "--role", "approver", "--cluster", "practice")),
            (0, '"usergroup": "S0001"', ("slack", "groups", "--json")),
            (2, "is not bound", ("slack", "unbind", "C0002", "--team", "T0001")),
        ]
        for expected, said, words in steps:
            status, out, err = await opsthread(here, own, *words[1:], group=words[0])
            assert (status, said.casefold() in " ".join((out + err).split()).casefold()) == (expected, True), (words, out, err)
