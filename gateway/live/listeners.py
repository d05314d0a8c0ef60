"""Events in, in-process listeners out (server-sent events): a bounded queue each, and an end for who falls behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from gateway.live.envelope import Envelope

_QUEUED: Final = 500


class Listener:
    """One reader. `next` returns envelopes in order, and None when it was let go."""

    def __init__(self, rooms: Iterable[str]) -> None:
        self.rooms = frozenset(rooms)
        self.queue: asyncio.Queue[Envelope | None] = asyncio.Queue(_QUEUED + 1)

    async def next(self) -> Envelope | None:
        return await self.queue.get()


class Listeners:
    """All readers of this process."""

    def __init__(self) -> None:
        self.dropped = 0
        self._listening: set[Listener] = set()

    def __len__(self) -> int:
        return len(self._listening)

    def add(self, rooms: Iterable[str]) -> Listener:
        listener = Listener(rooms)
        self._listening.add(listener)
        return listener

    def remove(self, listener: Listener) -> None:
        self._listening.discard(listener)

    def tell(self, audience: Sequence[str], envelope: Envelope) -> None:
        """Queues the envelope for everyone in one of the rooms."""
        for listener in list(self._listening):
            if not listener.rooms.isdisjoint(audience):
                if listener.queue.qsize() >= _QUEUED:
                    self.dropped += 1
                    self._let_go(listener)
                else:
                    listener.queue.put_nowait(envelope)

    def close(self) -> None:
        """Lets everybody go."""
        for listener in list(self._listening):
            self._let_go(listener)

    def _let_go(self, listener: Listener) -> None:
        self._listening.discard(listener)
        listener.queue.put_nowait(None)
