"""Accounts over REST, for administrators; and who I am, for everybody."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import Field, SecretStr

from bot.api.access import Admin, AdminAtHand, Me, Plane
from bot.api.paging import Cursor, Limit, listing, page_after
from bot.api.stream import StreamsOf
from bot.api.views import View, account_view, me_view
from control_plane.errors import Forbidden
from control_plane.principals import ScopedRole
from protocol.base import Strict

router = APIRouter(prefix="/api/v1", tags=["accounts"])

MOST_TOKEN_DAYS = 90

AccountId = Annotated[str, Path(max_length=64)]


class NewAccount(Strict):
    name: str = Field(min_length=1, max_length=100)
    display_name: str = Field(default="", max_length=200)
    roles: list[ScopedRole] = Field(default=[], max_length=100)
    password: SecretStr | None = Field(default=None, max_length=500)
    email: str | None = Field(default=None, max_length=320, description="By it a person of Slack is recognised")


class Roles(Strict):
    roles: list[ScopedRole] = Field(max_length=100)


class Email(Strict):
    email: str | None = Field(max_length=320, description="null takes it away")


class Password(Strict):
    password: SecretStr = Field(max_length=500)


class NewToken(Strict):
    label: str = Field(min_length=1, max_length=100)
    days: int = Field(default=30, ge=1, le=MOST_TOKEN_DAYS)


@router.get("/me")
async def get_me(me: Me, request: Request) -> View:
    return me_view(me.principal, model=str(request.app.state.runtime.model_name))


@router.post("/me/tokens", status_code=201)
async def create_token(body: NewToken, me: Me, plane: Plane) -> dict[str, Any]:
    """A bearer token of your own, shown once, for 90 days at most. Made on the web, at most five minutes after signing in: who
    has found a token, or an open browser, can't make themselves another one."""
    if not me.by_cookie:
        raise Forbidden("A token can't make another one. Sign in on the web and make it there.")
    if not me.principal.fresh_sign_in:
        raise Forbidden(
            "A new token needs a fresh sign-in. Sign out, sign in again, and make it within five minutes.", code="step_up"
        )
    session = await plane.accounts.token_for(me.account, by=me.account, label=body.label, valid=timedelta(days=body.days))
    return {"token": session.token, "expires_at": session.expires_at.isoformat()}


@router.get("/accounts")
async def list_accounts(_me: Admin, plane: Plane, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
    page, following = page_after([account_view(a) for a in await plane.accounts.list()], cursor, limit)
    return listing("accounts", page, following)


@router.post("/accounts", status_code=201)
async def create_account(body: NewAccount, me: AdminAtHand, plane: Plane) -> View:
    """Make an account. Without a password, give its owner a one-time link."""
    password = body.password.get_secret_value() if body.password else None
    account = await plane.accounts.create(
        body.name, body.display_name or body.name, tuple(body.roles), password=password, email=body.email, by=me.account
    )
    return account_view(account)


@router.get("/accounts/{account}")
async def get_account(account: AccountId, _me: Admin, plane: Plane) -> View:
    return account_view(await plane.accounts.get(account))


@router.put("/accounts/{account}/roles")
async def set_roles(account: AccountId, body: Roles, me: AdminAtHand, plane: Plane) -> View:
    return account_view(await plane.accounts.set_roles(account, tuple(body.roles), by=me.account))


@router.put("/accounts/{account}/email")
async def set_email(account: AccountId, body: Email, me: AdminAtHand, plane: Plane) -> View:
    """Whoever has this address in Slack, verified, acts as the account there."""
    return account_view(await plane.accounts.set_email(account, body.email, by=me.account))


@router.put("/accounts/{account}/password", status_code=204)
async def set_password(account: AccountId, body: Password, me: AdminAtHand, plane: Plane) -> None:
    await plane.accounts.get(account)
    await plane.accounts.set_password(account, body.password.get_secret_value(), by=me.account)


@router.post("/accounts/{account}/links", status_code=201)
async def create_link(account: AccountId, me: AdminAtHand, plane: Plane) -> dict[str, Any]:
    """A one-time sign-in link, shown once."""
    await plane.accounts.get(account)
    token = await plane.accounts.make_link(account, by=me.account)
    return {"path": f"/sign-in/link/{token}"}


@router.delete("/accounts/{account}", status_code=204)
async def disable_account(account: AccountId, me: Admin, plane: Plane, streams: StreamsOf) -> None:
    """Disable it: it can't sign in, and its sessions end. Its name stays in the log."""
    await plane.accounts.get(account)
    await plane.accounts.disable(account, by=me.account)
    streams.recheck(account)
