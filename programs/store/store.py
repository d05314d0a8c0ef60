"""The store as one object: `Store.open(url)` in, every noun's reads and writes out."""

from __future__ import annotations

from programs.store.apps import Apps
from programs.store.deployments import Deployments
from programs.store.engine import make_engine, prepare
from programs.store.events import Events
from programs.store.idempotency import Idempotency
from programs.store.ledger import Ledger
from programs.store.programs import Programs
from programs.store.rollouts import Rollouts
from programs.store.runs import Runs
from programs.store.states import States
from programs.store.tallies import Tallies
from programs.store.validations import Validations


class Store(Apps, Programs, Deployments, Rollouts, Runs, States, Events, Validations, Ledger, Idempotency, Tallies):
    """One database, shared by every role that may use one. Safe for many tasks and many processes.

    Errors: `NotFoundError`, `ConflictError`, and `TransientError` when the database does not answer this time.
    """

    @classmethod
    async def open(cls, url: str, *, pool_size: int = 5) -> Store:
        """Connects to `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://...` and brings the schema up to date."""
        engine = make_engine(url, pool_size)
        try:
            await prepare(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine)

    async def close(self) -> None:
        """Gives back every connection."""
        await self._engine.dispose()

    async def ping(self) -> None:
        """Returns when the database answers; raises `TransientError` otherwise."""
        await self.epoch()
