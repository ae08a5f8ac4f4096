"""What a workspace holds, as plain records. Tests read them; only the fake writes them."""

from dataclasses import dataclass, field
from typing import Any, cast

Json = dict[str, Any]


@dataclass
class App:
    """The one app that this Slack knows, as its manifest would make it."""

    id: str
    client_id: str
    client_secret: str
    signing_secret: str
    command: str
    events: set[str]
    """Bot events that it is subscribed to."""
    echoes: bool = True
    """Whether the bot's own messages and edits come back as events, as in Slack."""


@dataclass
class Team:
    id: str
    name: str
    domain: str
    enterprise_id: str | None = None


@dataclass
class User:
    """A person or a bot. `team_id` differs from the app's own for people of another company (shared channels)."""

    id: str
    team_id: str
    name: str
    real_name: str
    email: str = ""
    locale: str = "en-US"
    tz: str = "UTC"
    is_admin: bool = False
    is_restricted: bool = False
    """A guest of several channels."""
    is_ultra_restricted: bool = False
    """A guest of one channel."""
    is_bot: bool = False
    deleted: bool = False
    is_email_confirmed: bool | None = True
    """None: the workspace does not say."""
    enterprise: dict[str, Any] = field(default_factory=dict[str, Any])
    """As in `enterprise_user`."""
    bot_id: str = ""


@dataclass
class UserGroup:
    id: str
    team_id: str
    handle: str
    name: str
    users: list[str]
    disabled: bool = False


@dataclass
class Channel:
    id: str
    team_id: str
    name: str
    members: set[str]
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    user: str = ""
    """The person of a direct message."""
    shared_with: list[str] = field(default_factory=list[str])
    """Teams of other companies."""

    @property
    def shown_name(self) -> str:
        """As commands and interactions name it: private ones by their kind only."""
        return "privategroup" if self.is_private else self.name

    @property
    def kind(self) -> str:
        """As in the `channel_type` of events."""
        return "im" if self.is_im else "group" if self.is_private else "channel"


@dataclass
class Edit:
    """What a message was before an update, and when that was."""

    at: float
    text: str
    blocks: list[Json]


@dataclass
class Stream:
    """The streaming state of a message and the pieces that came."""

    started_at: float
    touched_at: float
    recipient_user_id: str
    recipient_team_id: str
    task_display_mode: str
    stopped: bool = False
    stopped_by: str = ""
    """The person who stopped it, if one did."""
    by_text: bool = False
    """It takes `markdown_text`, not chunks."""
    pieces: list[Json] = field(default_factory=list[Json])
    """Every chunk in the order of its coming."""
    tasks: dict[str, Json] = field(default_factory=dict[str, Json])
    """The newest state of each task, by id, in the order of first sight."""
    plan_title: str = ""
    last_blocks: list[Json] = field(default_factory=list[Json])
    """Those that came with the stop."""


@dataclass
class Message:
    channel: str
    ts: str
    team_id: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list[Json])
    thread_ts: str = ""
    bot_id: str = ""
    app_id: str = ""
    subtype: str = ""
    attachments: list[Json] = field(default_factory=list[Json])
    metadata: Json = field(default_factory=dict[str, Any])
    files: list[str] = field(default_factory=list[str])
    reactions: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    edits: list[Edit] = field(default_factory=list[Edit])
    deleted: bool = False
    stream: Stream | None = None
    unfurl_links: bool = False
    unfurl_media: bool = True
    link_names: bool = False
    parse: str = "none"
    only_for: str = ""
    """The one person who sees an ephemeral message."""
    warnings: list[str] = field(default_factory=list[str])
    deliveries: list[str] = field(default_factory=list[str])
    """Ids of the deliveries (events) that this message caused."""

    @property
    def thread(self) -> str:
        """The ts of the thread that it is in or would open."""
        return self.thread_ts or self.ts

    def elements(self) -> list[Json]:
        """What people can press or choose in it, each with its block_id."""
        return interactive_elements(self.blocks)


@dataclass
class Token:
    value: str
    kind: str
    """bot, user or app."""
    team_id: str
    user_id: str
    bot_id: str
    scopes: set[str]
    revoked: bool = False


@dataclass
class Grant:
    """A person's consent to install, waiting to be exchanged for its token."""

    token: Token
    user: str
    redirect_uri: str


@dataclass
class View:
    id: str
    team_id: str
    user: str
    body: Json
    """As the app sent it."""
    hash: str
    root_id: str
    previous_id: str = ""
    closed: bool = False
    errors: dict[str, str] = field(default_factory=dict[str, str])
    """By block_id, from the last `response_action: errors`."""
    history: list[Json] = field(default_factory=list[Json])


@dataclass
class File:
    id: str
    team_id: str
    user: str
    name: str
    length: int
    title: str = ""
    alt_text: str = ""
    content: bytes | None = None
    complete: bool = False
    shared_in: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """(channel, ts of the message that shows it)."""


@dataclass
class ResponseUrl:
    """Where the app may answer an interaction: five times within half an hour."""

    made_at: float
    team_id: str
    channel: str
    user: str
    message: Message | None
    """The message that was pressed; a command has none."""
    answers: list[Json] = field(default_factory=list[Json])


@dataclass
class AssistantThread:
    channel: str
    thread_ts: str
    user: str
    context: Json
    title: str = ""
    statuses: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    prompts: list[Json] = field(default_factory=list[Json])


def interactive_elements(blocks: list[Json]) -> list[Json]:
    """Every element with an action_id in these blocks, with the block_id of its block."""
    found: list[Json] = []
    for block in blocks:
        inside: list[Any] = [block.get("accessory"), block.get("element")]
        for several in ("elements", "actions"):
            inside += block.get(several) or []
        held = [cast(Json, one) for one in inside if isinstance(one, dict) and "action_id" in one]
        found += [{**one, "block_id": block.get("block_id", "")} for one in held]
    return found
