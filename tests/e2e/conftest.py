"""A browser, a server with people in it, and a thread that is under way."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from protocol.approval import Role
from tests.e2e.browser import Watched, chromium, watched, window
from tests.integration.http_server import COOKIE, Here, Person, http_server


@dataclass
class Stage:
    here: Here
    browser: Browser
    dana: Person
    alex: Person

    def page(self, person: Person | None, path: str, **how: Any) -> AbstractAsyncContextManager[Watched]:
        """A window of its own in which `person` is signed in, at `path`; `language`, `at` (another address), and what
        `window` takes."""
        return self._page(person, path, **how)

    @asynccontextmanager
    async def _page(
        self, person: Person | None, path: str, language: str = "", at: str = "", **how: Any
    ) -> AsyncGenerator[Watched]:
        async with window(self.browser, **how) as context:
            cookies = {COOKIE: person.session.token} if person else {}
            if language:
                cookies["opsthread_language"] = language
            await context.add_cookies([{"name": n, "value": v, "url": self.here.url} for n, v in cookies.items()])
            view = await watched(context)
            await view.page.goto((at or self.here.url) + path)
            if how.get("scripts", True):
                await view.page.wait_for_selector("html[data-ready]")
            yield view


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with http_server(tmp_path) as here, chromium() as browser:
        dana = await here.person("dana", Role.OPERATOR, display="Dana (on call)")
        alex = await here.person("alex", Role.APPROVER, display="Alex (approver)")
        yield Stage(here, browser, dana, alex)
