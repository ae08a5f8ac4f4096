"""The database session: one door. SQLite in WAL mode, or PostgreSQL."""


class Database:
    async def start(self) -> None:
        """Open, and migrate to head (Alembic)."""

    async def stop(self) -> None: ...
