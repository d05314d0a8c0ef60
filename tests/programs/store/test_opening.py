"""Opening a store: its schema, several processes at once, and what is said when it cannot be."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from loopai.apps import LoopApp
from loopai.errors import ConfigurationError, TransientError, UnavailableError
from programs.store import Store
from programs.store.engine import make_engine, upgrade_schema
from programs.store.rows import WRITE
from programs.store.tables import metadata


async def test_the_migrations_make_the_tables_that_the_code_knows(empty_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    await (await Store.open(empty_url)).close()
    engine = create_async_engine(empty_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_several_processes_open_an_empty_store_at_once(empty_url: str) -> None:
    script = "import asyncio, sys\nfrom programs.store import Store\n" + (
        "async def main():\n    store = await Store.open(sys.argv[1])\n    print(await store.epoch())\n"
        "    await store.close()\nasyncio.run(main())\n"
    )
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, empty_url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(3)
    ]
    ended = await asyncio.gather(*(process.communicate() for process in started))
    assert [process.returncode for process in started] == [0] * 3, ended[0][1].decode()
    assert len({out for out, _ in ended}) == 1


async def test_a_store_of_a_newer_loopai_is_left_alone(store: Store, url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigurationError, match="newer"):
        await Store.open(url)


@pytest.mark.parametrize("url", ["", "mysql://x/y", "sqlite://", "sqlite+aiosqlite:///:memory:", "no url at all"])
async def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store\.url"):
        await Store.open(url)


async def test_a_database_that_is_not_there_is_unavailable(free_port: int, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        await Store.open(f"postgresql+asyncpg://loopai:geheim@127.0.0.1:{free_port}/loopai")
    assert "geheim" not in str(caught.value)
    (tmp_path / "text.db").write_text("this is no database, and long enough to be sure of that " * 50)
    with pytest.raises(UnavailableError, match="does not answer"):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'text.db'}")


async def test_a_write_waits_for_another_process_and_a_read_does_not(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'store.db'}")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(store.put_app(LoopApp(id="late")))
    await asyncio.sleep(0.2)
    assert not writing.done()
    assert (await store.list_apps()).items == []
    other.execute("COMMIT")
    await writing
    other.close()
    await store.close()


async def test_a_lost_connection_is_transient_and_the_next_one_works(postgres_url: str) -> None:
    store = await Store.open(postgres_url)
    async with store.writing() as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
    admin = create_async_engine(postgres_url)
    async with admin.begin() as connection:
        await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await admin.dispose()
    await store.epoch()  # the pool looks before it hands out a connection
    with pytest.raises(TransientError):
        async with store.reading() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    await store.epoch()
    await store.close()


async def test_an_older_store_is_brought_up_to_date_with_what_is_in_it(empty_url: str) -> None:
    engine = make_engine(empty_url, 1)
    async with engine.connect() as connection:
        await connection.execution_options(**{WRITE: True})
        async with connection.begin():
            await connection.run_sync(upgrade_schema, "0001")
            row = "('spam', '{n}', 1, 'match', '{{}}')"
            await connection.execute(
                text(
                    "INSERT INTO validations (app, id, version, verdict, body) VALUES "
                    + ",".join(row.format(n=n) for n in range(3))
                )
            )
    await engine.dispose()
    store = await Store.open(empty_url)
    assert await store.count_validations("spam", 1) == {"match": 3}
    await store.close()
