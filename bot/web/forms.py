"""Who sent a form, and that they meant to."""

from fastapi import Request

from bot.api.access import Caller, authenticate, require_intent
from control_plane.errors import NotSignedIn


async def meant(request: Request, csrf: str) -> Caller:
    """The caller of a form, whose token matches. Raises NotSignedIn, CsrfRefused."""
    who = await authenticate(request)
    if not who.by_cookie:
        raise NotSignedIn("Forms are for browsers. Programs use /api/v1.")
    require_intent(request, who.session.csrf, csrf)
    return who
