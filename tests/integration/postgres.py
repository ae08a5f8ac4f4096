"""A real PostgreSQL for a test session: its own cluster in a temporary directory, reached by a Unix socket only."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from protocol.ids import new_id

_DEBIAN = Path("/usr/lib/postgresql")
_READY_S = 30


@dataclass(frozen=True)
class Postgres:
    socket_dir: Path

    def new_database(self) -> str:
        """A fresh database, as the URL that `OPSTHREAD_DATABASE_URL` takes."""
        name = f"t_{new_id()}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_dir}"

    def answers(self) -> bool:
        try:
            with psycopg.connect(self._conninfo("postgres"), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() is not None
        except psycopg.OperationalError:
            return False

    def _conninfo(self, database: str) -> str:
        return f"host={self.socket_dir} user=postgres dbname={database}"


@pytest.fixture(scope="session")
def postgres() -> Generator[Postgres]:
    with running_postgres() as server:
        yield server


@contextmanager
def running_postgres() -> Generator[Postgres]:
    """Not as root, which PostgreSQL refuses: as the account `postgres` of Debian's package, or as ourselves."""
    initdb, server = _program("initdb"), _program("postgres")
    account = pwd.getpwnam("postgres").pw_name if os.geteuid() == 0 else None
    home = Path(tempfile.mkdtemp(prefix="opsthread-pg-"))
    try:
        if account is not None:
            shutil.chown(home, account)
        data = home / "data"
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions"],
            user=account,
            check=True,
            capture_output=True,
            timeout=60,
            cwd=home,
        )
        options = {"listen_addresses": "", "unix_socket_directories": str(home), "fsync": "off", "max_connections": "200"}
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen([server, "-D", data, *settings], user=account, stdout=log, stderr=log, cwd=home)
        try:
            yield _ready(Postgres(home), process, home / "log")
        finally:
            process.send_signal(signal.SIGINT)  # "fast": connections are cut
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _ready(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> Postgres:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and process.poll() is None:
        if server.answers():
            return server
        time.sleep(0.05)
    pytest.fail(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")


def _program(name: str) -> str:
    found = shutil.which(name) or next((str(path) for path in sorted(_DEBIAN.glob(f"*/bin/{name}"), reverse=True)), None)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install postgresql")
    return found
