"""Enrolment: a single-use token for this runner's place, on a connection of its own."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import ValidationError

from protocol import subjects
from protocol.bus import EnrolReply, EnrolRequest
from protocol.proof import enrol_inbox_id
from protocol.text import one_line
from runner.identity import Identity
from runner.line import CONNECTION_ERRORS, end, open_line

log = structlog.get_logger("runner.link")

_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_DENIED_TIMES = 5
"""A token is given up after so many refusals in a row (about 4 s): one alone may be a control plane that is just starting."""


class EnrolmentRefused(Exception):
    """The control plane did not take the token. A new one is needed."""


async def enrol(
    url: str, identity: Identity, token: str, *, name: str, now: Callable[[], datetime], ca_file: str | None = None
) -> EnrolReply:
    """Exchange the single-use token for this runner's place: cluster and runner ids.

    Waits for a control plane that is not there yet. Raises EnrolmentRefused when it says no.
    """
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    request = EnrolRequest(token=token, public_key=identity.public_key).model_dump_json().encode()
    attempt = denied = 0
    while True:
        try:
            inbox = subjects.inbox_prefix(enrol_inbox_id(identity.public_key))
            line = await open_line(url, name, lambda: identity.auth_token(now(), enrol=token), inbox, tls)
            try:
                answer = await line.client.request(subjects.ENROL, request, timeout=5)
            finally:
                await end(line)
            return _enrolled(answer.data)
        except CONNECTION_ERRORS as error:
            denied = denied + 1 if "authorization" in str(error).lower() else 0
            if denied >= _DENIED_TIMES:
                raise EnrolmentRefused("the token is not valid any more: make a new one and start the runner with it") from None
            wait = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
            attempt += 1
            log.warning("enrolment_waits", url=url, error=repr(error), again_in_s=wait)
            await asyncio.sleep(wait)


def _enrolled(answer: bytes) -> EnrolReply:
    """Raises EnrolmentRefused with the control plane's words when it is no EnrolReply."""
    try:
        return EnrolReply.model_validate_json(answer)
    except ValidationError:
        words = one_line(answer[:1000].decode("utf-8", "replace"))
        raise EnrolmentRefused(f"the control plane did not take the token: {words}") from None
