"""What the app asks of Slack, in one table: each scope with its reason, and what is called or heard by it. The manifest that
people create the app from, `opsthread slack check` and the documentation all come from here."""

from dataclasses import dataclass
from typing import Any

import yaml

COMMAND = "/opsthread"
EVENTS_PATH = "/slack/events"
"""Of the one URL for events, interactions and commands."""
REDIRECT_PATH = "/slack/oauth_redirect"
INSTALL_PATH = "/slack/install"


@dataclass(frozen=True)
class Scope:
    name: str
    why: str
    methods: tuple[str, ...] = ()
    """Of the Web API, that we call by it."""
    events: tuple[str, ...] = ()
    """That we hear by it."""
    optional: bool = False
    """Whoever takes it out of the manifest, with its events, loses this and nothing else."""


SCOPES: tuple[Scope, ...] = (
    Scope("app_mentions:read", "hear that it is mentioned", events=("app_mention",)),
    Scope(
        "assistant:write",
        "be Slack's assistant: its pane, its suggestions, what it is doing",
        methods=("assistant.threads.setStatus", "assistant.threads.setSuggestedPrompts", "assistant.threads.setTitle"),
        events=("assistant_thread_started", "assistant_thread_context_changed"),
        optional=True,
    ),
    Scope(
        "channels:history",
        "hear further questions in threads that somebody told it to follow, and find a message again whose receipt got lost",
        methods=("conversations.history", "conversations.replies"),
        events=("message.channels",),
        optional=True,
    ),
    Scope(
        "channels:read",
        "know that it was invited, and check the channels that are bound",
        methods=("conversations.info", "users.conversations"),
        events=("member_joined_channel",),
    ),
    Scope(
        "chat:write",
        "answer",
        methods=(
            "chat.postMessage",
            "chat.update",
            "chat.delete",
            "chat.postEphemeral",
            "chat.startStream",
            "chat.appendStream",
            "chat.stopStream",
        ),
    ),
    Scope("commands", f"take {COMMAND}"),
    Scope("files:write", "show charts", methods=("files.getUploadURLExternal", "files.completeUploadExternal"), optional=True),
    Scope(
        "groups:history",
        "as channels:history, in private channels that it was invited to",
        events=("message.groups",),
        optional=True,
    ),
    Scope(
        "groups:read",
        "as channels:read, in private channels that it was invited to",
        methods=("conversations.info", "users.conversations"),
    ),
    Scope("im:history", "hear what is written to it directly", events=("message.im",)),
    Scope(
        "usergroups:read",
        "give the members of a user group the role that an admin tied to it",
        methods=("usergroups.list",),
        events=("subteam_members_changed", "subteam_updated"),
        optional=True,
    ),
    Scope(
        "users:read",
        "tell full members from guests, bots and people of other organisations",
        methods=("users.info", "bots.info"),
    ),
    Scope(
        "users:read.email",
        "know whose account it is, by the address that Slack has verified",
        methods=("users.info",),
        optional=True,
    ),
)
FREE_EVENTS = ("app_home_opened", "app_uninstalled", "tokens_revoked")
"""For which Slack asks no scope."""
FREE_METHODS = ("apps.connections.open", "auth.test", "oauth.v2.access", "views.open", "views.publish", "views.update")
"""As FREE_EVENTS; the first is the app token's own, with connections:write."""

SCOPE_NAMES = tuple(sorted(scope.name for scope in SCOPES))
EVENTS = tuple(sorted({*FREE_EVENTS, *(event for scope in SCOPES for event in scope.events)}))

_PROMPTS = (
    ("What is wrong now?", "What is wrong in the cluster right now?"),
    ("Explain a crash", "Why does payments crash?"),
    ("What changed?", "What changed in the last hour?"),
)
_SHORTCUTS = (
    ("follow", "Follow this thread", "Opsthread answers here without being mentioned"),
    ("unfollow", "Stop following", "Opsthread answers here when it is mentioned"),
)
"""In the menu of each message."""


def manifest(*, http: str = "", name: str = "Opsthread") -> dict[str, Any]:
    """For an internal app. `http`: how Slack reaches us, without a slash at its end; "": by socket mode."""
    at = f"{http.rstrip('/')}{EVENTS_PATH}" if http else ""
    command = {"command": COMMAND, "description": "Ask about a cluster", "usage_hint": "ask|status|clusters|approvals|help"}
    if at:
        command["url"] = at
    return {
        "display_information": {
            "name": name,
            "description": "Finds what is wrong with a Kubernetes cluster, proves it, and heals it with your approval.",
            "background_color": "#1d3b3a",
        },
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": name, "always_online": True},
            "assistant_view": {
                "assistant_description": "Ask what is wrong with a cluster, see the evidence, decide about the fix.",
                "suggested_prompts": [{"title": title, "message": message} for title, message in _PROMPTS],
            },
            "slash_commands": [command],
            "shortcuts": [
                {"name": title, "type": "message", "callback_id": callback, "description": description}
                for callback, title, description in _SHORTCUTS
            ],
        },
        "oauth_config": {
            **({"redirect_urls": [f"{http.rstrip('/')}{REDIRECT_PATH}"]} if http else {}),
            "scopes": {"bot": list(SCOPE_NAMES)},
        },
        "settings": {
            "event_subscriptions": {**({"request_url": at} if at else {}), "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **({"request_url": at} if at else {})},
            "org_deploy_enabled": False,
            "socket_mode_enabled": not http,
            "token_rotation_enabled": False,
        },
    }


def as_yaml(made: dict[str, Any]) -> str:
    """With the reason of each scope beside it."""
    whys = {f"- {scope.name}": scope.why for scope in SCOPES}
    text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=200)
    lines = [f"{line}  # {whys[line.strip()]}" if line.strip() in whys else line for line in text.splitlines()]
    return _HEAD + "\n".join(lines) + "\n"


_HEAD = """\
# An internal app of your own workspace: api.slack.com/apps > Create New App > From a manifest. docs/slack.md has the rest.
# Made by `opsthread slack manifest`.
"""
