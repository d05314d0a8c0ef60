"""A store over each database: a file of its own, or a PostgreSQL database of its own that is dropped afterwards."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from loopai.apps import LoopApp
from programs.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> str | None:
    """The PostgreSQL server, or None for SQLite."""
    return None if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def url(server: str | None, tmp_path: Path) -> AsyncIterator[str]:
    """An empty database."""
    if server is None:
        yield f"sqlite+aiosqlite:///{tmp_path / 'store.db'}"
        return
    name = f"test_{uuid.uuid4().hex[:16]}"
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(server).set(database=name).render_as_string(hide_password=False)
    async with admin.connect() as connection:
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
