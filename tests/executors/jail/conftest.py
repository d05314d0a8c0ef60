"""Real zygotes and real workers; no stand-ins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from executors.jail.cell import Cell
from executors.jail.jail import Jail
from tests.executors.jail.helpers import LIMITS, Open, program


@pytest.fixture
async def jail() -> AsyncIterator[Jail]:
    async with Jail(LIMITS) as jail:
        yield jail


@pytest.fixture
async def opened(jail: Jail) -> Open:
    """Source in, cell out; `gate=False` for what the gate would refuse."""

    async def open(source: str, *, gate: bool = True, **fields: Any) -> Cell:
        return await jail.open(program(source, **fields), gate=gate)

    return open
