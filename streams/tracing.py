"""One trace through Kafka: a `traceparent` in, a span around the work and the headers that carry it on out.

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
SAMPLED_FLAGS = frozenset(bytes([c]) for c in b"13579bdf")
"""The last digit of a traceparent whose sender tossed a yes: the lowest bit of its flags."""

_propagator = TraceContextTextMapPropagator()


@contextmanager
def sending(topic: str) -> Iterator[list[tuple[str, bytes]]]:
    """Around the sending of what begins here. Yields the headers to send along; none when the coin fell on no."""
    with trace.get_tracer("loopai.streams").start_as_current_span(
        f"send {topic}",
        kind=SpanKind.PRODUCER,
        attributes={
            "messaging.system": "kafka",
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": topic,
        },
    ) as span:
        yield _onwards() if span.get_span_context().trace_flags.sampled else []


@contextmanager
def processing(message: Message) -> Iterator[list[tuple[str, bytes]]]:
    """Inside it the span is current; what it yields are the headers that carry the trace on."""
    carried = header(message.headers, TRACEPARENT)
    if carried is None:
        yield []
        return
    context = _propagator.extract({TRACEPARENT: carried.decode("ascii", "replace")})
    with trace.get_tracer("loopai.streams").start_as_current_span(
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
        yield _onwards()


def _onwards() -> list[tuple[str, bytes]]:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return [(name, value.encode()) for name, value in carrier.items()]
