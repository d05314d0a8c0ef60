"""Small keyed state of machines (detectors, estimates), bytes in and out, guarded by a revision that only grows."""

from __future__ import annotations

from sqlalchemy import select

from loopai.errors import ConflictError
from programs.store.rows import Rows, row_key
from programs.store.tables import states


class States(Rows):
    """A machine that was replaced by another (a rebalance) finds its next write refused, and stops."""

    async def put_state(self, kind: str, key: str, value: bytes, revision: int) -> None:
        """Stores `value`. `ConflictError` unless `revision` is greater than the stored one."""
        statement = self.insert(states).values(kind=kind, key=row_key(key), value=value, revision=revision)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "key"],
            set_={"value": statement.excluded.value, "revision": statement.excluded.revision},
            where=states.c.revision < statement.excluded.revision,
        ).returning(states.c.revision)
        async with self.writing() as connection:
            if (await connection.execute(statement)).first() is None:
                raise ConflictError(f"The state {kind}/{key} is already at revision {revision} or later.")

    async def get_state(self, kind: str, key: str) -> tuple[bytes, int] | None:
        """The value and its revision, or None."""
        wanted = (states.c.kind == kind) & (states.c.key == row_key(key))
        async with self.reading() as connection:
            row = (await connection.execute(select(states.c.value, states.c.revision).where(wanted))).first()
        return None if row is None else (bytes(row.value), int(row.revision))
