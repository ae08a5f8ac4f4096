"""Anything may come as an id or a token: the answer is the one for what is not there, on both databases."""

import pytest

from control_plane.errors import Invalid, NotFound, NotSignedIn
from protocol.approval import Role
from tests.integration.desk import PASSWORD, Desk

HOSTILE = ("\x00", "\ud800", "' OR 1=1 --", "../../etc", "a" * 100_000, "*", "\u202e")


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_id_is_not_found(any_desk: Desk, text: str) -> None:
    root = await any_desk.person("root", Role.ADMIN)
    conversations, approvals, accounts = any_desk.conversations, any_desk.approvals, any_desk.accounts
    for attempt in (
        conversations.get(text, root),
        conversations.ask(text, root, "why?", door="web", language="en"),
        conversations.turn(text),
        conversations.claim_turn(text),
        conversations.request_cancel(text, root),
        approvals.get(text, root),
        approvals.withdraw(text, root),
        accounts.get(text),
        accounts.make_link(text, by=root.account),
    ):
        with pytest.raises(NotFound) as refused:
            await attempt
        assert len(refused.value.message) < 200
        assert "\x00" not in refused.value.message
    assert await approvals.list(root, conversation=text) == ()
    assert await any_desk.audit.list(root, subject=text) == ()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_token_or_name_signs_nobody_in(any_desk: Desk, text: str) -> None:
    for attempt in (
        any_desk.accounts.use_link(text),
        any_desk.accounts.authenticate(text),
        any_desk.accounts.principal(text),
        any_desk.accounts.sign_in(text, PASSWORD, user_agent=text, address=text),
        any_desk.accounts.sign_in("ann", text, user_agent=text, address=text),
    ):
        with pytest.raises(NotSignedIn):
            await attempt
    await any_desk.accounts.sign_out(text)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_cursor_or_client_id_is_invalid(any_desk: Desk, text: str) -> None:
    root = await any_desk.person("root", Role.ADMIN)
    conversation = await any_desk.conversation(root)
    for cursor in (text, f"2026-03-01T12:00:00+00:00~{text}", f"{text}~{conversation.id}"):
        with pytest.raises(Invalid, match="cursor"):
            await any_desk.conversations.list(root, before=cursor)
    if text.isascii() and text.isprintable() and " " not in text and len(text) <= 100:
        return  # odd, but as good a client_id as another
    with pytest.raises(Invalid, match="client_id"):
        await any_desk.conversations.ask(conversation.id, root, "why?", door="web", language="en", client_id=text)
