"""What an external NATS is told, and what is kept secret."""

import re
import stat
from pathlib import Path

from typer.testing import CliRunner

from bot.cli.main import app
from control_plane.bus.config import ServerSecrets
from control_plane.bus.external import External, external_config, external_env
from control_plane.bus.jwt import public_key

SECRETS = ServerSecrets.fresh(lambda size: b"\x07" * size)


def test_it_names_the_callouts_issuer_and_the_accounts_that_need_no_callout() -> None:
    text = external_config(External("nats:4222", store_dir='/a "b"'), SECRETS)
    assert f"issuer: {public_key(SECRETS.issuer_seed)}" in text
    assert "auth_users: [ auth, cp, sys ]" in text
    assert 'store_dir: "/a \\"b\\""' in text
    assert SECRETS.issuer_seed.decode() not in text, "the server needs the public key only"


def test_what_runners_are_given_has_no_password(tmp_path: Path) -> None:
    rows = dict(line.split("=", 1) for line in external_env(External("nats:4222"), SECRETS, tmp_path / "s").splitlines())
    assert rows["OPSTHREAD_NATS_PUBLIC_URL"] == "nats://nats:4222"
    assert rows["OPSTHREAD_NATS_URL"] == f"nats://cp:{SECRETS.app_password}@nats:4222"
    assert len({rows[f"OPSTHREAD_NATS_{name}_URL"] for name in ("AUTH", "SYSTEM", "PUBLIC")}) == 3


def test_the_files_are_the_owners_alone_and_are_never_overwritten(tmp_path: Path) -> None:
    words = ["nats", "config", "--out", str(tmp_path / "bus")]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.output
    files = sorted((tmp_path / "bus").iterdir())
    assert [file.name for file in files] == ["issuer.seed", "nats-server.conf", "opsthread.env"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    passwords = re.findall(r'password: "([0-9a-f]{48})"', files[1].read_text())
    assert len(passwords) == 3
    assert not [word for word in passwords if word in first.output], "a terminal is scrolled back, a job's output is kept"
    before = [file.read_bytes() for file in files]
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "holds nats-server.conf, issuer.seed, opsthread.env already" in again.output
    assert [file.read_bytes() for file in files] == before
