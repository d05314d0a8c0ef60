"""Fixtures that every test may ask for: the brokers, the services, the data, a port."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from streams.embedded import LocalBroker
from tests.support import services


@pytest.fixture(scope="session")
def kafka() -> dict[str, Any]:
    """What `services.json` says of Kafka: `bootstrap`, `pid`, and for Kafka's own tools `java` and `classpath`."""
    return services.service("kafka")


@pytest.fixture(scope="session")
def kafka_bootstrap(kafka: dict[str, Any]) -> str:
    """The address of a real Apache Kafka. Shared by the whole run: use topics and groups of your own."""
    return str(kafka["bootstrap"])


@pytest.fixture(scope="session")
def redis_url() -> str:
    """A real Redis. Shared by the whole run: use a key prefix of your own."""
    return str(services.service("redis")["url"])


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """A real PostgreSQL, as SQLAlchemy wants its address. Shared: use a schema of your own."""
    return str(services.service("postgres")["url"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def local_broker() -> AsyncIterator[str]:
    """The bootstrap address of one local broker for the whole run: use topics and groups of your own."""
    async with LocalBroker() as broker:
        yield broker.bootstrap_servers


@pytest.fixture(scope="session")
def loopai_data() -> Path:
    """The folder of example data that `LOOPAI_DATA` names."""
    named = os.environ.get("LOOPAI_DATA")
    if not named:
        pytest.skip("LOOPAI_DATA names no folder of example data")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"LOOPAI_DATA is {folder}, and there is no such folder", pytrace=False)
    return folder


@pytest.fixture
def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    return services.free_port()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end which tests did not run because a person left the services out."""
    left_out = [
        report.nodeid
        for report in terminalreporter.stats.get("skipped", [])
        if services.LEFT_OUT in str(report.longrepr)
    ]
    if left_out:
        terminalreporter.section("did not run, because SERVICES=none")
        for nodeid in left_out:
            terminalreporter.line(nodeid)
