"""Kafka clients that are not ours (librdkafka by confluent-kafka): what an independent reader sees."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable

import msgspec
from confluent_kafka import Consumer, Producer

from loopai.records import ExecutionResult


def publish(bootstrap: str, app: str, records: Iterable[tuple[str, bytes]], key: str | None = None) -> int:
    """Writes (id, value) to `loopai.inputs`; returns how many were acknowledged."""
    acked = 0

    def delivered(error: object, message: object) -> None:
        nonlocal acked
        assert error is None, error
        acked += 1

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "queue.buffering.max.messages": 500_000})
    for record_id, value in records:
        producer.produce(
            "loopai.inputs",
            value,
            key=key or record_id,
            headers=[("loopai-app", app), ("ce_id", record_id)],
            on_delivery=delivered,
        )
        producer.poll(0)
    producer.flush(60)
    return acked


class Answers:
    """Reads `loopai.results` from now on, of one app. Open it before publishing."""

    def __init__(self, bootstrap: str, app: str) -> None:
        self._app = app.encode()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"foreign-{uuid.uuid4().hex}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        self._consumer.subscribe(["loopai.results"])
        self.counts: Counter[str] = Counter()
        self.results: dict[str, ExecutionResult] = {}

    def read_until(self, wanted: Collection[str], seconds: float = 60.0, quiet: float = 0.0) -> Counter[str]:
        """Until these ids were seen, and then for `quiet` seconds more in case one comes twice."""
        end, last, wanted = time.monotonic() + seconds, time.monotonic(), set(wanted)
        while time.monotonic() < end:
            messages = self._consumer.consume(5000, 0.2)
            for message in messages:
                if message.error() is None and dict(message.headers() or []).get("loopai-app") == self._app:
                    result = msgspec.json.decode(message.value(), type=ExecutionResult)
                    self.counts[result.id] += 1
                    self.results[result.id] = result
                    last = time.monotonic()
            if self.counts.keys() >= wanted and time.monotonic() - last > quiet:
                break
        return self.counts

    def close(self) -> None:
        self._consumer.close()
