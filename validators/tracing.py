"""A message's trace goes on: its `traceparent` in, a `process` span around the work and the headers to send on out.

Whoever began the trace tossed the coin; a message without the header gets no span, which costs nothing. A single
message may be the parent of its processing (OpenTelemetry messaging conventions 1.44), so the call to an oracle hangs
below the record that caused it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from streams.broker import Message
from streams.cloudevents import header

TRACEPARENT = "traceparent"

_propagator = TraceContextTextMapPropagator()


@contextmanager
def processing(message: Message) -> Iterator[list[tuple[str, bytes]]]:
    """Inside it the span is current; what it yields are the headers that carry the trace on."""
    carried = header(message.headers, TRACEPARENT)
    if carried is None:
        yield []
        return
    context = _propagator.extract({TRACEPARENT: carried.decode("ascii", "replace")})
    with trace.get_tracer("loopai.validators").start_as_current_span(
        f"process {message.topic}",
        context=context,
        kind=SpanKind.CONSUMER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": message.topic,
            "messaging.destination.partition.id": str(message.partition),
            "messaging.kafka.offset": message.offset,
        },
    ):
        onwards: dict[str, str] = {}
        _propagator.inject(onwards)
        yield [(name, value.encode()) for name, value in onwards.items()]
