"""Fixtures of the integration tests: a desk on SQLite, and one on both databases for what races."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.integration.desk import Desk, desk_over
from tests.integration.postgres import Postgres, postgres
from tests.integration.slack_rows import slack, slack_url

__all__ = ["postgres", "slack", "slack_url"]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncGenerator[Desk]:
    async with desk_over("", tmp_path) as here:
        yield here


@pytest.fixture(params=["sqlite", "postgresql"])
async def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Desk]:
    """The same on SQLite and on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.new_database()
    async with desk_over(url, tmp_path) as here:
        yield here
