"""The HTTP side of the Web API: arguments in, checks, the method, the answer out; every call is kept."""

import base64
import json
from typing import Any, cast

from aiohttp import web

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.methods import authorise
from tests.fake_slack.records import Json
from tests.fake_slack.world import World


class WebApi:
    """Serves `/api/<method>` over a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.calls: list[Call] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        args = await _arguments(request)
        bearer = str(args.pop("token", "") or "")
        basic: tuple[str, str] | None = None
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            bearer = rest
        elif scheme == "Basic":
            user, _, password = base64.b64decode(rest).decode().partition(":")
            basic = (user, password)
        call = Call(request.match_info["method"], args, self._world.clock.now(), basic=basic)
        self.calls.append(call)
        headers: dict[str, str] = {}
        try:
            row = authorise(self._world, call, bearer)
            headers["x-accepted-oauth-scopes"] = ",".join(sorted(row.scopes))
            self._finish(call, row.run(self._world, call))
        except SlackError as refused:
            headers |= refused.headers
            self._finish(call, refused.body(), refused.status)
        if call.token.scopes:
            headers["x-oauth-scopes"] = ",".join(sorted(call.token.scopes))
        return web.json_response(call.answer, status=call.status, headers=headers)

    def _finish(self, call: Call, answer: Json, status: int = 200) -> None:
        call.answer, call.status = answer, status
        self._world.changed()


async def _arguments(request: web.Request) -> dict[str, Any]:
    """Query, form and JSON together, as Slack takes them."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body: Any = json.loads(await request.text() or "{}")
        if isinstance(body, dict):
            args |= cast(dict[str, Any], body)
    elif request.method == "POST":
        args |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return args
