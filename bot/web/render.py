"""Pages: a template, the words, and what each page must know. Nothing here reads the database."""

from functools import cache
from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from bot.api.access import is_secure, plane_of
from bot.api.language import language_of_reader
from bot.web.assets import build, modules
from bot.web.words import say

THEME_COOKIE = "opsthread_theme"
THEMES = ("auto", "light", "dark")
_YEAR_S = 365 * 24 * 3600


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    language = language_of_reader(request)

    def words(key: str, **params: object) -> str:
        return say(language, key, **params)

    html = (
        _environment()
        .get_template(template)
        .render(
            t=words,
            language=language,
            theme=theme_of_reader(request),
            static=f"/static/{build()}",
            modules=modules(),
            path=request.url.path,
            **values,
        )
    )
    return HTMLResponse(html, status_code=status)


def theme_of_reader(request: Request) -> str:
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return theme if theme in THEMES else "auto"


def remember(request: Request, response: Response, name: str, value: str) -> None:
    """A preference. Scripts may write it too, so it is not HttpOnly; it opens nothing."""
    secure = is_secure(plane_of(request).settings)
    response.set_cookie(name, value, max_age=_YEAR_S, path="/", samesite="lax", secure=secure)


def local_path(path: str) -> str:
    """Where a form may send a person next: a path of ours, or the start page."""
    return (
        path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path and "\r" not in path else "/"
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("bot.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
