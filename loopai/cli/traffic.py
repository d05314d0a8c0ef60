"""Examples in, records on Kafka at a steady rate out: inputs on `loopai.inputs`, known answers on `loopai.labels`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from time import monotonic

import msgspec

from loopai.records import Example, Label
from streams.broker import Broker, Outgoing
from streams.cloudevents import event_headers
from streams.topics import INPUTS, LABELS

INPUT_TYPE = "io.loopai.input.received.v1"
LABEL_TYPE = "io.loopai.label.given.v1"
_STEP = 0.02


async def feed(
    broker: Broker,
    app: str,
    examples: Iterable[Example],
    *,
    source: str,
    rate: float,
    sent: Callable[[Example], None] = lambda example: None,
) -> int:
    """Publishes each example as an input and its label, `rate` a second; returns how many when they are acknowledged.

    `source` is stamped as `ce_source`, so that simulated traffic says so. A rate of 0 is as fast as it goes.
    """
    producer = broker.producer()
    await producer.start()
    encode = msgspec.json.Encoder().encode
    rows, count, begin = iter(examples), 0, monotonic()
    try:
        while True:
            due = 500 if rate <= 0 else max(0, int((monotonic() - begin) * rate) - count)
            acks = []
            for example in islice(rows, min(due, 500)):
                sent(example)
                label = encode(Label(id=example.id, app=app, expected=example.expected))
                headers = event_headers(id=example.id, type=LABEL_TYPE, source=source, app=app)
                acks.append(await producer.send(LABELS.name, Outgoing(example.id.encode(), label, headers)))
                headers = event_headers(id=example.id, type=INPUT_TYPE, source=source, app=app)
                record = Outgoing(example.id.encode(), encode(example.input), headers)
                acks.append(await producer.send(INPUTS.name, record))
            for ack in acks:
                await ack
            count += len(acks) // 2
            if due and not acks:
                return count
            if rate > 0:
                await asyncio.sleep(_STEP)
    finally:
        await producer.stop()
