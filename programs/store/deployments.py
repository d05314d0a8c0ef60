"""What each app runs now, in and out; revisions only grow."""

from __future__ import annotations

import msgspec
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from loopai.deployments import Deployment
from loopai.errors import ConflictError
from programs.store.apps import is_missing_app, no_app
from programs.store.rows import Rows, row_key, to_text
from programs.store.tables import deployments

_DEPLOYMENT = msgspec.json.Decoder(Deployment)


class Deployments(Rows):
    """One row an app: the newest deployment."""

    async def put_deployment(self, d: Deployment) -> None:
        """Stores `d`. `ConflictError` unless its revision is greater than the stored one; `NotFoundError` without
        its app."""
        statement = self.insert(deployments).values(app=d.app, revision=d.revision, body=to_text(d))
        statement = statement.on_conflict_do_update(
            index_elements=["app"],
            set_={"revision": statement.excluded.revision, "body": statement.excluded.body},
            where=deployments.c.revision < statement.excluded.revision,
        ).returning(deployments.c.revision)
        try:
            async with self.writing() as connection:
                if (await connection.execute(statement)).first() is None:
                    raise ConflictError(f"The deployment of {d.app!r} is already at revision {d.revision} or later.")
        except IntegrityError as error:
            if is_missing_app(error):
                raise no_app(d.app) from None
            raise

    async def get_deployment(self, app: str) -> Deployment | None:
        """What the app runs, or None while it runs nothing."""
        async with self.reading() as connection:
            body = await connection.scalar(select(deployments.c.body).where(deployments.c.app == row_key(app)))
        return None if body is None else _DEPLOYMENT.decode(body)

    async def list_deployments(self) -> list[Deployment]:
        """The deployment of every app that has one, by app."""
        async with self.reading() as connection:
            bodies = await connection.scalars(select(deployments.c.body).order_by(deployments.c.app))
            return [_DEPLOYMENT.decode(body) for body in bodies.all()]
