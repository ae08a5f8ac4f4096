"""The first accounts. There are no default credentials: each gets a one-time link, printed at the start."""

import platform
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import structlog

from control_plane.accounts import Account
from control_plane.errors import Conflict, ServiceError
from control_plane.principals import ScopedRole
from control_plane.services import ControlPlane
from protocol.approval import Role

log = structlog.get_logger(__name__)

ADMIN = (ScopedRole(role=Role.ADMIN),)
OPERATOR = (ScopedRole(role=Role.OPERATOR),)
APPROVER = (ScopedRole(role=Role.APPROVER),)
CLI_TOKEN_DAYS = 30


async def ensure(plane: ControlPlane, name: str, display_name: str, roles: tuple[ScopedRole, ...]) -> Account:
    """The account of that name, with these roles; made when it is not there."""
    for account in await plane.accounts.list():
        if account.name == name:
            return account if account.roles == roles else await plane.accounts.set_roles(account.id, roles, by="system")
    return await plane.accounts.create(name, display_name, roles, by="system")


async def first_admin(plane: ControlPlane) -> Account:
    """The administrator that a first start makes. Later it is an account like any other: what people have made of its roles
    stays, and so does its end."""
    known = await _named(plane, "admin")
    if known is not None:
        return known
    try:
        return await plane.accounts.create("admin", "Administrator", ADMIN, by="system")
    except Conflict:
        # Another replica that started at the same moment was faster.
        made = await _named(plane, "admin")
        if made is None:
            raise
        return made


async def _named(plane: ControlPlane, name: str) -> Account | None:
    return next((account for account in await plane.accounts.list() if account.name == name), None)


async def sign_in_link(plane: ControlPlane, account: Account, url: str) -> str:
    token = await plane.accounts.make_link(account.id, by="system", valid=timedelta(hours=12))
    return f"{url}/sign-in/link/{token}"


@asynccontextmanager
async def cli_token(plane: ControlPlane, account: Account) -> AsyncGenerator[str]:
    """A token for the command line on this machine, while this process serves. It ends with the block; that of a process
    which was killed ends when the next one starts over the same data."""
    label = f"command line of {platform.node()} in {plane.settings.data_dir.absolute()}"
    session = await plane.accounts.token_for(
        account.id, by="system", label=label, valid=timedelta(days=CLI_TOKEN_DAYS), instead_of_earlier=True, local=True
    )
    try:
        yield session.token
    finally:
        try:
            await plane.accounts.sign_out(session.id)
        except ServiceError as error:
            log.warning("the token of the command line could not be ended; the next start ends it", why=error.message)
