"""Pictures into threads. What is drawn is drawn when it is sent; an upload whose end is not known is looked for first."""

import asyncio
from typing import Any, Protocol, cast

import aiohttp
import structlog

from bot.slack.web_api import SlackRefused, SlackUnsure, WebApi
from control_plane.slack.outbox import FileRef, Outgoing

log = structlog.get_logger(__name__)

UPLOAD_S = 30.0


class Call(Protocol):
    async def __call__(self, method: str, **args: Any) -> dict[str, Any]: ...


class Painter(Protocol):
    async def picture(self, file: FileRef) -> bytes | None:
        """The bytes; None when there is nothing to show any more."""
        ...


class Files:
    def __init__(self, painter: Painter) -> None:
        self._painter = painter

    async def send(self, api: WebApi, row: Outgoing, nonce: str, call: Call, *, look_first: bool) -> str | None:
        """The ts of the message that shows it, else `file:<id>`. None: there is no picture. Each call goes through
        `call`, for the upload between them may outlast the lease. Raises SlackTrouble, and what `call` raises."""
        file = row.content.file
        if file is None:
            return None
        # The name carries the nonce: by it a lost upload is found again.
        name = f"{file.name}-{nonce[:12]}.png"
        if look_first and (there := await self._there(call, row, name)):
            return there
        picture = await self._painter.picture(file)
        if not picture:
            return None
        given = await call("files.getUploadURLExternal", filename=name, length=len(picture), alt_txt=file.alt or None)
        await self._upload(api, str(given["upload_url"]), picture)
        done = await call(
            "files.completeUploadExternal",
            files=[{"id": str(given["file_id"]), "title": file.title or file.name}],
            channel_id=row.channel,
            thread_ts=row.thread_ts or None,
        )
        files = cast(list[dict[str, Any]], done.get("files") or [{}])
        return _shared(files[0], row.channel) or f"file:{given['file_id']}"

    async def _upload(self, api: WebApi, url: str, picture: bytes) -> None:
        """To an address of Slack's own, without a token. Nobody sees it before it is completed."""
        session = api.client.session
        if session is None:
            raise SlackUnsure("files.upload", "no session")
        try:
            async with asyncio.timeout(UPLOAD_S), session.post(url, data=picture) as answer:
                if answer.status >= 300:
                    raise SlackUnsure("files.upload", f"http_{answer.status}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise SlackUnsure("files.upload", type(error).__name__) from None

    async def _there(self, call: Call, row: Outgoing, name: str) -> str:
        at = row.post.updated_at if row.post is not None else row.created_at
        where: dict[str, Any] = {"channel": row.channel, "limit": 200, "oldest": f"{at.timestamp() - 120:.6f}"}
        try:
            told = (
                await call("conversations.replies", ts=row.thread_ts, **where)
                if row.thread_ts
                else await call("conversations.history", **where)
            )
        except SlackRefused as error:
            log.warning("slack.cant_look", channel=row.channel, why=error.code)
            return ""
        for message in cast(list[dict[str, Any]], told.get("messages") or []):
            if any(one.get("name") == name for one in cast(list[dict[str, Any]], message.get("files") or [])):
                return str(message.get("ts", ""))
        return ""


def _shared(file: dict[str, Any], channel: str) -> str:
    """Where a completed file is shown, when Slack tells so at once."""
    for places in cast(dict[str, dict[str, Any]], file.get("shares") or {}).values():
        shown = cast(list[dict[str, Any]], places.get(channel) or [])
        if shown:
            return str(shown[0].get("ts", ""))
    return ""
