"""Rollouts, in and out: at most one that is running or paused per app, and none that re-opens."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from loopai.errors import ConflictError, NotFoundError
from loopai.records import Rollout
from programs.store.apps import is_missing_app, no_app
from programs.store.rows import Rows, row_key, to_text
from programs.store.tables import rollouts

_ROLLOUT = msgspec.json.Decoder(Rollout)
_OPEN = ("running", "paused")


class Rollouts(Rows):
    """The latch is in the database: whatever the machines do, a finished rollout stays finished."""

    async def put_rollout(self, r: Rollout) -> None:
        """Inserts or replaces a rollout by its id.

        `ConflictError` when it is finished and `r` would give it another state, or when the app has another one that
        is running or paused; `NotFoundError` without its app.
        """
        statement = self.insert(rollouts).values(id=r.id, app=r.app, state=r.state, body=to_text(r))
        statement = statement.on_conflict_do_update(
            index_elements=["id"],
            set_={"state": statement.excluded.state, "body": statement.excluded.body},
            where=rollouts.c.state.in_(_OPEN) | (rollouts.c.state == statement.excluded.state),
        ).returning(rollouts.c.id)
        try:
            async with self.writing() as connection:
                if (await connection.execute(statement)).first() is None:
                    raise ConflictError(f"Rollout {r.id!r} is finished and cannot become {r.state}.")
        except IntegrityError as error:
            if is_missing_app(error):
                raise no_app(r.app) from None
            raise ConflictError(
                f"Loop app {r.app!r} already has a rollout under way.", next_step="Finish it or roll it back first."
            ) from None

    async def get_rollout(self, id: str) -> Rollout:
        """The rollout. Raises `NotFoundError`."""
        async with self.reading() as connection:
            body = await connection.scalar(select(rollouts.c.body).where(rollouts.c.id == row_key(id)))
        if body is None:
            raise NotFoundError(f"There is no rollout {id!r}.")
        return _ROLLOUT.decode(body)

    async def list_rollouts(self, app: str, limit: int = 50) -> list[Rollout]:
        """The app's rollouts, newest first."""
        statement = select(rollouts.c.body).where(rollouts.c.app == row_key(app))
        async with self.reading() as connection:
            bodies = await connection.scalars(statement.order_by(rollouts.c.number.desc()).limit(limit))
            return [_ROLLOUT.decode(body) for body in bodies.all()]

    async def current_rollout(self, app: str) -> Rollout | None:
        """The one that is running or paused, if any."""
        statement = select(rollouts.c.body).where(rollouts.c.app == row_key(app), rollouts.c.state.in_(_OPEN))
        async with self.reading() as connection:
            body = await connection.scalar(statement)
        return None if body is None else _ROLLOUT.decode(body)

    async def current_rollouts(self) -> list[Rollout]:
        """Every rollout that is running or paused, by app."""
        statement = select(rollouts.c.body).where(rollouts.c.state.in_(_OPEN)).order_by(rollouts.c.app)
        async with self.reading() as connection:
            return [_ROLLOUT.decode(body) for body in (await connection.scalars(statement)).all()]
