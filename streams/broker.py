"""The seam to Kafka: what a role may ask of a broker. `MemoryBroker` and `KafkaBroker` keep this contract alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from streams.topics import Topic

Headers = Sequence[tuple[str, bytes]]
Start = Literal["earliest", "latest"]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Message(Protocol):
    """A record as it was read. aiokafka's own record satisfies this, so nothing is copied in the hot path.

    `timestamp` is in milliseconds since the epoch. `value` is None for a tombstone.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


class Outgoing(NamedTuple):
    """A record to be written."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Record = tuple[bytes | None, bytes | None, Headers]
"""The same as a bare tuple, for the hot path: key, value, headers."""


Batch = tuple[str, int | None, Sequence[Record]]
"""Records for one topic, and for one partition when it is named."""


class Consumer(Protocol):
    """Reads the partitions of its topics: shared within a group, or every partition when there is no group.

    Call `start` first and `stop` last; `stop` leaves the group and commits nothing. `getmany` waits at most `timeout`
    seconds and returns what there is, in order per partition. Positions move by reading; what a restart reads again
    is decided by `commit` alone, whose offsets are *the next to read*. `commit` on a partition that was taken away
    raises nothing and does nothing. Network trouble raises `TransientError`.
    """

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def getmany(self, timeout: float, max_records: int) -> Mapping[TopicPartition, Sequence[Message]]: ...
    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...
    def assignment(self) -> frozenset[TopicPartition]: ...
    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        """The offset after the last record of each assigned partition."""
        ...

    async def committed(self, partition: TopicPartition) -> int | None: ...
    def pause(self, partitions: Iterable[TopicPartition]) -> None: ...
    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...
    def on_revoked(self, callback: Callable[[frozenset[TopicPartition]], Awaitable[None]]) -> None:
        """Calls `callback` before partitions are given up, so that what is under way can be drained and committed."""
        ...


class Producer(Protocol):
    """Writes records. `send` and `send_batch` return when the record is queued; their future resolves when the
    broker has it (acks=all), with its offset, or raises `TransientError`.

    Without `partition`, the key's murmur2 hash chooses it, as Kafka's own clients do; without a key, any.
    """

    async def start(self) -> None: ...
    async def stop(self) -> None:
        """Writes out what is queued, then leaves."""
        ...

    async def send(self, topic: str, record: Outgoing, partition: int | None = None) -> Awaitable[int]: ...
    async def send_batch(self, topic: str, partition: int, records: Sequence[Record]) -> Awaitable[int]:
        """One record batch, in order, to one partition. Splits by itself when a batch is full."""
        ...

    async def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...


class TransactionalProducer(Protocol):
    """Writes records and offsets together, or not at all. `start` fences off whoever had the same id before: its
    transactions fail from then on, with `TransientError`.
    """

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def transact(self, group: str, offsets: Mapping[TopicPartition, int], batches: Sequence[Batch]) -> None:
        """One transaction. When it raises `TransientError`, readers of committed records see nothing of it."""
        ...


class Broker(Protocol):
    """Gives out consumers and producers of one cluster. Roles get one of these and never know which."""

    async def ensure_topics(self, topics: Iterable[Topic]) -> None:
        """Creates the topics that are absent; leaves the others as they are."""
        ...

    def consumer(
        self,
        topics: Sequence[Topic],
        *,
        group: str | None,
        start: Start = "earliest",
        instance: str | None = None,
    ) -> Consumer:
        """`instance` makes membership static: a restart under the same name takes its partitions back at once."""
        ...

    def producer(self) -> Producer: ...
    def transactional(self, transactional_id: str) -> TransactionalProducer: ...
    async def close(self) -> None: ...
