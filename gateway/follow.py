"""Topics in, the event log, the hub and the counters out.

Drift alerts and rollouts are read twice: by one group of all gateways from where it stopped, so that nothing that
happened while no gateway ran is missing from the log, and by every gateway from now on, so that each shows them at
once. Both append to the log, which knows an event by its id. Checks and metrics are read from now on and never kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from gateway.counters import Counters
from gateway.deps import Gateway
from gateway.hub import Hub
from gateway.live.envelope import of_agreement, of_validation, of_window, rooms
from gateway.live.windows import Windows
from loopai import telemetry
from loopai.errors import RecordError, TransientError
from loopai.records import Agreement, Event, MetricsWindow, ValidationResult
from streams.broker import Consumer, Message, TopicPartition
from streams.cloudevents import event_type
from streams.codec import decode
from streams.topics import DRIFT_ALERTS, METRICS, ROLLOUTS, VALIDATIONS

GROUP: Final = "loopai-gateways"
_WAIT: Final = 0.5
_AT_ONCE: Final = 500
_LONGEST_PAUSE: Final = 5.0
_log = logging.getLogger(__name__)

T = TypeVar("T")


class Follower:
    """Three readers, each a task that ends only by cancellation or by a bug."""

    def __init__(
        self, given: Gateway, hub: Hub, windows: Windows, counters: Counters, wake: Callable[[], None]
    ) -> None:
        self._store = given.store
        self._hub = hub
        self._windows = windows
        self._counters = counters
        self._wake = wake
        durable, passing = (DRIFT_ALERTS, ROLLOUTS), (VALIDATIONS, METRICS)
        self._recorder = given.broker.consumer(durable, group=GROUP, start="earliest")
        self._heard = given.broker.consumer(durable, group=None, start="latest")
        self._passing = given.broker.consumer(passing, group=None, start="latest")

    async def start(self) -> None:
        for consumer in (self._recorder, self._heard, self._passing):
            await consumer.start()

    async def stop(self) -> None:
        for consumer in (self._recorder, self._heard, self._passing):
            await consumer.stop()

    def tasks(self) -> list[Callable[[], Awaitable[None]]]:
        """What is to be run, each until cancelled."""
        return [
            lambda: self._read(self._recorder, self._append, commit=True),
            lambda: self._read(self._heard, self._append, commit=False),
            lambda: self._read(self._passing, self._show, commit=False),
        ]

    async def _read(
        self, consumer: Consumer, handle: Callable[[Sequence[Message]], Awaitable[None]], *, commit: bool
    ) -> None:
        while True:
            found = await _stubbornly(lambda: consumer.getmany(_WAIT, _AT_ONCE))
            for messages in found.values():
                await _stubbornly(lambda messages=messages: handle(messages))  # type: ignore[misc]
            if commit and found:
                offsets = {TopicPartition(*tp): messages[-1].offset + 1 for tp, messages in found.items()}
                await _stubbornly(lambda offsets=offsets: consumer.commit(offsets))  # type: ignore[misc]

    async def _append(self, messages: Sequence[Message]) -> None:
        events = []
        for message in messages:
            try:
                events.append(decode(message.value, Event))
            except RecordError as error:
                self._unreadable(message, error)
        await self._store.append_events(events)
        self._wake()

    async def _show(self, messages: Sequence[Message]) -> None:
        for message in messages:
            try:
                if message.topic == VALIDATIONS.name:
                    self._show_validation(decode(message.value, ValidationResult))
                elif event_type(message.headers) == "agreement.window":
                    self._show_agreement(decode(message.value, Agreement))
                else:
                    self._show_window(decode(message.value, MetricsWindow))
            except RecordError as error:
                self._unreadable(message, error)

    def _show_validation(self, result: ValidationResult) -> None:
        self._counters.add(telemetry.VALIDATIONS, result.app, str(result.version), result.verdict)
        self._hub.pace.put(rooms("validation.completed", result.app), of_validation(result))

    def _show_agreement(self, agreement: Agreement) -> None:
        self._windows.add_agreement(agreement)
        if agreement.estimate is not None:
            version = str(agreement.version)
            self._counters.put(telemetry.AGREEMENT, agreement.app, version, value=agreement.estimate)
        key = f"agreement:{agreement.version}"
        self._hub.pace.put(rooms("agreement.window", agreement.app), of_agreement(agreement), key)

    def _show_window(self, window: MetricsWindow) -> None:
        self._windows.add_window(window)
        self._hub.pace.put(rooms("metrics.window", window.app), of_window(window))
        if window.source.startswith("validator"):
            return
        for outcome in ("ok", "abstained", "failed", "set_aside"):
            count = getattr(window, outcome)
            if count:
                self._counters.add(telemetry.INPUTS, window.app, outcome, by=count)
        if window.sampled:
            self._counters.add(telemetry.SAMPLED, window.app, by=window.sampled)
        if window.oldest_waiting_s is not None:
            self._counters.put(telemetry.OLDEST_WAITING, window.app, value=window.oldest_waiting_s)

    def _unreadable(self, message: Message, error: RecordError) -> None:
        self._counters.add(telemetry.DEAD_LETTERS, message.topic, error.reason)
        where = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
        _log.warning("a record cannot be read and is left out", extra={**where, "error": str(error)})


def count_event(counters: Counters) -> Callable[[Event], None]:
    """Counts what the log says of rollouts and drift."""

    def count(event: Event) -> None:
        if event.type == "rollout.rolled_back":
            counters.add(telemetry.ROLLBACKS, event.app, str(event.data.get("trigger", "auto")))
        weight, candidate = event.data.get("weight"), event.data.get("to")
        if event.type.startswith("rollout.") and isinstance(weight, (int, float)) and candidate is not None:
            counters.put(telemetry.ROLLOUT_WEIGHT, event.app, str(candidate), value=weight / 100)
        score = event.data.get("score")
        if event.type.startswith("drift.") and isinstance(score, (int, float)):
            detector = str(event.data.get("detector", "unknown"))
            counters.put(telemetry.DRIFT_SCORE, event.app, detector, value=score)

    return count


async def _stubbornly(do: Callable[[], Awaitable[T]]) -> T:
    """Again and again, with longer pauses, while the world is unwell."""
    pause = 0.1
    while True:
        try:
            return await do()
        except TransientError as error:
            _log.warning("trying again", extra={"error": str(error), "seconds": pause})
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
