"""A broker in memory: topics, groups and rebalances without a network, for tests and for looking at one role alone.

It keeps the contract of `streams.broker` and passes the same suite as real Kafka; it keeps nothing over a restart.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from loopai.errors import TransientError
from streams.broker import Batch, Headers, Outgoing, Record, Start, TopicPartition
from streams.topics import Topic


class MemoryMessage(NamedTuple):
    """A stored record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


Revoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]


@dataclass
class _Group:
    members: list[MemoryConsumer] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)


class MemoryBroker:
    """Partitions are lists. Topics spring up when they are first written or read, with `partitions` partitions."""

    def __init__(self, partitions: int = 4) -> None:
        self._default = partitions
        self._logs: dict[TopicPartition, list[MemoryMessage]] = {}
        self._counts: dict[str, int] = {}
        self._groups: dict[str, _Group] = defaultdict(_Group)
        self._arrived = asyncio.Event()
        self._next = 0
        self._epochs: dict[str, int] = defaultdict(int)

    async def ensure_topics(self, topics: Iterable[Topic]) -> None:
        for topic in topics:
            self._count(topic.name, topic.partitions)

    def consumer(
        self, topics: Sequence[Topic], *, group: str | None, start: Start = "earliest", instance: str | None = None
    ) -> MemoryConsumer:
        return MemoryConsumer(self, [t.name for t in topics], group, start)

    def producer(self) -> MemoryProducer:
        return MemoryProducer(self)

    def transactional(self, transactional_id: str) -> MemoryTransactions:
        return MemoryTransactions(self, transactional_id)

    async def close(self) -> None:
        self._logs.clear()

    def read(self, topic: str) -> list[MemoryMessage]:
        """Everything in a topic, by partition and offset: what a test looks at."""
        return [m for p in range(self._count(topic)) for m in self._logs[TopicPartition(topic, p)]]

    def _count(self, topic: str, wanted: int | None = None) -> int:
        if topic not in self._counts:
            self._counts[topic] = wanted or self._default
            for p in range(self._counts[topic]):
                self._logs[TopicPartition(topic, p)] = []
        return self._counts[topic]

    def _append(self, topic: str, partition: int | None, record: Outgoing) -> int:
        count = self._count(topic)
        if partition is None:
            if record.key is None:
                self._next += 1
                partition = self._next % count
            else:
                partition = murmur2(record.key) % count
        log = self._logs[TopicPartition(topic, partition)]
        now = int(time.time() * 1000)
        log.append(MemoryMessage(topic, partition, len(log), now, record.key, record.value, tuple(record.headers)))
        self._arrived.set()
        return len(log) - 1

    async def _rebalance(self, group: _Group) -> None:
        """Round robin over members in order of joining; what a member loses is revoked before it moves."""
        wanted: dict[MemoryConsumer, set[TopicPartition]] = {m: set() for m in group.members}
        by_topic: dict[str, list[MemoryConsumer]] = defaultdict(list)
        for member in group.members:
            for topic in member.topics:
                by_topic[topic].append(member)
        for topic, members in by_topic.items():
            for p in range(self._count(topic)):
                wanted[members[p % len(members)]].add(TopicPartition(topic, p))
        for member, partitions in wanted.items():
            await member._revoke(member.assignment() - partitions)
        for member, partitions in wanted.items():
            member._assign(partitions, group.offsets)
        self._arrived.set()


class MemoryConsumer:
    """One reader. See `streams.broker.Consumer`."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group: str | None, start: Start) -> None:
        self.topics = topics
        self._broker = broker
        self._group = broker._groups[group] if group is not None else None
        self._from_end = start == "latest"
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._revoked: Revoked | None = None

    async def start(self) -> None:
        if self._group is None:
            everything = {TopicPartition(t, p) for t in self.topics for p in range(self._broker._count(t))}
            self._assign(everything, {})
        else:
            self._group.members.append(self)
            await self._broker._rebalance(self._group)

    async def stop(self) -> None:
        if self._group is not None and self in self._group.members:
            self._group.members.remove(self)
            await self._revoke(self.assignment())
            await self._broker._rebalance(self._group)
        self._positions.clear()

    async def getmany(self, timeout: float, max_records: int) -> Mapping[TopicPartition, Sequence[MemoryMessage]]:
        end = time.monotonic() + timeout
        while True:
            found = self._take(max_records)
            left = end - time.monotonic()
            if found or left <= 0:
                await asyncio.sleep(0)
                return found
            self._broker._arrived.clear()
            try:
                await asyncio.wait_for(self._broker._arrived.wait(), min(left, 0.05))
            except TimeoutError:
                continue

    def _take(self, max_records: int) -> dict[TopicPartition, list[MemoryMessage]]:
        found: dict[TopicPartition, list[MemoryMessage]] = {}
        for tp, position in self._positions.items():
            if tp in self._paused or max_records <= 0:
                continue
            messages = self._broker._logs[tp][position : position + max_records]
            if messages:
                found[tp] = messages
                self._positions[tp] = position + len(messages)
                max_records -= len(messages)
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self._group is not None:
            self._group.offsets.update({tp: o for tp, o in offsets.items() if tp in self._positions})
        await asyncio.sleep(0)

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._positions)

    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        return {tp: len(self._broker._logs[tp]) for tp in self._positions}

    async def committed(self, partition: TopicPartition) -> int | None:
        return self._group.offsets.get(partition) if self._group else None

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)
        self._broker._arrived.set()

    def on_revoked(self, callback: Revoked) -> None:
        self._revoked = callback

    def _assign(self, partitions: set[TopicPartition], committed: Mapping[TopicPartition, int]) -> None:
        for tp in partitions - self._positions.keys():
            default = len(self._broker._logs[tp]) if self._from_end else 0
            self._positions[tp] = committed.get(tp, default)

    async def _revoke(self, partitions: frozenset[TopicPartition]) -> None:
        if partitions and self._revoked is not None:
            await self._revoked(partitions)
        for tp in partitions:
            self._positions.pop(tp, None)
            self._paused.discard(tp)


class MemoryProducer:
    """One writer: every record is stored at once. See `streams.broker.Producer`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, topic: str, record: Outgoing, partition: int | None = None) -> Awaitable[int]:
        return _done(self._broker._append(topic, partition, record))

    async def send_batch(self, topic: str, partition: int, records: Sequence[Record]) -> Awaitable[int]:
        last = -1
        for record in records:
            last = self._broker._append(topic, partition, Outgoing(*record))
        return _done(last)

    async def partitions(self, topic: str) -> int:
        return self._broker._count(topic)


class MemoryTransactions:
    """Records and offsets at one stroke. See `streams.broker.TransactionalProducer`."""

    def __init__(self, broker: MemoryBroker, transactional_id: str) -> None:
        self._broker = broker
        self._id = transactional_id
        self._epoch = 0

    async def start(self) -> None:
        self._broker._epochs[self._id] += 1
        self._epoch = self._broker._epochs[self._id]

    async def stop(self) -> None:
        pass

    async def transact(self, group: str, offsets: Mapping[TopicPartition, int], batches: Sequence[Batch]) -> None:
        await asyncio.sleep(0)
        if self._epoch != self._broker._epochs[self._id]:
            raise TransientError(f"The transactional id {self._id} was taken over.")
        for topic, partition, records in batches:
            for record in records:
                self._broker._append(topic, partition, Outgoing(*record))
        self._broker._groups[group].offsets.update(offsets)


def _done(offset: int) -> asyncio.Future[int]:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(offset)
    return future


def murmur2(key: bytes) -> int:
    """Kafka's hash of a key, made positive: the same partition that any Kafka client would choose."""
    length, mask = len(key), 0xFFFFFFFF
    m = 0x5BD1E995
    h = 0x9747B28C ^ length
    whole = length & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i : i + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if length > whole:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return (h ^ h >> 15) & 0x7FFFFFFF
