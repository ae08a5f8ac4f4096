"""A row of the outbox as arguments of Slack's calls. Pure."""

from typing import Any, cast

from bot.slack.blocks.limits import Block
from control_plane.slack.outbox import Content, Outgoing
from control_plane.slack.posts import Post

EVENT_TYPE = "opsthread_post"
"""Of the metadata in which a message carries its nonce."""


def message(row: Outgoing) -> dict[str, Any]:
    return {
        "channel": row.channel,
        "thread_ts": row.thread_ts or None,
        **look(row.content),
        "unfurl_links": False,
        "unfurl_media": False,
        "reply_broadcast": True if row.content.reply_broadcast and row.thread_ts else None,
    }


def look(content: Content) -> dict[str, Any]:
    return {"text": content.text, "blocks": content.blocks, "link_names": False, "parse": "none"}


def nonce(post: Post) -> dict[str, Any]:
    return {"event_type": EVENT_TYPE, "event_payload": {"id": post.id}}


def nonce_of(message: dict[str, Any]) -> str:
    metadata = cast(dict[str, Any], message.get("metadata") or {})
    payload = cast(dict[str, Any], metadata.get("event_payload") or {})
    return str(payload.get("id", "")) if metadata.get("event_type") == EVENT_TYPE else ""


def in_words(content: Content, more: Block) -> Content:
    """The text alone, and where the rest is."""
    words = {"type": "mrkdwn", "text": content.text[:2_900] or " ", "verbatim": True}
    return Content(text=content.text[:3_000], blocks=[{"type": "section", "text": words}, more])
