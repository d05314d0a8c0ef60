"""What every noun of the store stands on: transactions on either database, keys, pages and the two upserts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from loopai.errors import TransientError

T = TypeVar("T")

WRITE = "loopai_write"
"""Execution option of a transaction that will write: SQLite takes its write lock at once (see `engine.py`)."""

CHUNK = 500
"""Rows a statement: SQLite allows 32,766 parameters, PostgreSQL 32,767."""

_LONGEST_KEY = 200


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items, and where the next ones start; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


def row_key(text: str) -> str:
    """`text` as an index key. Ids come from anybody's Kafka producer: one that is too long for an index, or holds NUL,
    which PostgreSQL cannot store, is kept by its hash; the struct keeps the id itself."""
    if len(text) <= _LONGEST_KEY and "\0" not in text:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def to_text(value: Any) -> str:
    """A struct as JSON text. NUL and lone surrogates are escaped by JSON, so any database keeps it."""
    return msgspec.json.encode(value).decode()


class Rows:
    """The engine and its two kinds of transaction. Each noun of the store is a class derived from this one.

    `reading` may run beside anything; `writing` is serialised on SQLite, whose waiting writers would poll otherwise.
    Both raise `TransientError` when the database does not answer.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sqlite = engine.dialect.name == "sqlite"
        self._one_writer: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._sqlite else nullcontext()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        with _Unwell():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        with _Unwell():
            async with self._one_writer, self._engine.connect() as connection:
                await connection.execution_options(**{WRITE: True})
                async with connection.begin():
                    yield connection

    def insert(self, table: Table) -> Any:
        """An INSERT that knows ON CONFLICT; both dialects spell it alike, SQLAlchemy has no common form."""
        return sqlite.insert(table) if self._sqlite else postgresql.insert(table)

    async def upsert(
        self, connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], keys: Sequence[str]
    ) -> None:
        """Inserts each row or overwrites the one with the same `keys`; of two alike in `rows` the last wins."""
        unique = {tuple(row[key] for key in keys): row for row in rows}
        ordered = [unique[key] for key in sorted(unique)]  # one lock order for all writers: no deadlock
        for start in range(0, len(ordered), CHUNK):
            statement = self.insert(table).values(ordered[start : start + CHUNK])
            changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
            await connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=changed))

    async def insert_new(
        self,
        connection: AsyncConnection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keys: Sequence[str],
        told: Sequence[str],
    ) -> list[tuple[Any, ...]]:
        """Inserts the rows whose `keys` are not there yet; the columns `told` of each of those."""
        unique: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        for row in rows:
            unique.setdefault(tuple(row[key] for key in keys), row)
        ordered = [unique[key] for key in sorted(unique)]
        new: list[tuple[Any, ...]] = []
        for start in range(0, len(ordered), CHUNK):
            statement = self.insert(table).values(ordered[start : start + CHUNK])
            statement = statement.on_conflict_do_nothing(index_elements=list(keys)).returning(
                *(table.c[name] for name in told)
            )
            new += [tuple(row) for row in (await connection.execute(statement)).all()]
        return new


class _Unwell:
    """Turns "the database does not answer" into `TransientError`; constraint violations and bugs pass through."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, DBAPIError):
            if error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
                raise TransientError(f"The store does not answer: {_first_line(error.orig)}.") from error
        elif isinstance(error, (OSError, TimeoutError)):
            raise TransientError(f"The store does not answer: {_first_line(error)}.") from error


def _first_line(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
