"""A record that cannot be processed, kept whole with its reason: what goes to `loopai.dead-letters` and comes back.

Headers follow Kafka Streams' own dead letter queue (KIP-1034), so that other tools read them; ours are beside them.
"""

from __future__ import annotations

from typing import Final

from loopai.errors import DeadLetterLimitError, RecordError
from streams.broker import Headers, Message, Outgoing
from streams.cloudevents import header

EXCEPTION: Final = "__streams.errors.exception"
MESSAGE: Final = "__streams.errors.message"
TOPIC: Final = "__streams.errors.topic"
PARTITION: Final = "__streams.errors.partition"
OFFSET: Final = "__streams.errors.offset"
REASON: Final = "loopai-reason"
STAGE: Final = "loopai-stage"

_OURS: Final = frozenset({EXCEPTION, MESSAGE, TOPIC, PARTITION, OFFSET, REASON, STAGE})


def dead_letter(message: Message, error: RecordError, *, stage: str) -> Outgoing:
    """The record as it came, with where it lay and why it was set aside."""
    headers = [
        *((k, v) for k, v in message.headers if k not in _OURS),
        (EXCEPTION, type(error).__name__.encode()),
        (MESSAGE, error.message[:1000].encode("utf-8", "replace")),
        (TOPIC, message.topic.encode()),
        (PARTITION, str(message.partition).encode()),
        (OFFSET, str(message.offset).encode()),
        (REASON, error.reason.encode()),
        (STAGE, stage.encode()),
    ]
    # A tombstone without a key cannot be written at all; an empty value says the same.
    value = b"" if message.value is None and message.key is None else message.value
    return Outgoing(message.key, value, headers)


def revived(message: Message) -> tuple[str, Outgoing]:
    """The topic it came from and the record as it was, without our headers: for a replay.

    Raises:
        RecordError: when the headers do not say where it came from.
    """
    origin = header(message.headers, TOPIC)
    if origin is None:
        raise RecordError("This dead letter does not say which topic it came from.", reason="no_origin")
    kept: Headers = [(k, v) for k, v in message.headers if k not in _OURS]
    return origin.decode("utf-8", "replace"), Outgoing(message.key, message.value, kept)


class DeadLetterRun:
    """Counts dead letters in a row. A queue that swallows everything hides an outage, so the worker stops instead."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._row = 0
        self.total = 0

    def bad(self, reason: str) -> None:
        """One more; raises `DeadLetterLimitError` past the limit."""
        self._row += 1
        self.total += 1
        if self._row > self._limit:
            raise DeadLetterLimitError(
                f"{self._row} records in a row were set aside, the last one for: {reason}.",
                next_step="Look at them with `loopai dlq list`, mend the cause, then `loopai dlq replay`.",
            )

    def good(self) -> None:
        """One that went through ends the run."""
        self._row = 0
