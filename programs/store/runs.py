"""Runs, in and out: long work that can be watched. A finished run stays finished."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from loopai.errors import ConflictError, NotFoundError
from loopai.records import Run
from programs.store.apps import is_missing_app, no_app
from programs.store.rows import Rows, row_key, to_text
from programs.store.tables import runs

_RUN = msgspec.json.Decoder(Run)
_OPEN = ("queued", "running")


class Runs(Rows):
    """One row a run, replaced as it goes on."""

    async def put_run(self, run: Run) -> None:
        """Inserts or replaces a run by its id. `ConflictError` when it is finished and would get another state;
        `NotFoundError` without its app."""
        statement = self.insert(runs).values(id=run.id, app=run.app, state=run.state, body=to_text(run))
        statement = statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"state": statement.excluded.state, "body": statement.excluded.body},
            where=runs.c.state.in_(_OPEN) | (runs.c.state == statement.excluded.state),
        ).returning(runs.c.id)
        try:
            async with self.writing() as connection:
                if (await connection.execute(statement)).first() is None:
                    raise ConflictError(f"Run {run.id!r} is finished and cannot become {run.state}.")
        except IntegrityError as error:
            if is_missing_app(error):
                raise no_app(run.app) from None
            raise

    async def get_run(self, id: str) -> Run:
        """The run. Raises `NotFoundError`."""
        async with self.reading() as connection:
            body = await connection.scalar(select(runs.c.body).where(runs.c.id == row_key(id)))
        if body is None:
            raise NotFoundError(f"There is no run {id!r}.")
        return _RUN.decode(body)

    async def list_runs(self, app: str, limit: int = 50) -> list[Run]:
        """The app's runs, newest first."""
        statement = select(runs.c.body).where(runs.c.app == row_key(app)).order_by(runs.c.number.desc()).limit(limit)
        async with self.reading() as connection:
            return [_RUN.decode(body) for body in (await connection.scalars(statement)).all()]
