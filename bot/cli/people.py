"""The first accounts. There are no default credentials: each gets a one-time link, printed at the start."""

from datetime import timedelta

from control_plane.accounts import Account
from control_plane.principals import ScopedRole
from control_plane.services import ControlPlane
from protocol.approval import Role

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
    for account in await plane.accounts.list():
        if account.name == "admin":
            return account
    return await plane.accounts.create("admin", "Administrator", ADMIN, by="system")


async def sign_in_link(plane: ControlPlane, account: Account, url: str) -> str:
    token = await plane.accounts.make_link(account.id, by="system", valid=timedelta(hours=12))
    return f"{url}/sign-in/link/{token}"


async def cli_token(plane: ControlPlane, account: Account) -> str:
    session = await plane.accounts.token_for(
        account.id, by="system", label="command line on this machine", valid=timedelta(days=CLI_TOKEN_DAYS)
    )
    return session.token
