"""Slack's Web API as values: one call in, a dict or one of three troubles out. Nothing here tries again by itself, because
whether a call may be made twice is for the caller to know."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

Json = dict[str, Any]

CALL_S = 20.0
SLACKS = ("slack.com", "slack-gov.com")
"""Its hosts."""
_BY_QUERY = frozenset(
    {
        "auth.test",
        "bots.info",
        "conversations.history",
        "conversations.info",
        "conversations.list",
        "conversations.replies",
        "files.getUploadURLExternal",
        "files.info",
        "usergroups.list",
        "usergroups.users.list",
        "users.conversations",
        "users.info",
        "users.lookupByEmail",
    }
)
"""Slack takes no JSON bodies for these."""
_BY_FORM = frozenset({"oauth.v2.access"})
"""Nor for these, and what they carry must not stand in an address."""
_LATER = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
"""Slack's own troubles: the call may have been carried out."""
_DEAD = frozenset(
    {"account_inactive", "invalid_auth", "not_authed", "token_expired", "token_revoked", "team_access_not_granted"}
)


class SlackTrouble(Exception):
    """A call to Slack that brought no answer to go on with."""

    def __init__(self, method: str, code: str) -> None:
        self.method = method
        self.code = code
        super().__init__(f"Slack's {method}: {code}")


class SlackRefused(SlackTrouble):
    """Slack said no, in its own word (`code`). Nothing was done, and the same call again is refused again."""

    def __init__(self, method: str, code: str, told: Mapping[str, Any] | None = None) -> None:
        super().__init__(method, code)
        self.told: Mapping[str, Any] = told or {}

    @property
    def dead(self) -> bool:
        """The token is good for nothing any more."""
        return self.code in _DEAD


class SlackBusy(SlackTrouble):
    """Nothing was done; the same call may be made after `after_s` seconds."""

    def __init__(self, method: str, after_s: float) -> None:
        super().__init__(method, "ratelimited")
        self.after_s = after_s


class SlackUnsure(SlackTrouble):
    """No answer, or a failure inside Slack: nobody can tell whether it was done."""


class WebApi:
    """Calls with one token. `client` has no retry handlers."""

    def __init__(self, client: AsyncWebClient) -> None:
        self.client = client

    async def call(self, method: str, **args: Any) -> Json:
        """Arguments that are None are left out. Raises SlackRefused, SlackBusy, SlackUnsure."""
        return (await self.headed(method, **args))[0]

    async def headed(self, method: str, **args: Any) -> tuple[Json, Mapping[str, str]]:
        """As `call`, with the answer's headers, their names in lower case."""
        given = {name: value for name, value in args.items() if value is not None}
        try:
            async with asyncio.timeout(CALL_S):
                answer = await self._ask(method, given)
        except SlackApiError as error:
            raise _trouble(method, error) from None
        except (aiohttp.ClientError, SlackClientError, OSError, TimeoutError, ValueError) as error:
            raise SlackUnsure(method, type(error).__name__) from None
        return answer

    async def _ask(self, method: str, args: Json) -> tuple[Json, Mapping[str, str]]:
        client: Any = self.client  # the SDK's dicts have no types
        if method in _BY_FORM:
            answer = await client.api_call(method, data=args)
        elif method in _BY_QUERY:
            answer = await client.api_call(method, params={k: _in_query(v) for k, v in args.items()})
        else:
            answer = await client.api_call(method, json=args)
        if not isinstance(answer.data, dict):
            raise ValueError("no JSON")
        return cast(Json, answer.data), _headers(answer)


def _in_query(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _trouble(method: str, error: SlackApiError) -> SlackTrouble:
    answer: Any = error.response
    if not isinstance(cast(object, answer), AsyncSlackResponse):
        return SlackUnsure(method, "no_json")
    told: Mapping[str, Any] = cast(Mapping[str, Any], answer.data) if isinstance(answer.data, dict) else {}
    code = str(told.get("error") or f"http_{answer.status_code}")
    headers = _headers(answer)
    if answer.status_code == 429 or code in ("ratelimited", "rate_limited"):
        return SlackBusy(method, _seconds(headers.get("retry-after", "")))
    if answer.status_code >= 500 or code in _LATER:
        return SlackUnsure(method, code)
    return SlackRefused(method, code, told)


def _headers(answer: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in cast(Mapping[str, Any], answer.headers).items()}


def _seconds(told: str) -> float:
    """What the header says; half a minute where it says nothing."""
    try:
        return min(max(float(told), 0.0), 600.0)
    except ValueError:
        return 30.0
