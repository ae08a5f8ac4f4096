"""Slack: workspaces, what came in, what is to be shown, which thread is which conversation, and who its people are to us."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from control_plane.tables.base import Table


class SlackWorkspaceRow(Table):
    """One installation. Of an internal app the tokens stay in the configuration, and only the rest is here."""

    __tablename__ = "slack_workspaces"

    team: Mapped[str] = mapped_column(String(32), primary_key=True)
    enterprise: Mapped[str] = mapped_column(String(32), default="")
    name: Mapped[str] = mapped_column(String(200), default="")
    url: Mapped[str] = mapped_column(String(300), default="")
    app: Mapped[str] = mapped_column(String(32), default="")
    bot: Mapped[str] = mapped_column(String(32), default="")
    bot_user: Mapped[str] = mapped_column(String(32), default="")
    token: Mapped[str] = mapped_column(Text, default="")
    """The bot's token, encrypted with the key of the installation; "" where the configuration has it."""
    scopes: Mapped[str] = mapped_column(Text, default="")
    installed_by: Mapped[str] = mapped_column(String(64), default="")
    installed_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SlackInboxRow(Table):
    """What Slack sent, kept before it is acknowledged. The primary key makes a redelivery the same row."""

    __tablename__ = "slack_inbox"
    __table_args__ = (Index("ix_slack_inbox_state_lane", "state", "lane", "position"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of what makes it one of its kind: see control_plane.slack.inbox."""
    team: Mapped[str] = mapped_column(String(32))
    kind: Mapped[str] = mapped_column(String(32))
    lane: Mapped[str] = mapped_column(String(200))
    """What is handled one after the other: a thread, or a person."""
    position: Mapped[str] = mapped_column(String(40))
    """Slack's own time of it, so that a lane is handled in the order of what people did."""
    payload: Mapped[str] = mapped_column(Text)
    """Only what we use, redacted, as JSON."""
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    """waiting, done, failed."""
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    received_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(String(500), default="")


class SlackThreadRow(Table):
    """A thread is a conversation."""

    __tablename__ = "slack_threads"
    __table_args__ = (UniqueConstraint("team", "channel", "thread_ts"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    team: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(32))
    thread_ts: Mapped[str | None] = mapped_column(String(32))
    """None until its first message, which is ours, has been posted: an alert's, or a conversation that began on the web."""
    conversation: Mapped[str] = mapped_column(ForeignKey("conversations.id"), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    """channel, direct, assistant, alert."""
    follow: Mapped[bool] = mapped_column(default=False)
    """Answer here without a mention."""
    language: Mapped[str] = mapped_column(String(8), default="en")
    started_by: Mapped[str] = mapped_column(String(64), default="")
    """Slack's id of a person; "" for us."""
    recipient: Mapped[str] = mapped_column(String(32), default="")
    """Who asked last: streams in channels name a recipient."""
    rendered: Mapped[int] = mapped_column(default=0)
    """Up to which entry of the log the outbox has what is to be shown."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SlackPostRow(Table):
    """A message of ours in Slack, by what it shows: at most one for each key."""

    __tablename__ = "slack_posts"
    __table_args__ = (UniqueConstraint("team", "key"), Index("ix_slack_posts_channel_ts", "team", "channel", "ts"))

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Also the nonce in the message's metadata, by which an uncertain post is found again."""
    team: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(120))
    """answer:<turn>, approval:<id>, alert:<group>, note:<conversation>:<seq>, chart:<…>, home:<user>, digest:<…>."""
    channel: Mapped[str] = mapped_column(String(32))
    thread: Mapped[str | None] = mapped_column(String(32))
    """Id of the SlackThreadRow."""
    ts: Mapped[str] = mapped_column(String(32), default="")
    """"" while it has not been posted for certain."""
    streaming: Mapped[bool] = mapped_column(default=False)
    """A stream was opened for it and has not been closed for certain."""
    shown: Mapped[str] = mapped_column(String(64), default="")
    """SHA-256 of the content that Slack has."""
    posted_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]


class SlackOutboxRow(Table):
    """What a message shall look like. One that waits for the same key is replaced; channels are served in order."""

    __tablename__ = "slack_outbox"
    __table_args__ = (
        Index(
            "uq_slack_outbox_waiting",
            "team",
            "key",
            unique=True,
            sqlite_where=text("state = 'waiting'"),
            postgresql_where=text("state = 'waiting'"),
        ),
        Index("ix_slack_outbox_state", "state", "number"),
    )

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    team: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(32))
    thread: Mapped[str | None] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(120))
    content: Mapped[str] = mapped_column(Text)
    """A control_plane.slack.outbox.Content as JSON."""
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    """waiting, sending (a call to Slack may have been made), done, failed, dropped."""
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(String(500), default="")


class SlackPersonRow(Table):
    """Which account a person of Slack is. Who they are in Slack is asked of Slack at each click."""

    __tablename__ = "slack_people"

    team: Mapped[str] = mapped_column(String(32), primary_key=True)
    user: Mapped[str] = mapped_column(String(32), primary_key=True)
    account: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    how: Mapped[str] = mapped_column(String(16))
    """link: made by the account itself in the web console. email: its address is the one that Slack has verified."""
    linked_at: Mapped[datetime]


class SlackLinkRow(Table):
    """An offer to link, given to one person of Slack alone. An account takes it by compare-and-set on `used_at`; then the
    person of Slack says the code that the account was shown."""

    __tablename__ = "slack_links"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    team: Mapped[str] = mapped_column(String(32))
    user: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    account: Mapped[str | None] = mapped_column(ForeignKey("accounts.id"))
    """Who took it."""
    tries: Mapped[int] = mapped_column(default=0)
    """Codes that were said and were wrong."""


class SlackGroupRow(Table):
    """Members of a user group hold this role, as long as they are in it."""

    __tablename__ = "slack_groups"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    team: Mapped[str] = mapped_column(String(32))
    usergroup: Mapped[str] = mapped_column(String(32))
    handle: Mapped[str] = mapped_column(String(100), default="")
    role: Mapped[str] = mapped_column(String(16))
    clusters: Mapped[str] = mapped_column(Text)
    namespaces: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]


class SlackChannelRow(Table):
    """What a channel may see, and how the bot behaves in it. Without a row it sees nothing."""

    __tablename__ = "slack_channels"
    __table_args__ = (UniqueConstraint("team", "channel"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    team: Mapped[str] = mapped_column(String(32))
    channel: Mapped[str] = mapped_column(String(32))
    name: Mapped[str] = mapped_column(String(100), default="")
    reach: Mapped[str] = mapped_column(Text)
    """JSON list of {"cluster": id, "namespaces": [..] or null for all}; the first is the one that questions mean."""
    strangers: Mapped[str] = mapped_column(String(16), default="refuse")
    """refuse or read: what people without an account, guests and people of other organisations may do here."""
    stranger_account: Mapped[str | None] = mapped_column(String(32))
    """The account that reads for them; nobody signs in as it."""
    follow: Mapped[bool] = mapped_column(default=False)
    """New threads of the bot are followed without a mention."""
    language: Mapped[str] = mapped_column(String(8), default="en")
    created_by: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
