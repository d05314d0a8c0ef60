"""The gateway's moving parts, put together: what is given in, the hub, the followers and the counters out."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.access import Access
from gateway.asking import Asker
from gateway.counters import Counters
from gateway.deps import Gateway
from gateway.follow import Follower, count_event
from gateway.hub import Hub
from gateway.live.windows import Windows
from gateway.tail import Tail
from loopai.errors import TransientError
from streams.topics import ALL

KEPT_KEYS_SECONDS: Final = 24 * 3600
_log = logging.getLogger(__name__)


class Parts:
    """Everything a request may need. `failed` is done, with the error, once a background task ended by a bug.

    Raises:
        ConfigurationError: the gateway would be open to other machines without a key.
    """

    def __init__(self, given: Gateway) -> None:
        self.given = given
        self.settings = given.settings
        self.store = given.store
        self.clock = given.clock
        self.counters = Counters()
        self.access = Access(given.settings.gateway, given.clock)
        self.windows = Windows(given.clock)
        self.hub = Hub(given.store, self.access, self.counters, given.clock)
        self.producer = given.broker.producer()
        self.asker = Asker(self.producer, given.clock)
        self.tail = Tail(given.store, self.hub, [self.asker.hear, count_event(self.counters)])
        self.failed: asyncio.Future[BaseException] | None = None
        self._follower = Follower(given, self.hub, self.windows, self.counters, self.tail.wake)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connects to the stream and begins to follow. Raises `TransientError` when the stream does not answer."""
        self.failed = asyncio.get_running_loop().create_future()
        await self.given.broker.ensure_topics(ALL)
        await self.producer.start()
        await self.hub.start()
        await self._follower.start()
        background = [self.tail.run, self.hub.pace.run, self.hub.watch_queues, self._forget_keys]
        for run in [*background, *self._follower.tasks()]:
            task = asyncio.ensure_future(run())
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Says goodbye to the clients and ends everything that `start` began."""
        await self.hub.bye("shutdown")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._follower.stop()
        await self.producer.stop()

    def _ended(self, task: asyncio.Future[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.failed is not None and not self.failed.done():
            _log.error("a background task of the gateway ended", exc_info=error)
            self.failed.set_result(error)

    async def _forget_keys(self) -> None:
        while True:
            try:
                await self.store.forget_keys(before=self.clock.now() - KEPT_KEYS_SECONDS)
            except TransientError as error:
                _log.warning("old idempotency keys stay a while", extra={"error": str(error)})
            await asyncio.sleep(3600)
