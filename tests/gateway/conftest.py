"""A gateway that listens on a free port, over SQLite and a broker in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from loopai.settings import Gateway, Settings
from programs.store import Store
from streams.memory import MemoryBroker
from tests.gateway.support import APP, Controller, Running, run_gateway


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    yield opened
    await opened.close()


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def settings() -> Settings:
    return Settings(gateway=Gateway(port=0))


@pytest.fixture
async def gateway(store: Store, broker: MemoryBroker, settings: Settings) -> AsyncIterator[Running]:
    """Nobody needs a key: it is bound to loopback."""
    running = await run_gateway(store, broker, settings)
    yield running
    await running.server.stop()


@pytest.fixture
async def client(gateway: Running) -> AsyncIterator[httpx2.AsyncClient]:
    async with gateway.client() as opened:
        yield opened


@pytest.fixture
async def app(client: httpx2.AsyncClient) -> str:
    """The id of an app that exists."""
    answer = await client.post("/api/v1/loop-apps", json=APP)
    assert answer.status_code == 201
    return str(APP["id"])


@pytest.fixture
async def controller(gateway: Running) -> AsyncIterator[Controller]:
    """One that answers every command."""
    standing = Controller(gateway)
    task = asyncio.create_task(standing.run())
    yield standing
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
