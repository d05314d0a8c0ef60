"""A URL in, an engine out, with its schema brought up to date: what SQLite and PostgreSQL each need to be the same."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from loopai.errors import ConfigurationError, UnavailableError
from programs.store.rows import WRITE
from programs.store.tables import counters

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_BUSY_SECONDS: Final = 30
_LOCK: Final = 0x6C6F6F706169  # "loopai": the advisory lock that one migrating process holds
_SCRIPTS: Final = Path(__file__).parent / "migrations"


def make_engine(url: str, pool_size: int) -> AsyncEngine:
    """The engine of `url`. Raises `ConfigurationError` for anything but SQLite and PostgreSQL."""
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        # A pre-ping costs a round trip a checkout and saves the first request after a restart of the database.
        return create_async_engine(parsed, pool_size=pool_size, max_overflow=pool_size, pool_pre_ping=True)
    if parsed.database and not parsed.database.startswith("file:"):
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(parsed, pool_size=pool_size, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine.sync_engine, "connect", _on_sqlite_connect)
    event.listen(engine.sync_engine, "begin", _on_sqlite_begin)
    return engine


async def prepare(engine: AsyncEngine) -> None:
    """Creates or upgrades the schema, and the epoch with it. Any number of processes may do this at once.

    Raises:
        UnavailableError: the database does not answer.
        ConfigurationError: the schema was made by a newer Loopai.
    """
    try:
        if engine.dialect.name == "sqlite":
            await _use_wal(engine)
        async with engine.connect() as connection:
            await connection.execution_options(**{WRITE: True})
            async with connection.begin():
                if engine.dialect.name == "postgresql":
                    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
                await connection.run_sync(upgrade_schema)
                await _ensure_epoch(connection)
    except (DBAPIError, OSError) as error:
        raise UnavailableError(
            f"The store at {engine.url.render_as_string()} does not answer: {_reason(error)}.",
            next_step="Start the database, or correct LOOPAI_STORE__URL.",
        ) from error


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        driver = _DRIVERS[parsed.drivername]
    except (ArgumentError, KeyError):
        raise ConfigurationError(
            "store.url: only SQLite and PostgreSQL are supported.",
            next_step="Set LOOPAI_STORE__URL to postgresql+asyncpg://user:password@host/database, or leave it empty.",
        ) from None
    if driver.startswith("sqlite") and parsed.database in (None, "", ":memory:"):
        raise ConfigurationError("store.url: SQLite needs a file.", next_step="Set sqlite+aiosqlite:///path/file.db.")
    return parsed.set(drivername=driver)


def _on_sqlite_connect(connection: Any, _record: object) -> None:
    # The driver's own BEGINs are deferred and skip DDL: they are switched off and `_on_sqlite_begin` sends them.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA synchronous=FULL")  # an event that was shown survives a power cut
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # A deferred transaction that reads first and writes later fails at once instead of waiting for its turn.
    writes = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


async def _use_wal(engine: AsyncEngine) -> None:
    """The switch to WAL is kept in the file. It needs the file alone and does not wait by itself, hence the tries."""
    for attempt in range(50):
        try:
            async with engine.connect() as connection:
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                await (await driver.execute("PRAGMA journal_mode=WAL")).close()
            return
        except DBAPIError as error:
            if "locked" not in str(error) or attempt == 49:
                raise
        except Exception as error:
            if "locked" not in str(error) or attempt == 49:
                raise OSError(str(error)) from error
        await asyncio.sleep(0.1)


def upgrade_schema(connection: Connection, revision: str = "head") -> None:
    """Runs the migrations up to `revision` on this connection, in its transaction."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, revision)
    except CommandError as error:
        raise ConfigurationError(
            f"The store was made by a newer Loopai: {error}.", next_step="Upgrade Loopai, or use another store."
        ) from error


async def _ensure_epoch(connection: AsyncConnection) -> None:
    known = (await connection.execute(counters.select().where(counters.c.name == "events"))).first()
    if known is None:
        await connection.execute(
            counters.insert().values(name="events", value=0, epoch=secrets.token_hex(8)),
        )


def _reason(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__
