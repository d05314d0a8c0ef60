"""The executor role: the hot loop with its jail, kept going.

When Kafka goes away the loop ends with a `TransientError`; it is begun again from the committed offsets, with growing
pauses, so nothing is lost and what was not committed is answered twice. Everything else that fails is a bug or a limit
and ends the role.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping

import msgspec

from executors.delivery import AtLeastOnce, Delivery, ExactlyOnce
from executors.fleet import Fleet
from executors.hot_loop import HotLoop
from executors.jail.jail import Jail
from executors.meter import Meter
from loopai.clock import Clock
from loopai.errors import TransientError
from loopai.events import ce_type
from loopai.settings import Settings
from streams.broker import Broker, Consumer, Outgoing, Producer
from streams.cloudevents import event_headers
from streams.topics import INPUTS, METRICS, RESULTS, SAMPLES

log = logging.getLogger(__name__)

TRANSACTION_RECORDS = 10_000
"""The most records of one transaction; it ends earlier by the commit interval."""


class Executor:
    """Runs until `stop`. `source` names this process in metrics windows."""

    def __init__(self, broker: Broker, jail: Jail, settings: Settings, clock: Clock, source: str) -> None:
        self._broker = broker
        self._settings = settings.executor
        self._clock = clock
        self._source = source
        self._jail = jail
        self._fleet = Fleet(broker, jail, settled=self._settled)
        self._loop: HotLoop | None = None
        self._stopping = asyncio.Event()
        self.meter = Meter(source, clock)
        self.ready = asyncio.Event()
        self.restarts = 0

    def stop(self) -> None:
        """Asks the role to drain, commit and leave."""
        self._stopping.set()
        if self._loop is not None:
            self._loop.stop()

    @property
    def layers(self) -> Mapping[str, str]:
        """The walls of the jail that are in force."""
        return self._jail.layers

    async def run(self) -> None:
        """Until `stop`; the fleet is up to date before the first input is read."""
        await self._fleet.start()
        flusher = asyncio.create_task(self._flush_often())
        pause = 0.2
        try:
            while not self._stopping.is_set():
                try:
                    await self._once()
                    pause = 0.2
                except TransientError as error:
                    self.restarts += 1
                    log.warning("The stream is interrupted; beginning again in %.1f s: %s", pause, error)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), pause)
                    pause = min(pause * 2, 5.0)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._fleet.stop()

    async def _once(self) -> None:
        consumer = self._broker.consumer([INPUTS], group=self._settings.group, instance=self._settings.instance or None)
        producer = self._broker.producer()
        delivery: Delivery | None = None
        try:
            await producer.start()
            await consumer.start()
            delivery = await self._delivery(consumer, producer)
            loop = HotLoop(consumer, delivery, self._fleet.routes, self._settings, self.meter, self._clock)
            self._loop = loop
            if self._stopping.is_set():
                loop.stop()
            self.ready.set()
            await loop.run()
        finally:
            self._loop = None
            for leave in (delivery.close if delivery is not None else None, consumer.stop, producer.stop):
                if leave is not None:
                    with contextlib.suppress(TransientError):
                        await leave()

    async def _delivery(self, consumer: Consumer, producer: Producer) -> Delivery:
        counts = {topic.name: await producer.partitions(topic.name) for topic in (RESULTS, SAMPLES)}
        if self._settings.exactly_once:
            return ExactlyOnce(self._broker, consumer, self._settings.group, counts, TRANSACTION_RECORDS)
        return AtLeastOnce(consumer, producer, counts, self._failed)

    def _failed(self, error: BaseException) -> None:
        if self._loop is not None:
            self._loop.fail(error)

    @contextlib.asynccontextmanager
    async def _settled(self, app: str) -> AsyncIterator[None]:
        if self._loop is None:
            yield
        else:
            async with self._loop.settled(app):
                yield

    async def _flush_often(self) -> None:
        """Each second, what was done, to `loopai.metrics`. A window that cannot be written is lost and forgotten."""
        producer = self._broker.producer()
        await producer.start()
        try:
            while True:
                await self._clock.sleep(1.0)
                with contextlib.suppress(TransientError):
                    for window in self.meter.flush():
                        headers = event_headers(
                            id="", type=ce_type("metrics.window"), source=self._source, app=window.app
                        )
                        record = Outgoing(window.app.encode(), msgspec.json.encode(window), headers)
                        await producer.send(METRICS.name, record)
        finally:
            with contextlib.suppress(TransientError):
                await producer.stop()
