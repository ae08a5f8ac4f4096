"""Cursor paging: an opaque cursor in, `next` out. Lists answer {"<things>": [...], "count": n, "next": cursor | null}."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]


def listing(name: str, items: Sequence[dict[str, Any]], following: str | None = None) -> dict[str, Any]:
    return {name: list(items), "count": len(items), "next": following}


def page_after(items: Sequence[dict[str, Any]], cursor: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
    """A page of a list that the service gives whole: what follows the item whose id is the cursor."""
    start = 0
    if cursor is not None:
        ids = [str(item["id"]) for item in items]
        start = ids.index(cursor) + 1 if cursor in ids else len(items)
    page = list(items[start : start + limit])
    more = start + limit < len(items)
    return page, str(page[-1]["id"]) if page and more else None
