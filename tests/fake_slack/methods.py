"""The table of the Web API: each method, what a token needs for it, and how often it may be called."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.fake_slack import methods_apps, methods_chat
from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
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


METHODS: dict[str, Method] = {
    "auth.test": method(methods_apps.auth_test, a_minute=600),
    "apps.connections.open": method(methods_apps.connections_open, "connections:write", tokens=("app",)),
    "chat.postMessage": method(methods_chat.post_message, "chat:write", a_minute=600),
    "chat.postEphemeral": method(methods_chat.post_ephemeral, "chat:write", a_minute=100),
    "chat.update": method(methods_chat.update, "chat:write"),
    "chat.delete": method(methods_chat.delete, "chat:write"),
    "reactions.add": method(methods_chat.add_reaction, "reactions:write"),
}


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
