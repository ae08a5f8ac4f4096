"""What the app asks of Slack is what it uses: no scope is missing, none is idle, and the file in deploy is the table."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cli.slack import print_manifest
from bot.slack.front.trim import trimmed
from bot.slack.manifest import COMMAND, EVENTS, FREE_METHODS, SCOPE_NAMES, SCOPES, as_yaml, manifest
from tests.fake_slack.methods import METHODS

HOUSE = Path(__file__).parents[4]
CALLED = re.compile(
    r'"((?:apps|assistant|auth|bots|chat|conversations|files|oauth|reactions|team|usergroups|users|views)'
    r'\.(?:threads\.|users\.|v2\.|connections\.)?[a-z][A-Za-z]+)"'
)
BY_THE_SDK = re.compile(r"\bclient\.((?:views|chat|conversations|users)_[a-z_A-Z]+)\(")
HAPPENED: dict[str, dict[str, Any]] = {
    "app_home_opened": {"user": "U1", "tab": "home"},
    "app_mention": {"user": "U1", "channel": "C1", "ts": "1.0", "text": "<@UB> why?"},
    "app_uninstalled": {},
    "assistant_thread_context_changed": {"assistant_thread": {"channel_id": "D1", "thread_ts": "1.0", "user_id": "U1"}},
    "assistant_thread_started": {"assistant_thread": {"channel_id": "D1", "thread_ts": "1.0", "user_id": "U1"}},
    "member_joined_channel": {"user": "UB", "channel": "C1"},
    "message.channels": {"user": "U1", "channel": "C1", "channel_type": "channel", "ts": "1.0", "text": "and?"},
    "message.groups": {"user": "U1", "channel": "G1", "channel_type": "group", "ts": "1.0", "text": "and?"},
    "message.im": {"user": "U1", "channel": "D1", "channel_type": "im", "ts": "1.0", "text": "why?"},
    "subteam_members_changed": {"subteam_id": "S1"},
    "subteam_updated": {"subteam": {"id": "S1"}},
    "tokens_revoked": {"tokens": {"bot": ["UB"]}},
}


def called() -> set[str]:
    """Methods of the Web API that the product's code names."""
    found: set[str] = set()
    for file in (HOUSE / "bot" / "slack").rglob("*.py"):
        if file.name == "manifest.py":
            continue
        text = re.sub(r"_BY_QUERY = frozenset\(.*?\n\)", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        found |= set(CALLED.findall(text)) | {name.replace("_", ".", 1) for name in BY_THE_SDK.findall(text)}
    return found - {"files.upload"}  # what a trouble with an upload's own address is called


def test_the_file_is_the_table() -> None:
    assert (HOUSE / "deploy" / "slack" / "manifest.yaml").read_text(encoding="utf-8") == as_yaml(manifest())
    assert yaml.safe_load(as_yaml(manifest())) == manifest()


def test_every_method_that_is_called_has_its_scope() -> None:
    methods = called()
    assert {"chat.postMessage", "users.info", "files.completeUploadExternal"} <= methods, "the sources are read"
    known = {method for scope in SCOPES for method in scope.methods} | set(FREE_METHODS)
    assert methods <= known
    lacking = {
        name for name in methods if METHODS[name].scopes and not METHODS[name].scopes & {*SCOPE_NAMES, "connections:write"}
    }
    assert lacking == set()


def test_no_scope_is_idle() -> None:
    methods = called()
    idle = [scope.name for scope in SCOPES if not scope.events and not methods & set(scope.methods)]
    assert idle == ["commands"], "which is there for the slash command"
    assert [one["command"] for one in manifest()["features"]["slash_commands"]] == [COMMAND]


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_something_to_us(event: str) -> None:
    told = {"type": event.partition(".")[0], "event_ts": "1.0", **HAPPENED[event]}
    body = {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": told}
    assert trimmed(body, "UB") is not None


def test_nothing_that_it_understands_is_left_out() -> None:
    assert {name for name in HAPPENED if _kept(name)} == set(EVENTS)


def _kept(event: str) -> bool:
    told = {"type": event.partition(".")[0], "event_ts": "1.0", **HAPPENED[event]}
    return trimmed({"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": told}, "UB") is not None


def test_over_http_all_three_kinds_come_to_one_address() -> None:
    made = manifest(http="https://ops.example/", name="Ops")
    at = "https://ops.example/slack/events"
    settings = made["settings"]
    assert (settings["event_subscriptions"]["request_url"], settings["interactivity"]["request_url"]) == (at, at)
    assert made["features"]["slash_commands"][0]["url"] == at
    assert made["oauth_config"]["redirect_urls"] == ["https://ops.example/slack/oauth_redirect"]
    assert (settings["socket_mode_enabled"], manifest()["settings"]["socket_mode_enabled"]) == (False, True)
    assert "request_url" not in as_yaml(manifest())
    assert made["display_information"]["name"] == made["features"]["bot_user"]["display_name"] == "Ops"


@pytest.mark.parametrize(
    ("http", "name", "exit_code", "words"),
    [
        ("", "Opsthread", 0, ""),
        ("https://ops.example", "Ops", 0, ""),
        ("http://ops.example", "Ops", 2, "must be https"),
        ("ops.example", "Ops", 2, "must be https"),
        ("", "x" * 36, 2, "35 characters"),
        ("", " ", 2, "35 characters"),
    ],
)
def test_the_command_prints_it_or_says_why_not(
    http: str, name: str, exit_code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_manifest(http=http, name=name) == exit_code
    told = capsys.readouterr()
    assert words in told.err.replace("\n", " ")
    assert bool(told.out) == (exit_code == 0)


def test_it_keeps_within_slacks_limits() -> None:
    made = manifest(name="x" * 35)
    assert len(made["display_information"]["description"]) <= 140
    assert len(made["features"]["assistant_view"]["assistant_description"]) <= 300
    assert len(made["features"]["slash_commands"][0]["usage_hint"]) <= 1000


def test_the_documentation_has_the_table() -> None:
    told = (HOUSE / "docs" / "slack.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `([a-z_:.]+)` \| (.+) \|$", told.partition("## What the app may do")[2].partition("\n## ")[0], re.MULTILINE
    )
    assert rows == [(scope.name, scope.why) for scope in SCOPES]
