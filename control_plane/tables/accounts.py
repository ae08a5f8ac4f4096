"""Accounts, their roles, sessions and one-time links, and the memory of failed sign-ins."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class AccountRow(Table):
    __tablename__ = "accounts"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("uq_accounts_tenant_id_email", "tenant_id", "email", unique=True),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    display_name: Mapped[str] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(320))
    """Lower case; by it a person of Slack is recognised."""
    disabled: Mapped[bool] = mapped_column(default=False)
    password_hash: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime]


class RoleRow(Table):
    """One role over clusters and namespaces; both are JSON lists of ids or names, "*" for all."""

    __tablename__ = "account_roles"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    role: Mapped[str] = mapped_column(String(16))
    clusters: Mapped[str] = mapped_column(Text)
    namespaces: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(100), default="", server_default=text("''"))
    """Where it comes from: "" from an admin; slack-group:<team>:<id>, slack-channel:<team>:<id>, alerts. Each source keeps
    its own rows."""
    until: Mapped[datetime | None]
    """It counts until then, unless its source renews it; None: until it is taken away."""


class LinkRow(Table):
    """A one-time sign-in link. Used up by compare-and-set on `used_at`."""

    __tablename__ = "sign_in_links"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SessionRow(Table):
    """A signed-in browser, or a bearer token."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    """browser: expiry slides. token, local: it does not, and they never count as a fresh sign-in."""
    label: Mapped[str] = mapped_column(String(200), default="")
    user_agent: Mapped[str] = mapped_column(String(300), default="")
    created_at: Mapped[datetime]
    authenticated_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class SignInFailureRow(Table):
    """An attempt that has not succeeded. Written before the password is looked at, taken back when it was right."""

    __tablename__ = "sign_in_failures"
    __table_args__ = (
        Index("ix_sign_in_failures_name_at", "name", "at"),
        Index("ix_sign_in_failures_address_at", "address", "at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
