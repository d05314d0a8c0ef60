"""The loop of every role that is not the hot path: messages in, outputs acknowledged, then offsets committed.

At least once: a message is committed when its outputs are with the broker, never past one that is unfinished. A
`RecordError` sets the message aside and goes on; a `TransientError` is tried again, with growing pauses, for as long
as the worker runs; anything else is a bug and ends the loop. Stopping drains what is under way, commits and leaves.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from loopai.errors import RecordError, TransientError
from streams.broker import Broker, Message, Outgoing, TopicPartition
from streams.dead_letters import DeadLetterRun, dead_letter
from streams.topics import DEAD_LETTERS, Topic


class Output(NamedTuple):
    """Something to be written."""

    topic: Topic
    record: Outgoing
    partition: int | None = None


class Handler(Protocol):
    """What a role does with a message.

    `handle` may be called again for the same message (at least once); it returns what is to be written. `tick` is
    called about once a second, and once more while stopping; it must not block for long.
    """

    async def handle(self, message: Message) -> Sequence[Output]: ...
    async def tick(self) -> Sequence[Output]: ...


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`parallel` messages may be under way at once; 1 keeps the order of each partition."""

    parallel: int = 1
    instance: str = ""
    dead_letter_run: int = 1_000
    tick_seconds: float = 1.0
    commit_seconds: float = 0.2
    drain_seconds: float = 10.0
    first_pause: float = 0.1
    longest_pause: float = 10.0


class _Slot:
    """One message under way, or done."""

    __slots__ = ("done", "offset")

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.done = False


class Worker:
    """Runs one handler over the topics of one group. Call `run`; `stop` may be called from a signal handler."""

    def __init__(
        self,
        broker: Broker,
        topics: Sequence[Topic],
        group: str,
        handler: Handler,
        options: WorkerOptions | None = None,
    ) -> None:
        self._options = options or WorkerOptions()
        self._consumer = broker.consumer(topics, group=group, instance=self._options.instance)
        self._producer = broker.producer()
        self._handler = handler
        self._stage = group
        self._under_way: dict[TopicPartition, deque[_Slot]] = defaultdict(deque)
        self._free = asyncio.Semaphore(self._options.parallel)
        self._tasks: set[asyncio.Task[None]] = set()
        self._run = DeadLetterRun(self._options.dead_letter_run)
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._generation = 0
        self._ticked: list[Output] = []
        self.ready = asyncio.Event()
        self.handled = 0
        self.retried = 0

    @property
    def set_aside(self) -> int:
        """How many messages were dead-lettered."""
        return self._run.total

    def stop(self) -> None:
        """Asks the loop to drain and leave."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises `DeadLetterLimitError`, or the bug that ended a handler."""
        await self._producer.start()
        await self._consumer.start()
        self._consumer.on_revoked(self._give_up)
        timer = asyncio.create_task(self._beat())
        self.ready.set()
        try:
            while not self._stopping.is_set():
                await self._read()
        finally:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
            await self._leave()
        if self._failure is not None:
            raise self._failure

    async def _read(self) -> None:
        try:
            batch = await self._consumer.getmany(timeout=0.2, max_records=max(100, self._options.parallel))
        except TransientError:
            await asyncio.sleep(self._options.first_pause)
            return
        generation = self._generation
        for partition, messages in batch.items():
            for message in messages:
                await self._free.acquire()
                if self._stopping.is_set() or generation != self._generation:
                    # Stopping, or partitions moved while we waited: what was not begun is read again.
                    self._free.release()
                    return
                self._begin(partition, message)

    def _begin(self, partition: TopicPartition, message: Message) -> None:
        slot = _Slot(message.offset)
        self._under_way[partition].append(slot)
        task = asyncio.create_task(self._finish(message, slot))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._stopping.set()

    async def _finish(self, message: Message, slot: _Slot) -> None:
        pause = self._options.first_pause
        while True:
            try:
                await self._write(await self._handle(message))
                break
            except TransientError:
                self.retried += 1
                if self._stopping.is_set():
                    return  # not done: it is read again by whoever comes next
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause = min(pause * 2, self._options.longest_pause)
        slot.done = True
        self.handled += 1

    async def _handle(self, message: Message) -> Sequence[Output]:
        try:
            outputs = await self._handler.handle(message)
        except RecordError as error:
            self._run.bad(f"{error.reason}: {error.message}")
            return [Output(DEAD_LETTERS, dead_letter(message, error, stage=self._stage))]
        self._run.good()
        return outputs

    async def _write(self, outputs: Sequence[Output]) -> None:
        acks = [await self._producer.send(o.topic.name, o.record, o.partition) for o in outputs]
        for ack in acks:
            await ack

    async def _beat(self) -> None:
        """Commits what is done, and ticks the handler."""
        loop = asyncio.get_running_loop()
        next_tick = loop.time() + self._options.tick_seconds
        while True:
            await asyncio.sleep(self._options.commit_seconds)
            try:
                await self._commit()
                if loop.time() >= next_tick:
                    next_tick = loop.time() + self._options.tick_seconds
                    await self._tick()
            except TransientError:
                continue
            except Exception as error:
                self._failure = error
                self.stop()
                return

    async def _tick(self) -> None:
        """Writes what the handler says unasked; what could not be written is kept for the next time."""
        self._ticked += await self._handler.tick()
        await self._write(self._ticked)
        self._ticked.clear()

    async def _commit(self) -> None:
        """Commits, for each partition, the offset after the last message before which all are done."""
        offsets: dict[TopicPartition, int] = {}
        for partition, slots in self._under_way.items():
            while slots and slots[0].done:
                offsets[partition] = slots.popleft().offset + 1
        if offsets:
            await self._consumer.commit(offsets)

    async def _give_up(self, partitions: frozenset[TopicPartition]) -> None:
        """Partitions move to another member: finish what is under way, commit, and forget them."""
        self._generation += 1
        await self._drain()
        await self._commit()
        for partition in partitions:
            self._under_way.pop(partition, None)

    async def _drain(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=self._options.drain_seconds)

    async def _leave(self) -> None:
        await self._drain()
        for task in set(self._tasks):
            task.cancel()
        try:
            await self._tick()
            await self._commit()
        except TransientError:
            pass  # what was not committed is read again
        await self._consumer.stop()
        await self._producer.stop()
