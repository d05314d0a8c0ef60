"""What was answered in, acknowledged offsets out: at least once by default, or exactly once by transactions.

Both follow the slices of each partition in order and never commit past one that is unfinished; neither is awaited in
the path of a record.

At least once publishes as soon as there is something, and a timer commits the end of what is acknowledged. Exactly
once keeps what a slice gave until the slice is whole, and a timer writes whole slices and the offset behind them in
one transaction a partition. Its transactional id belongs to the partition, so that whoever gets the partition fences
off whoever had it; the offset is looked up once more after that, since the other may have committed meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from loopai.errors import TransientError
from streams.broker import Batch, Broker, Consumer, Outgoing, Producer, Record, TopicPartition, TransactionalProducer


class Slice:
    """The records of one partition in one round. `left` counts what is not yet published or acknowledged."""

    __slots__ = ("first_offset", "left", "next_offset", "outputs", "records")

    def __init__(self, first_offset: int, next_offset: int, records: int) -> None:
        self.first_offset = first_offset
        self.next_offset = next_offset
        self.records = records
        self.left = 0
        self.outputs: list[Batch] = []


class Delivery(Protocol):
    """How answers and offsets reach the broker. `publish` and `begin` belong to the hot loop, `commit` to its timer.

    `publish` is given the input's partition; without one the key chooses.
    """

    waiting: int
    """Records that are answered and held back."""
    commits: int

    def begin(self, partition: TopicPartition, piece: Slice) -> None: ...
    async def publish(self, piece: Slice, topic: str, partition: int | None, records: Sequence[Record]) -> None: ...
    async def commit(self) -> None: ...
    async def forget(self, partitions: frozenset[TopicPartition]) -> None: ...
    def idle(self) -> bool:
        """Whether nothing is under way."""
        ...

    async def close(self) -> None: ...


class _Flight:
    """The slices under way, in order for each partition. `counts` are the partitions of the topics written to."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self.slices: dict[TopicPartition, deque[Slice]] = defaultdict(deque)
        self.waiting = 0
        self.commits = 0

    def begin(self, partition: TopicPartition, piece: Slice) -> None:
        self.slices[partition].append(piece)

    def _target(self, topic: str, partition: int) -> int:
        """The output partition of an input partition: the same one, where the topic has as many."""
        return partition % self._counts[topic]

    def idle(self) -> bool:
        return not any(piece.left for slices in self.slices.values() for piece in slices)


class AtLeastOnce(_Flight):
    """Publish now, commit later."""

    def __init__(
        self,
        consumer: Consumer,
        producer: Producer,
        counts: Mapping[str, int],
        failed: Callable[[BaseException], None],
    ) -> None:
        super().__init__(counts)
        self._consumer = consumer
        self._producer = producer
        self._failed = failed

    async def publish(self, piece: Slice, topic: str, partition: int | None, records: Sequence[Record]) -> None:
        if partition is not None:
            target = self._target(topic, partition)
            self._follow(piece, await self._producer.send_batch(topic, target, records))
        else:
            for record in records:
                self._follow(piece, await self._producer.send(topic, Outgoing(*record)))

    def _follow(self, piece: Slice, acknowledged: Awaitable[int]) -> None:
        piece.left += 1

        def settle(done: asyncio.Future[int]) -> None:
            if done.cancelled():
                return
            error = done.exception()
            if error is None:
                piece.left -= 1
            else:
                self._failed(error)

        asyncio.ensure_future(acknowledged).add_done_callback(settle)

    async def commit(self) -> None:
        """Commits, for each partition, the end of the last slice before which everything is with the broker."""
        offsets: dict[TopicPartition, int] = {}
        for partition, slices in self.slices.items():
            while slices and slices[0].left == 0:
                offsets[partition] = slices.popleft().next_offset
        if offsets:
            await self._consumer.commit(offsets)
            self.commits += 1

    async def forget(self, partitions: frozenset[TopicPartition]) -> None:
        for partition in partitions:
            self.slices.pop(partition, None)

    async def close(self) -> None:
        """The producer is the caller's."""


class ExactlyOnce(_Flight):
    """Answers and offsets in one transaction for each partition."""

    def __init__(self, broker: Broker, consumer: Consumer, group: str, counts: Mapping[str, int], most: int) -> None:
        super().__init__(counts)
        self._broker = broker
        self._consumer = consumer
        self._group = group
        self._most = most
        self._writers: dict[TopicPartition, TransactionalProducer] = {}
        self._turn = asyncio.Lock()

    async def publish(self, piece: Slice, topic: str, partition: int | None, records: Sequence[Record]) -> None:
        target = None if partition is None else self._target(topic, partition)
        piece.outputs.append((topic, target, records))
        self.waiting += len(records)

    async def commit(self) -> None:
        """One transaction for each partition that has whole slices at its head; all partitions side by side."""
        async with self._turn:
            await asyncio.gather(*(self._write(partition) for partition in list(self.slices)))

    async def _write(self, partition: TopicPartition) -> None:
        slices = self.slices[partition]
        while slices and slices[0].left == 0:
            whole: list[Slice] = []
            records = 0
            for piece in slices:
                if piece.left or records + piece.records > self._most:
                    break
                whole.append(piece)
                records += piece.records
            whole = whole or [slices[0]]
            writer = await self._writer(partition, whole[0].first_offset)
            batches = [batch for piece in whole for batch in piece.outputs]
            await writer.transact(self._group, {partition: whole[-1].next_offset}, batches)
            self.commits += 1
            self.waiting -= sum(len(batch[2]) for batch in batches)
            for _ in whole:
                slices.popleft()

    async def _writer(self, partition: TopicPartition, first_offset: int) -> TransactionalProducer:
        writer = self._writers.get(partition)
        if writer is None:
            writer = self._broker.transactional(f"{self._group}-{partition.topic}-{partition.partition}")
            await writer.start()
            self._writers[partition] = writer
            committed = await self._consumer.committed(partition)
            if committed is not None and committed > first_offset:
                raise TransientError(f"{partition} was committed to {committed} by its owner before; it is read again.")
        return writer

    async def forget(self, partitions: frozenset[TopicPartition]) -> None:
        async with self._turn:
            for partition in partitions:
                for piece in self.slices.pop(partition, ()):
                    self.waiting -= sum(len(batch[2]) for batch in piece.outputs)
                writer = self._writers.pop(partition, None)
                if writer is not None:
                    await writer.stop()

    async def close(self) -> None:
        for writer in self._writers.values():
            await writer.stop()
        self._writers.clear()
