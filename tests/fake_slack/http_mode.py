"""Events, interactions and commands as signed requests to the app's own URLs."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

import aiohttp

from tests.fake_slack.deliveries import Kind
from tests.fake_slack.records import Json
from tests.fake_slack.world import World

MOST_S = aiohttp.ClientTimeout(total=30)
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class HttpAnswer:
    """What the app's URL answered; status 0 when it could not be reached."""

    status: int
    body: str
    headers: dict[str, str]

    def acknowledgement(self) -> Json:
        """What stands in a 200: JSON as it is, other text as a command's reply."""
        if not self.body:
            return {}
        if self.headers.get("content-type", "").startswith(JSON):
            found: Any = json.loads(self.body)
            return cast(Json, found) if isinstance(found, dict) else {}
        return {"text": self.body}


class HttpDoor:
    """Posts to the URLs that the app would have in its settings."""

    def __init__(self, world: World, events: str, interactions: str, commands: str) -> None:
        self._world = world
        self.urls = {Kind.EVENT: events, Kind.INTERACTIVE: interactions, Kind.COMMAND: commands}
        self._session = aiohttp.ClientSession(timeout=MOST_S)

    async def close(self) -> None:
        await self._session.close()

    async def post(
        self,
        kind: Kind,
        payload: Json,
        *,
        timestamp: str | None = None,
        signature: str | None = None,
        retry: int = 0,
        reason: str = "",
    ) -> HttpAnswer:
        """Post one payload, signed for now unless told otherwise. An empty timestamp or signature is left out."""
        body, content_type = encoded(kind, payload)
        stamp = str(int(self._world.clock.now())) if timestamp is None else timestamp
        signed = sign(self._world.app.signing_secret, stamp, body) if signature is None else signature
        headers = {"Content-Type": content_type, "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": signed}
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason}
        present = {name: value for name, value in headers.items() if value}
        try:
            async with self._session.post(self.urls[kind], data=body, headers=present) as answer:
                seen = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, await answer.text(), seen)
        except (TimeoutError, aiohttp.ClientError) as away:
            return HttpAnswer(0, str(away), {})


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """Version 0 of Slack's signature."""
    return "v0=" + hmac.new(secret.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()


def encoded(kind: Kind, payload: Json) -> tuple[bytes, str]:
    """Events are JSON; interactions are a form with one field of JSON; commands are a form."""
    match kind:
        case Kind.EVENT:
            return json.dumps(payload).encode(), JSON
        case Kind.INTERACTIVE:
            return urlencode({"payload": json.dumps(payload)}).encode(), FORM
        case Kind.COMMAND:
            return urlencode(payload).encode(), FORM
