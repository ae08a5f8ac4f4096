"""Brings a database to the newest revision when it is opened. At head already, Alembic is not even imported."""

import re
from importlib import resources

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from control_plane.errors import Conflict, Unavailable

# "opsthre" in hexadecimal: one migrator at a time among the replicas that share a PostgreSQL.
_ADVISORY_LOCK = 0x6F707374687265


async def migrate(engine: AsyncEngine) -> None:
    """Raises Unavailable when the database does not answer, Conflict when a newer version wrote it."""
    try:
        async with engine.connect() as connection:
            now_at = await connection.run_sync(revision_of)
    except OperationalError as error:
        raise Unavailable(
            f"the database {engine.url.render_as_string(hide_password=True)} can't be opened ({error.orig}); "
            "check OPSTHREAD_DATABASE_URL and that its server runs"
        ) from error
    known = revisions()
    if now_at == known[-1]:
        return
    if now_at is not None and now_at not in known:
        raise Conflict(
            f"the database is at revision {now_at}, which this version does not know (it ends at {known[-1]}): "
            "start the newer version again, or restore the backup made before it"
        )
    async with engine.execution_options(opsthread_writer=True).begin() as connection:
        await connection.run_sync(_upgrade)


def revisions() -> list[str]:
    """Oldest first. A file `r0001_first.py` is revision `r0001`."""
    names = (entry.name for entry in resources.files(f"{__name__}.versions").iterdir())
    return sorted(match[1] for name in names if (match := re.fullmatch(r"(r\d{4})_\w+\.py", name)))


def revision_of(connection: Connection) -> str | None:
    """Where this database is; None for one without our tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    with resources.as_file(resources.files(__name__)) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
