"""Events that come in floods, in; at most eight lists a second and room, out. Bounded; what does not fit is counted.

Only events that are never filled in go through here (checks, metrics). Painting a page per event collapses at fifty a
second; eight lists a second cost nothing and look live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from gateway.live.envelope import Envelope

TICK: Final = 0.125
PER_TICK: Final = 250
"""Envelopes a room and tick: two thousand a second are more than a page can show."""

Audience: TypeAlias = tuple[str, ...]
Deliver: TypeAlias = Callable[[Audience, list[Envelope]], Awaitable[None]]


class Pace:
    """Collects envelopes per audience and hands them on every tick."""

    def __init__(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._waiting: dict[Audience, dict[str, Envelope]] = {}
        self.dropped = 0

    def put(self, audience: Audience, envelope: Envelope, latest: str | None = None) -> None:
        """Adds an envelope. Of those with the same `latest` only the last of a tick is kept."""
        waiting = self._waiting.setdefault(audience, {})
        key = latest or envelope["id"]
        if key in waiting:
            del waiting[key]
        elif len(waiting) >= PER_TICK:
            self.dropped += 1
            return
        waiting[key] = envelope

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(TICK)
            await self.flush()

    async def flush(self) -> None:
        """Hands on what waits."""
        waiting, self._waiting = self._waiting, {}
        for audience, envelopes in waiting.items():
            await self._deliver(audience, list(envelopes.values()))
