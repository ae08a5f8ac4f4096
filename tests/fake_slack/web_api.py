"""The HTTP side of the Web API: arguments in, checks, the method, the answer out; every call is kept."""

import base64
import json
from typing import Any, cast

from aiohttp import web

from tests.fake_slack.calls import Call
from tests.fake_slack.errors import SlackError
from tests.fake_slack.faults import Fault, Faults, Harm
from tests.fake_slack.methods import NO_JSON, authorise
from tests.fake_slack.rates import Rates
from tests.fake_slack.records import Json
from tests.fake_slack.world import World


class WebApi:
    """Serves `/api/<method>` over a world, with the troubles and rates that tests set."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.faults = Faults()
        self.rates = Rates(world)
        self.calls: list[Call] = []

    async def serve(self, request: web.Request) -> web.StreamResponse:
        args = await _arguments(request)
        bearer, basic = _credentials(request)
        bearer = bearer or str(args.pop("token", "") or "")
        call = Call(request.match_info["method"], args, self._world.clock.now(), basic=basic)
        self.calls.append(call)
        fault = self.faults.strike(call)
        self._world.changed()
        if fault and not fault.after:
            harmed = await self._harm(fault, request, call)
            if harmed is not None:
                return harmed
        headers = self._run(call, bearer)
        if fault and fault.after:
            call.lost = fault.harm is not Harm.HELD
            harmed = await self._harm(fault, request, call)
            if harmed is not None:
                return harmed
        return web.json_response(call.answer, status=call.status, headers=headers)

    def _run(self, call: Call, bearer: str) -> dict[str, str]:
        """Do what the call asks for; its answer stands in the call, headers come back."""
        headers: dict[str, str] = {}
        try:
            row = authorise(self._world, call, bearer)
            headers["x-accepted-oauth-scopes"] = ",".join(sorted(row.scopes))
            self.rates.check(call, row)
            self._answered(call, row.run(self._world, call))
        except SlackError as refused:
            headers |= refused.headers
            self._answered(call, refused.body(), refused.status)
        if call.token.scopes:
            headers["x-oauth-scopes"] = ",".join(sorted(call.token.scopes))
        return headers

    async def _harm(self, fault: Fault, request: web.Request, call: Call) -> web.StreamResponse | None:
        """What the caller gets instead of an answer; None when the call goes on."""
        match fault.harm:
            case Harm.HELD:
                await fault.held()
                return None
            case Harm.LATE:
                await self._world.clock.sleep(fault.seconds)
                return None
            case Harm.SERVER_ERROR:
                call.status = 500
                return web.Response(status=500, text="upstream error")
            case Harm.CUT:
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
            case Harm.REFUSED:
                refusal = fault.refusal or SlackError("internal_error")
                self._answered(call, refusal.body(), refusal.status)
                return web.json_response(call.answer, status=call.status, headers=refusal.headers)

    def _answered(self, call: Call, answer: Json, status: int = 200) -> None:
        call.answer, call.status = answer, status
        self._world.changed()


def _credentials(request: web.Request) -> tuple[str, tuple[str, str] | None]:
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return rest, None
    if scheme == "Basic":
        user, _, password = base64.b64decode(rest).decode().partition(":")
        return "", (user, password)
    return "", None


async def _arguments(request: web.Request) -> dict[str, Any]:
    """Query, form and JSON together, as Slack takes them."""
    args: dict[str, Any] = dict(request.query)
    if request.content_type == "application/json":
        body: Any = json.loads(await request.text() or "{}")
        if isinstance(body, dict) and request.match_info["method"] not in NO_JSON:
            args |= cast(dict[str, Any], body)
    elif request.method == "POST":
        args |= {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return args
