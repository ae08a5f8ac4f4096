"""The table of the Web API: each method, what a token needs for it, and how often it may be called."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fake_slack import methods_apps
from tests.fake_slack import methods_assistant as assistant
from tests.fake_slack import methods_chat as chat
from tests.fake_slack import methods_conversations as conversations
from tests.fake_slack import methods_files as files
from tests.fake_slack import methods_people as people
from tests.fake_slack import methods_streams as streams
from tests.fake_slack import methods_views as views
from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.methods_conversations import HISTORY, READ
from tests.fake_slack.records import Json
from tests.fake_slack.world import World

Run = Callable[[World, Call], Json]


@dataclass(frozen=True)
class Method:
    run: Run
    scopes: frozenset[str] = frozenset()
    """Any of these will do; none: every token."""
    tokens: frozenset[str] = frozenset({"bot", "user"})
    """Kinds of tokens that it takes; empty: none is asked for."""
    a_minute: int = 50
    """Calls a minute and workspace."""


def method(run: Run, *scopes: str, tokens: tuple[str, ...] = ("bot", "user"), a_minute: int = 50) -> Method:
    return Method(run, frozenset(scopes), frozenset(tokens), a_minute)


T2, T3, T4, FREELY = 20, 50, 100, 600

METHODS: dict[str, Method] = {
    "apps.connections.open": method(methods_apps.connections_open, "connections:write", tokens=("app",)),
    "assistant.threads.setStatus": method(assistant.set_status, "assistant:write", "chat:write", a_minute=FREELY),
    "assistant.threads.setSuggestedPrompts": method(assistant.set_suggested_prompts, "assistant:write", a_minute=T4),
    "assistant.threads.setTitle": method(assistant.set_title, "assistant:write", a_minute=T4),
    "auth.revoke": method(methods_apps.auth_revoke),
    "auth.test": method(methods_apps.auth_test, tokens=("bot", "user", "app"), a_minute=FREELY),
    "bots.info": method(people.bot_info, "users:read"),
    "chat.appendStream": method(streams.append, "chat:write", a_minute=T4),
    "chat.delete": method(chat.delete, "chat:write"),
    "chat.getPermalink": method(chat.permalink, a_minute=FREELY),
    "chat.postEphemeral": method(chat.post_ephemeral, "chat:write", a_minute=T4),
    "chat.postMessage": method(chat.post_message, "chat:write", a_minute=FREELY),
    "chat.startStream": method(streams.start, "chat:write", a_minute=T2),
    "chat.stopStream": method(streams.stop, "chat:write", a_minute=T2),
    "chat.update": method(chat.update, "chat:write"),
    "conversations.history": method(conversations.history, *HISTORY.values()),
    "conversations.info": method(conversations.info, *READ.values()),
    "conversations.join": method(conversations.join, "channels:join"),
    "conversations.list": method(conversations.listing, *READ.values(), a_minute=T2),
    "conversations.members": method(conversations.members, *READ.values(), a_minute=T4),
    "conversations.open": method(conversations.open_direct, "im:write", "channels:manage"),
    "conversations.replies": method(conversations.replies, *HISTORY.values()),
    "files.completeUploadExternal": method(files.complete_upload, "files:write", a_minute=T4),
    "files.delete": method(files.delete, "files:write"),
    "files.getUploadURLExternal": method(files.get_upload_url, "files:write", a_minute=T4),
    "files.info": method(files.info, "files:read", a_minute=T4),
    "oauth.v2.access": method(methods_apps.oauth_access, tokens=(), a_minute=FREELY),
    "reactions.add": method(chat.add_reaction, "reactions:write"),
    "reactions.remove": method(chat.remove_reaction, "reactions:write"),
    "team.info": method(people.team_info, "team:read"),
    "usergroups.list": method(people.group_listing, "usergroups:read", a_minute=T2),
    "usergroups.users.list": method(people.group_members, "usergroups:read", a_minute=T2),
    "users.conversations": method(conversations.mine, *READ.values()),
    "users.info": method(people.info, "users:read", a_minute=T4),
    "users.list": method(people.listing, "users:read", a_minute=T2),
    "users.lookupByEmail": method(people.lookup_by_email, "users:read.email"),
    "views.open": method(views.open_view, a_minute=T4),
    "views.publish": method(views.publish, a_minute=T4),
    "views.push": method(views.push, a_minute=T4),
    "views.update": method(views.update, a_minute=T4),
}


NO_JSON = frozenset(
    {
        *("auth.revoke", "bots.info", "chat.getPermalink", "oauth.v2.access", "team.info"),
        *("conversations.info", "conversations.list", "conversations.members", "users.conversations"),
        *("files.getUploadURLExternal", "files.info", "usergroups.list", "usergroups.users.list"),
        *("users.info", "users.list", "users.lookupByEmail"),
    }
)
"""Methods that read query and form only: what stands in a JSON body is not seen."""


def authorise(world: World, call: Call, bearer: str) -> Method:
    """The row of the call's method, if the token may use it; the call then knows its token."""
    row = METHODS.get(call.method)
    if row is None:
        raise SlackError("unknown_method", req_method=call.method)
    if not row.tokens:
        return row
    if not bearer:
        raise SlackError("not_authed")
    token = world.tokens.get(bearer)
    if token is None:
        raise SlackError("invalid_auth")
    if token.revoked:
        raise SlackError("token_revoked")
    call.token = token
    if token.kind not in row.tokens:
        raise SlackError("not_allowed_token_type")
    if row.scopes and not row.scopes & token.scopes:
        raise SlackError("missing_scope", needed=",".join(sorted(row.scopes)), provided=",".join(sorted(token.scopes)))
    return row
