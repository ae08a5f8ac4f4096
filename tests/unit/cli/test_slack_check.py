"""`opsthread slack check` where no serve runs."""

import json
from pathlib import Path

import pytest

from bot.cli.slack import check
from protocol.checkup import CheckRow, Health
from tests.integration.doctor_rows import row


def test_the_command_ends_with_1_when_slack_is_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert check(url=None, token=None, data_dir=tmp_path / "data", as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert row([CheckRow(**one) for one in told["rows"]], "mode").health is Health.FAIL
    assert row([CheckRow(**one) for one in told["rows"]], "serve").health is Health.SKIP
