"""Time, passed in: what is decided uses `monotonic`, what is shown uses `now`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Whoever decides by time is given one of these.

    `monotonic` is in seconds, never falls, and is the only one that decisions may use; `now` is the wall clock in
    seconds since the epoch, for display and for stamps; `sleep` waits that many seconds.
    """

    def monotonic(self) -> float: ...

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that a test or a backtest moves by hand. `sleep` advances it at once."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self._elapsed = 0.0
        self._start = start

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> float:
        return self._start + self._elapsed

    def advance(self, seconds: float) -> None:
        self._elapsed += seconds

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await asyncio.sleep(0)


def iso(seconds: float) -> str:
    """`seconds` since the epoch as RFC 3339 in UTC with milliseconds, e.g. `2026-01-31T12:00:00.000Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
