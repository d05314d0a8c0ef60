"""What came of a stream whose answers are known: follows results, samples, checks and dead letters to the end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec

from loopai.records import ExecutionResult, ValidationResult
from streams.broker import Broker, Message
from streams.cloudevents import record_id
from streams.topics import DEAD_LETTERS, RESULTS, SAMPLES, VALIDATIONS


class Scorekeeper:
    """Counts by record id, so that a record answered twice counts once. Start it before the first input."""

    def __init__(self, broker: Broker, app: str) -> None:
        self._consumer = broker.consumer([RESULTS, SAMPLES, VALIDATIONS, DEAD_LETTERS], group=None, start="latest")
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self.expected: dict[str, Any] = {}
        self.results: dict[str, ExecutionResult] = {}
        self.set_aside: set[str] = set()
        self.samples: set[str] = set()
        self.checks: dict[str, ValidationResult] = {}

    async def start(self) -> None:
        await self._consumer.start()
        await self._consumer.getmany(timeout=0.1, max_records=1)  # so that "latest" is now
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    @property
    def missing(self) -> int:
        """Inputs that are neither answered nor set aside."""
        return len(self.expected) - len(self.results.keys() & self.expected.keys()) - len(self.set_aside)

    @property
    def unchecked(self) -> int:
        """Samples without a validation result."""
        return len(self.samples - self.checks.keys())

    async def settled(self, seconds: float) -> None:
        """Returns when every input and every sample has ended, or after so many seconds without any progress."""
        loop = asyncio.get_running_loop()
        seen, since = None, loop.time()
        while self.missing or self.unchecked:
            now = (len(self.results), len(self.set_aside), len(self.samples), len(self.checks))
            if now != seen:
                seen, since = now, loop.time()
            elif loop.time() - since > seconds:
                return
            await asyncio.sleep(0.05)

    def summary(self) -> dict[str, Any]:
        """Counts; accuracy and macro-F1 in percent over all answered inputs; time per answer in microseconds."""
        answered = self.results.keys() & self.expected.keys()
        pairs = [
            (self.expected[i], self.results[i].output if self.results[i].outcome == "ok" else None) for i in answered
        ]
        times = sorted(self.results[i].latency_us for i in answered)
        return {
            "inputs": len(self.expected),
            "answered": len(answered),
            "set_aside": len(self.set_aside),
            "lost": self.missing,
            "accuracy": percent(sum(a == b for a, b in pairs), len(pairs)),
            "macro_f1": macro_f1(pairs),
            "checks": len(self.checks),
            "oracle_calls": sum(c.tier == 3 for c in self.checks.values()),
            "p50_us": nearest(times, 0.50),
            "p99_us": nearest(times, 0.99),
        }

    async def _follow(self) -> None:
        while True:
            batch = await self._consumer.getmany(timeout=0.5, max_records=5000)
            for messages in batch.values():
                for message in messages:
                    self._take(message)

    def _take(self, message: Message) -> None:
        if message.topic == DEAD_LETTERS.name:
            if (found := record_id(message)) in self.expected:
                self.set_aside.add(found)
            return
        value = message.value or b"{}"
        if message.topic == RESULTS.name:
            result = msgspec.json.decode(value, type=ExecutionResult)
            if result.app == self._app:
                self.results[result.id] = result
        elif message.topic == SAMPLES.name:
            if (found := record_id(message)) in self.expected:
                self.samples.add(found)
        else:
            check = msgspec.json.decode(value, type=ValidationResult)
            if check.app == self._app:
                self.checks[check.id] = check


def percent(part: int, whole: int) -> float:
    """`part` of `whole` in percent; 0 of nothing."""
    return round(100 * part / whole, 2) if whole else 0.0


def macro_f1(pairs: list[tuple[Any, Any]]) -> float:
    """The mean of each true label's F1, in percent. Labels are compared as JSON."""
    encode = msgspec.json.Encoder(order="sorted").encode
    true = Counter(encode(t) for t, _ in pairs)
    given = Counter(encode(g) for _, g in pairs)
    hits = Counter(encode(t) for t, g in pairs if t == g)
    scores = [2 * hits[label] / (true[label] + given[label]) for label in true]
    return round(100 * sum(scores) / len(scores), 2) if scores else 0.0


def nearest(ordered: list[float], share: float) -> float | None:
    """The percentile by nearest rank."""
    return ordered[round(share * (len(ordered) - 1))] if ordered else None
