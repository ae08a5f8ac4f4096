"""Debian's Chromium through Playwright; a page that says anything on its console, or breaks the policy, fails the test."""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE = (1440, 1024)
PHONE = (360, 780)


@dataclass
class Watched:
    """A page whose complaints are kept."""

    page: Page
    complaints: list[str] = field(default_factory=list[str])

    def watch(self) -> "Watched":
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        return self

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def expect_silence(self, *allowed: str) -> None:
        """No error, warning or policy violation, but those that hold one of `allowed`."""
        said = [c for c in self.complaints if not any(word in c for word in allowed)]
        assert said == [], said


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    if shutil.which(CHROMIUM) is None:
        raise AssertionError(f"{CHROMIUM} is missing; install it: apt-get install -y chromium fonts-noto-cjk")
    async with async_playwright() as playwright:
        args = [*ARGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=args)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def window(
    browser: Browser,
    *,
    size: tuple[int, int] = WIDE,
    dark: bool = False,
    locale: str = "en-GB",
    scripts: bool = True,
) -> AsyncGenerator[BrowserContext]:
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        locale=locale,
        timezone_id="UTC",
        java_script_enabled=scripts,
        device_scale_factor=1.5 if os.environ.get("OPSTHREAD_SCREENSHOTS") else 1,
    )
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        await context.close()


async def watched(context: BrowserContext) -> Watched:
    return Watched(await context.new_page()).watch()


def _is_shown(name: str) -> bool:
    pages = [IMAGES.parent.parent / "README.md", *IMAGES.parent.glob("*.md")]
    return any(f"images/{name}.png" in page.read_text() for page in pages)


async def picture(page: Page, name: str, folder: Path) -> Path:
    """A screenshot: into docs/images when OPSTHREAD_SCREENSHOTS=1 and a page shows it, else into the test's folder."""
    renew = os.environ.get("OPSTHREAD_SCREENSHOTS") == "1" and _is_shown(name)
    target = (IMAGES if renew else folder) / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=target, animations="disabled")
    return target
