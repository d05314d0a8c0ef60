"""Validation results, in and out: one a record and version, however often it is delivered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import select

from loopai.records import ValidationResult, Verdict
from programs.store.rows import Page, Rows, row_key, to_text
from programs.store.tables import validation_counts, validations

_KEYS: Final = ("app", "id", "version")
_COUNTED: Final = ("app", "version", "verdict")
_VALIDATION = msgspec.json.Decoder(ValidationResult)


class Validations(Rows):
    """The first result of (app, record id, version) stays."""

    async def add_validations(self, rows: Sequence[ValidationResult]) -> int:
        """How many of the rows were new."""
        if not rows:
            return 0
        kept = [
            {
                "app": row_key(row.app),
                "id": row_key(row.id),
                "version": row.version,
                "verdict": row.verdict,
                "body": to_text(row),
            }
            for row in rows
        ]
        async with self.writing() as connection:
            new = await self.insert_new(connection, validations, kept, _KEYS, _COUNTED)
            for key, n in sorted(Counter(new).items()):
                first = self.insert(validation_counts).values(**dict(zip(_COUNTED, key, strict=True)), n=n)
                more = {"n": validation_counts.c.n + n}
                await connection.execute(first.on_conflict_do_update(index_elements=list(_COUNTED), set_=more))
        return len(new)

    async def list_validations(
        self,
        app: str,
        *,
        version: int | None = None,
        verdict: Verdict | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> Page[ValidationResult]:
        """Results, newest first. `before` is the number that was the `next_cursor` of the page before."""
        statement = select(validations.c.number, validations.c.body).where(validations.c.app == row_key(app))
        if version is not None:
            statement = statement.where(validations.c.version == version)
        if verdict is not None:
            statement = statement.where(validations.c.verdict == verdict)
        if before is not None:
            statement = statement.where(validations.c.number < before)
        async with self.reading() as connection:
            found = await connection.execute(statement.order_by(validations.c.number.desc()).limit(limit + 1))
            rows = found.all()
        items = [_VALIDATION.decode(row.body) for row in rows[:limit]]
        return Page(items, str(rows[limit - 1].number) if len(rows) > limit else None)

    async def count_validations(self, app: str, version: int) -> dict[str, int]:
        """How many results of each verdict a version has."""
        counts = validation_counts.c
        statement = select(counts.verdict, counts.n).where(counts.app == row_key(app), counts.version == version)
        async with self.reading() as connection:
            return {str(verdict): int(n) for verdict, n in await connection.execute(statement)}
