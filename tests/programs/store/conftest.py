"""A store over each database: a file of its own, or a PostgreSQL database of its own that is dropped afterwards."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from loopai.apps import LoopApp
from programs.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> str | None:
    """The PostgreSQL server, or None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def template() -> Iterator[list[str]]:
    """The server and name of a migrated PostgreSQL database to copy, once the first test made it: a copy costs a
    third of making one."""
    made: list[str] = []
    yield made
    if made:
        asyncio.run(_drop(*made))


@pytest.fixture
async def empty_url(server: str | None, tmp_path: Path) -> AsyncIterator[str]:
    """A database without tables."""
    if server is None:
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        name = await _create(connection)
        yield _named(server, name)
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture
async def url(server: str | None, tmp_path: Path, template: list[str]) -> AsyncIterator[str]:
    """A database with tables and nothing in them."""
    if server is None:
        yield f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
        return
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        if not template:
            template += [server, await _create(connection)]
            await (await Store.open(_named(*template))).close()
        name = await _create(connection, template[1])
        yield _named(server, name)
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store with the apps `spam` and `news`."""
    opened = await Store.open(url)
    await opened.put_app(LoopApp(id="spam"))
    await opened.put_app(LoopApp(id="news"))
    yield opened
    await opened.close()


async def _create(connection: AsyncConnection, template: str = "template0") -> str:
    name = f"test_{uuid.uuid4().hex[:16]}"
    await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    return name


async def _drop(server: str, name: str) -> None:
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


def _named(server: str, name: str) -> str:
    return make_url(server).set(database=name).render_as_string(hide_password=False)
