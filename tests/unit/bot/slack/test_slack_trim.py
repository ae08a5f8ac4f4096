"""What Slack sends as what is kept: the same key for a redelivery, nothing that is not used, no secrets."""

import json
from typing import Any

import pytest

from bot.slack.front.trim import bot_of, team_of, trimmed
from control_plane.slack.inbox import MOST_BYTES

BOT = "U0BOT"


def event(kind: str = "message", *, event_id: str = "Ev1", **more: Any) -> dict[str, Any]:
    body = {"type": kind, "channel": "C1", "user": "U1", "text": "why?", "ts": "10.000001", "channel_type": "channel", **more}
    return {
        "type": "event_callback",
        "team_id": "T1",
        "event_id": event_id,
        "authorizations": [{"team_id": "T1", "user_id": BOT, "is_bot": True}],
        "token": "verification-token",
        "event": body,
    }


def test_a_message_keeps_what_is_used_and_no_secret() -> None:
    kept = trimmed(
        event(text="<@U0BOT> token ghp_16C7e42F292c6912E7710c838347Ae178B4a fails", blocks=[{}], client_msg_id="x"), BOT
    )
    assert kept is not None
    assert (kept.kind, kept.team, kept.lane, kept.position) == ("message", "T1", "T1/C1/10.000001", "10.000001")
    assert "ghp_" not in str(kept.payload)
    assert kept.payload["redacted"] == 1
    assert kept.payload["mention"]
    assert set(kept.payload) == {
        "channel", "channel_type", "user", "user_team", "text", "ts", "thread_ts", "mention", "by_app", "files", "redacted",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kept_of_it"),
    [
        ("<@U0BOT> password=&lt;hunter2Secret9&gt; &amp; more", "<@U0BOT> password=[redacted] &amp; more"),
        ("&lt;password&gt;hunter2Secret9&lt;/password&gt;", "&lt;password&gt;[redacted]&lt;/password&gt;"),
        ("<https://bob:hunter2Secret9@db.example/x|x> &lt;b&gt;", "<https://bob:[redacted]@db.example/x|x> &lt;b&gt;"),
        ("\ue000@U9\ue001 secret=&lt;hunter2Secret9&gt; &amp;lt;", "@U9 secret=[redacted] &amp;lt;"),
        ("*Password:* hunter2Secret9", "*Password:* [redacted]"),
        ("if a &lt; b &amp;&amp; c <#C1|ops>", "if a &lt; b &amp;&amp; c <#C1|ops>"),
    ],
)
def test_secrets_are_found_as_they_were_written(text: str, kept_of_it: str) -> None:
    kept = trimmed(event(text=text), BOT)
    assert kept is not None
    assert kept.payload["text"] == kept_of_it


def test_both_events_of_a_mention_are_one() -> None:
    first = trimmed(event("app_mention", event_id="Ev1", text="<@U0BOT> why?"), BOT)
    other = trimmed(event("message", event_id="Ev2", text="<@U0BOT> why?"), BOT)
    assert first is not None
    assert other is not None
    assert (first.dedupe, first.lane) == (other.dedupe, other.lane)
    assert first.payload["mention"] == other.payload["mention"]


@pytest.mark.parametrize("sign", ["漢", '"', "\x01", "a", "😀", "\ud800"])
def test_a_text_of_any_signs_fits_into_the_inbox(sign: str) -> None:
    kept = trimmed(event(text="<@U0BOT> " + sign * 40_000), BOT)
    assert kept is not None
    assert 30_000 < len(json.dumps(kept.payload, ensure_ascii=False).encode("utf-8", "replace")) < MOST_BYTES


def test_a_reply_is_in_the_lane_of_its_thread() -> None:
    kept = trimmed(event(ts="11.000002", thread_ts="10.000001"), BOT)
    assert kept is not None
    assert kept.lane == "T1/C1/10.000001"
    assert kept.position == "11.000002"


def test_what_people_did_not_write_is_not_kept() -> None:
    for more in (
        {"bot_id": "B1"},
        {"subtype": "message_changed"},
        {"subtype": "message_deleted"},
        {"subtype": "channel_join"},
        {"subtype": "bot_message"},
        {"user": ""},
        {"user": BOT},
    ):
        assert trimmed(event(**more), BOT) is None, more
    for kind in ("reaction_added", "channel_rename", "member_joined_channel"):
        assert trimmed(event(kind), BOT) is None, kind


def test_another_app_is_heard_when_it_names_us_and_is_not_us() -> None:
    assert trimmed(event(bot_id="B9", user="U9", text="<@U0BOT> look"), BOT) is not None
    assert trimmed(event(bot_id="B9", user="U9", text="<@U0BOT> look", subtype="bot_message"), BOT) is not None
    assert trimmed(event(bot_id="B9", user="U9", text="look"), BOT) is None
    assert trimmed(event(bot_id="B1", user=BOT, text="<@U0BOT> look"), BOT) is None
    assert trimmed(event(bot_id="B9", user="U9", text="<@U0BOT> look"), "") is None, "it might be ourselves"


def test_a_message_with_a_file_is_one_that_people_wrote() -> None:
    kept = trimmed(event(subtype="file_share", files=[{"id": "F1", "url_private": "https://x"}]), BOT)
    assert kept is not None
    assert kept.payload["files"] == 1
    assert "url_private" not in str(kept.payload)


def test_a_press_is_one_by_its_message_action_time_and_person() -> None:
    def pressed(**more: Any) -> str:
        action = {"action_id": "approve", "block_id": "b", "value": "abc.def", "action_ts": "12.5"}
        body = {
            "type": "block_actions",
            "team": {"id": "T1"},
            "user": {"id": "U1", "team_id": "T1"},
            "channel": {"id": "C1"},
            "container": {"message_ts": "11.0", "thread_ts": "10.0"},
            "trigger_id": "1.2.3",
            "actions": [action],
            **more,
        }
        kept = trimmed(body, BOT)
        assert kept is not None
        assert kept.payload["value"] == "abc.def"
        assert "trigger_id" not in kept.payload
        return f"{kept.lane} {kept.dedupe}"

    assert pressed() == pressed(trigger_id="9.9.9"), "a redelivery"
    assert pressed() != pressed(user={"id": "U2", "team_id": "T1"})
    assert pressed().startswith("T1/C1/10.0 ")


def test_a_modal_is_one_by_its_view_hash_and_person_and_what_is_typed_holds_no_secret() -> None:
    state = {"values": {"reason": {"reason": {"type": "plain_text_input", "value": "password=hunter2-secret-value"}}}}
    view = {"id": "V1", "hash": "h1", "callback_id": "reject", "private_metadata": "abc", "state": state}
    kept = trimmed({"type": "view_submission", "team": {"id": "T1"}, "user": {"id": "U1"}, "view": view}, BOT)
    assert kept is not None
    assert (kept.dedupe, kept.lane) == ("view/V1/h1/U1", "T1/U1")
    assert "hunter2" not in str(kept.payload)
    assert kept.payload["private_metadata"] == "abc"


def test_a_command_is_one_by_its_trigger() -> None:
    body = {
        "command": "/opsthread",
        "text": "ask why",
        "team_id": "T1",
        "user_id": "U1",
        "channel_id": "C1",
        "trigger_id": "1.2",
    }
    kept = trimmed(body, BOT)
    assert kept is not None
    assert (kept.kind, kept.dedupe, kept.payload["text"]) == ("command", "command/1.2", "ask why")


def test_where_the_app_is_installed_counts_not_where_people_are_from() -> None:
    body = event() | {"team_id": "T9"}
    assert team_of(body) == "T1"
    assert bot_of(body) == BOT
    assert team_of({"type": "block_actions", "team": {"id": "T2"}, "view": {"app_installed_team_id": "T1"}}) == "T1"


def test_revoked_user_tokens_are_none_of_ours() -> None:
    assert trimmed(event("tokens_revoked", tokens={"oauth": ["U1"], "bot": []}), BOT) is None
    kept = trimmed(event("tokens_revoked", tokens={"oauth": [], "bot": [BOT]}), BOT)
    assert kept is not None
    assert kept.kind == "gone"
