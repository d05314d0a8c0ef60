"""The registry: programs in, numbered 1, 2, ... per app by their content address; programs out."""

from __future__ import annotations

import time

import msgspec
from sqlalchemy import func, select, update

from loopai.apps import Kind
from loopai.clock import iso
from loopai.errors import NotFoundError
from programs.artifact import Manifest, Program, Strategy, decode, encode
from programs.store.apps import require_app
from programs.store.rows import Rows, row_key, to_text
from programs.store.tables import programs

_MANIFEST = msgspec.json.Decoder(Manifest)


class StoredProgram(msgspec.Struct, frozen=True, kw_only=True):
    """A version without its source and data. `waiver` says who let it fail an old counterexample, and why."""

    version: int
    id: str
    kind: Kind
    strategy: Strategy
    manifest: Manifest
    created_at: str
    waiver: str = ""


class Programs(Rows):
    """Programs are immutable: the same id again is the same version, and the manifest that came first stays."""

    async def add_program(self, app: str, program: Program) -> int:
        """The version of the program in this app: a new number, or the one it has. Raises `NotFoundError`."""
        async with self.writing() as connection:
            await require_app(connection, app, lock=True)
            same = (programs.c.app == app) & (programs.c.id == program.id)
            known = await connection.scalar(select(programs.c.version).where(same))
            if known is not None:
                return int(known)
            highest = await connection.scalar(select(func.max(programs.c.version)).where(programs.c.app == app))
            version = int(highest or 0) + 1
            await connection.execute(
                programs.insert().values(
                    app=app,
                    version=version,
                    id=program.id,
                    kind=program.kind,
                    strategy=program.strategy,
                    created_at=program.manifest.created_at or iso(time.time()),
                    waiver="",
                    manifest=to_text(program.manifest),
                    body=encode(program),
                )
            )
        return version

    async def get_program(self, app: str, version: int) -> Program:
        """The whole program. Raises `NotFoundError`."""
        wanted = (programs.c.app == row_key(app)) & (programs.c.version == version)
        async with self.reading() as connection:
            body = await connection.scalar(select(programs.c.body).where(wanted))
        if body is None:
            raise _no_version(app, version)
        return decode(body)

    async def list_programs(self, app: str) -> list[StoredProgram]:
        """Every version, oldest first."""
        columns = [column for column in programs.c if column.name not in ("app", "body")]
        statement = select(*columns).where(programs.c.app == row_key(app)).order_by(programs.c.version)
        async with self.reading() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [StoredProgram(**{**row, "manifest": _MANIFEST.decode(row["manifest"])}) for row in rows]

    async def count_programs(self, app: str) -> int:
        """How many versions there are."""
        statement = select(func.count()).select_from(programs).where(programs.c.app == row_key(app))
        async with self.reading() as connection:
            return int(await connection.scalar(statement) or 0)

    async def waive(self, app: str, version: int, waiver: str) -> None:
        """Writes down who lets this version fail an old counterexample. Raises `NotFoundError`."""
        wanted = (programs.c.app == row_key(app)) & (programs.c.version == version)
        async with self.writing() as connection:
            done = await connection.execute(
                update(programs).where(wanted).values(waiver=waiver).returning(programs.c.version)
            )
            if done.first() is None:
                raise _no_version(app, version)


def _no_version(app: str, version: int) -> NotFoundError:
    return NotFoundError(f"Loop app {app!r} has no program version {version}.")
