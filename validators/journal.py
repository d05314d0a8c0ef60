"""Validation results to the store in groups: each caller returns when its own result is written, or raises.

While one group is being written the next one gathers, so a slow store makes larger groups and not a queue, and a
caller never waits for more than two writes. Nothing is held back for company.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from loopai.records import ValidationResult


class ValidationStore(Protocol):
    """Where results are kept. Adding one that is there already changes nothing; trouble raises `TransientError`."""

    async def add_validations(self, rows: Sequence[ValidationResult]) -> int: ...


class MemoryValidations:
    """A store for tests and backtests: the first result of (app, id, version) stays."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, int], ValidationResult] = {}
        self.writes = 0

    async def add_validations(self, rows: Sequence[ValidationResult]) -> int:
        """How many of the rows were new."""
        self.writes += 1
        before = len(self.rows)
        for row in rows:
            self.rows.setdefault((row.app, row.id, row.version), row)
        return len(self.rows) - before


class _Group:
    __slots__ = ("error", "rows", "written")

    def __init__(self) -> None:
        self.rows: list[ValidationResult] = []
        self.written = False
        self.error: Exception | None = None


class Journal:
    """Groups what many tasks write at once."""

    def __init__(self, store: ValidationStore) -> None:
        self._store = store
        self._writing = asyncio.Lock()
        self._gathering = _Group()

    async def write(self, row: ValidationResult) -> None:
        """Returns when the store has the row. An error of the store is raised to everyone in the group."""
        group = self._gathering
        group.rows.append(row)
        async with self._writing:
            if group is self._gathering:
                self._gathering = _Group()
            # Whoever comes first writes for all. If that one was cancelled in the middle, the next one writes again.
            if not group.written and group.error is None:
                try:
                    await self._store.add_validations(group.rows)
                    group.written = True
                except Exception as error:
                    group.error = error
        if group.error is not None:
            raise group.error
