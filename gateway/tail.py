"""The store's log of events in, the hub and whoever waits for an answer out: in order, each once, none left out.

Everything durable is shown from the log and never straight from the topic. So the order is the log's on every gateway,
and what another gateway wrote while this one slept is shown too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from gateway.hub import Hub
from loopai.errors import TransientError
from loopai.records import Event
from programs.store import Store

POLL_SECONDS: Final = 1.0
_PAGE: Final = 500
_log = logging.getLogger(__name__)


class Tail:
    """Reads past the hub's cursor when woken, and every second for what other gateways wrote."""

    def __init__(self, store: Store, hub: Hub, heard: Sequence[Callable[[Event], None]]) -> None:
        self._store = store
        self._hub = hub
        self._heard = heard
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was appended."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), POLL_SECONDS)
            self._woken.clear()
            try:
                while await self.read():
                    pass
            except TransientError as error:
                _log.warning("the event log cannot be read", extra={"error": str(error)})
                await asyncio.sleep(POLL_SECONDS)

    async def read(self) -> bool:
        """Shows one page of what is new; whether there may be more."""
        logged = await self._store.events_after(self._hub.cursor, limit=_PAGE)
        for _, event in logged:
            for hear in self._heard:
                hear(event)
        if logged:
            await self._hub.emit_logged(logged)
        return len(logged) == _PAGE
