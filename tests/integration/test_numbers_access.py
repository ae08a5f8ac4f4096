"""Who reads /metrics and /health/status: this machine, or whoever proves something. Probes need no proof."""

from pathlib import Path
from typing import Any

import pytest

from protocol.approval import Role
from tests.integration.http_server import Here, http_server

NUMBERS = ("/metrics", "/health/status")
PROXIED = {"X-Forwarded-For": "203.0.113.9"}
SCRAPER = "a-token-of-prometheus"


async def status(here: Here, path: str, **headers: str) -> int:
    async with here.client.get(here.url + path, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize(
    ("access", "local", "proxied"),
    [("local", 200, 401), ("token", 401, 401), ("open", 200, 200)],
)
async def test_numbers_are_for_this_machine_unless_said_otherwise(
    tmp_path: Path, access: Any, local: int, proxied: int
) -> None:
    scraper = tmp_path / "scraper"
    scraper.write_text(f"{SCRAPER}\n")
    async with http_server(tmp_path, metrics_access=access, metrics_token_file=scraper) as here:
        dana = await here.person("dana", Role.VIEWER)
        for path in NUMBERS:
            assert await status(here, path) == local
            assert await status(here, path, **PROXIED) == proxied
            assert await status(here, path, **PROXIED, Authorization=f"Bearer {SCRAPER}") == 200
            assert await status(here, path, **PROXIED, Authorization=f"Bearer {dana.token}") == 200
            assert await status(here, path, **PROXIED, Authorization="Bearer wrong") == proxied
            assert await status(here, path, **PROXIED, Authorization="Bearer ") == proxied
        for path in ("/health/live", "/health/ready"):
            assert await status(here, path, **PROXIED) == 200


async def test_a_token_file_that_is_gone_or_empty_opens_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for file in (empty, tmp_path / "missing"):
        async with http_server(tmp_path / f"{file.name}-data", metrics_access="token", metrics_token_file=file) as here:
            assert await status(here, "/metrics") == 401
            assert await status(here, "/metrics", Authorization="Bearer ") == 401
