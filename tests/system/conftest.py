"""The whole platform on real services: Apache Kafka and PostgreSQL, one for all system tests."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import asyncpg
import pytest

from tests.support.platform import Platform, running


@pytest.fixture(scope="session")
def database(postgres_url: str) -> Iterator[str]:
    """A database of our own in the real PostgreSQL, dropped at the end."""
    name = f"loopai_{uuid.uuid4().hex[:12]}"
    plain = postgres_url.replace("+asyncpg", "")

    async def execute(statement: str) -> None:
        connection = await asyncpg.connect(plain)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute(f'CREATE DATABASE "{name}"'))
    yield f"{postgres_url.rsplit('/', 1)[0]}/{name}"
    asyncio.run(execute(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str, database: str) -> Iterator[Platform]:
    """`loopai serve all` on the real Kafka and PostgreSQL."""
    environment = {"LOOPAI_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap, "LOOPAI_STORE__URL": database}
    with running(tmp_path_factory.mktemp("platform"), environment) as made:
        yield made
