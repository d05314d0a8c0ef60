"""Loop apps and their labelled examples, in and out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from loopai.apps import LoopApp
from loopai.clock import iso
from loopai.errors import ConflictError, NotFoundError
from loopai.records import Example
from programs.store.rows import Page, Rows, row_key, to_text
from programs.store.tables import apps, examples

_APP = msgspec.json.Decoder(LoopApp)
_EXAMPLE = msgspec.json.Decoder(Example)


def no_app(app: str) -> NotFoundError:
    """The error of an unknown app."""
    return NotFoundError(f"There is no loop app {app!r}.", next_step="GET /api/v1/loop-apps lists them.")


class Apps(Rows):
    """Apps are versioned by `revision`: a write must be made from the revision that is stored."""

    async def put_app(self, app: LoopApp) -> LoopApp:
        """Inserts a new app (revision 1) or replaces revision n by n + 1. `ConflictError` for any other revision."""
        row = {"revision": app.revision, "updated_at": iso(time.time()), "body": to_text(app)}
        async with self.writing() as connection:
            if app.revision == 1:
                statement = self.insert(apps).values(id=app.id, **row)
                statement = statement.on_conflict_do_nothing(index_elements=["id"]).returning(apps.c.id)
            else:
                older = (apps.c.id == app.id) & (apps.c.revision == app.revision - 1)
                statement = update(apps).where(older).values(**row).returning(apps.c.id)
            if (await connection.execute(statement)).first() is None:
                stored = await connection.scalar(select(apps.c.revision).where(apps.c.id == app.id))
                raise _conflict(app, stored)
        return app

    async def get_app(self, app: str) -> LoopApp:
        """The app. Raises `NotFoundError`."""
        async with self.reading() as connection:
            body = await connection.scalar(select(apps.c.body).where(apps.c.id == row_key(app)))
        if body is None:
            raise no_app(app)
        return _APP.decode(body)

    async def list_apps(self, *, limit: int = 50, cursor: str | None = None) -> Page[LoopApp]:
        """Apps by id. `cursor` is the `next_cursor` of the page before."""
        statement = select(apps.c.id, apps.c.body).order_by(apps.c.id).limit(limit + 1)
        if cursor is not None:
            statement = statement.where(apps.c.id > row_key(cursor))
        async with self.reading() as connection:
            rows = (await connection.execute(statement)).all()
        items = [_APP.decode(row.body) for row in rows[:limit]]
        return Page(items, rows[limit - 1].id if len(rows) > limit else None)

    async def delete_app(self, app: str) -> None:
        """Deletes the app with its examples, programs, deployment, rollouts and runs. What happened stays: events,
        validations and the ledger. Raises `NotFoundError`."""
        async with self.writing() as connection:
            gone = await connection.execute(apps.delete().where(apps.c.id == row_key(app)).returning(apps.c.id))
            if gone.first() is None:
                raise no_app(app)

    async def add_examples(self, app: str, rows: Sequence[Example]) -> int:
        """Inserts or replaces labelled rows by their id; how many were given. Raises `NotFoundError`."""
        async with self.writing() as connection:
            await require_app(connection, app)
            if rows:
                kept = [{"app": app, "id": row_key(row.id), "body": to_text(row)} for row in rows]
                await self.upsert(connection, examples, kept, ("app", "id"))
        return len(rows)

    async def examples(self, app: str, limit: int = 200_000) -> list[Example]:
        """Labelled rows by id, whatever the order they came in: the same rows make the same program."""
        statement = select(examples.c.body).where(examples.c.app == row_key(app)).order_by(examples.c.id).limit(limit)
        async with self.reading() as connection:
            return [_EXAMPLE.decode(body) for body in (await connection.scalars(statement)).all()]

    async def count_examples(self, app: str) -> int:
        """How many labelled rows the app has."""
        statement = select(func.count()).select_from(examples).where(examples.c.app == row_key(app))
        async with self.reading() as connection:
            return int(await connection.scalar(statement) or 0)


async def require_app(connection: AsyncConnection, app: str, *, lock: bool = False) -> None:
    """Raises `NotFoundError` unless the app exists. `lock` keeps others from locking it until the transaction ends."""
    statement = select(apps.c.id).where(apps.c.id == row_key(app))
    found = await connection.scalar(statement.with_for_update() if lock else statement)
    if found is None:
        raise no_app(app)


def is_missing_app(error: IntegrityError) -> bool:
    """Whether a write failed since its app does not exist (or was deleted meanwhile)."""
    return "foreign key" in str(error.orig).lower()


def _conflict(app: LoopApp, stored: int | None) -> ConflictError:
    if stored is None:
        return ConflictError(f"Loop app {app.id!r} does not exist at revision {app.revision - 1}.")
    if app.revision == 1:
        return ConflictError(
            f"Loop app {app.id!r} already exists.", next_step="Change it with PATCH, or choose another id."
        )
    return ConflictError(
        f"Loop app {app.id!r} is at revision {stored}, so revision {app.revision} cannot follow.",
        next_step="Read it again and repeat the change.",
    )
