"""The worker loop: what it retries, what it sets aside, and that it never commits past what is unfinished."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from loopai.errors import DeadLetterLimitError, RecordError, TransientError
from streams.broker import Message, Outgoing, TopicPartition
from streams.cloudevents import header
from streams.dead_letters import MESSAGE, OFFSET, REASON, revived
from streams.memory import MemoryBroker
from streams.topics import DEAD_LETTERS, Topic
from streams.worker import Output, Worker, WorkerOptions

IN, OUT = Topic("in", 2), Topic("out", 2)


class Each:
    """A handler made of a function of the value."""

    def __init__(self, work: Callable[[bytes], Awaitable[bytes]]) -> None:
        self._work = work
        self.ticks = 0

    async def handle(self, message: Message) -> Sequence[Output]:
        return [Output(OUT, Outgoing(message.key, await self._work(message.value or b"")))]

    async def tick(self) -> Sequence[Output]:
        self.ticks += 1
        return []


async def write(broker: MemoryBroker, values: Sequence[bytes]) -> None:
    producer = broker.producer()
    for i, value in enumerate(values):
        await producer.send(IN.name, Outgoing(str(i).encode(), value))


async def run_until(worker: Worker, done: Callable[[], bool], seconds: float = 10.0) -> None:
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(seconds):
        while not done() and not task.done():
            await asyncio.sleep(0.01)
    worker.stop()
    await task


async def test_every_message_is_answered_and_committed() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"%d" % i for i in range(40)])

    async def double(value: bytes) -> bytes:
        return b"%d" % (2 * int(value))

    await run_until(Worker(broker, [IN], "g", Each(double)), lambda: len(broker.read(OUT.name)) == 40)
    assert sorted(int(m.value or b"") for m in broker.read(OUT.name)) == [2 * i for i in range(40)]
    again = broker.consumer([IN], group="g")
    await again.start()
    assert not await again.getmany(timeout=0.1, max_records=10)


async def test_a_bad_record_is_set_aside_and_its_neighbours_go_on() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"1", b"bad", b"3"])

    async def strict(value: bytes) -> bytes:
        if value == b"bad":
            raise RecordError("not a number", reason="json")
        return value

    worker = Worker(broker, [IN], "g", Each(strict))
    await run_until(worker, lambda: worker.handled == 3)
    assert {m.value for m in broker.read(OUT.name)} == {b"1", b"3"}
    (letter,) = broker.read(DEAD_LETTERS.name)
    assert letter.value == b"bad"
    assert header(letter.headers, REASON) == b"json"
    assert header(letter.headers, MESSAGE) == b"not a number"
    assert header(letter.headers, OFFSET) is not None
    topic, record = revived(letter)
    assert (topic, record.value, list(record.headers)) == (IN.name, b"bad", [])


async def test_trouble_outside_is_tried_again_until_it_is_over() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"1"])
    tries = 0

    async def flaky(value: bytes) -> bytes:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise TransientError("not now")
        return value

    worker = Worker(broker, [IN], "g", Each(flaky), WorkerOptions(first_pause=0.01))
    await run_until(worker, lambda: worker.handled == 1)
    assert tries == 4
    assert worker.retried == 3
    assert not broker.read(DEAD_LETTERS.name)


async def test_nothing_is_committed_past_an_unfinished_message() -> None:
    broker = MemoryBroker(partitions=1)
    await broker.ensure_topics([Topic("in", 1), OUT])
    await write(broker, [b"%d" % i for i in range(5)])
    gate = asyncio.Event()

    async def second_waits(value: bytes) -> bytes:
        if value == b"1":
            await gate.wait()
        return value

    worker = Worker(broker, [IN], "g", Each(second_waits), WorkerOptions(parallel=8, commit_seconds=0.02))
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(5):
        while len(broker.read(OUT.name)) < 4:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert broker._groups["g"].offsets == {TopicPartition("in", 0): 1}
    gate.set()
    await asyncio.sleep(0.1)
    worker.stop()
    await task
    assert broker._groups["g"].offsets == {TopicPartition("in", 0): 5}


async def test_too_many_bad_records_in_a_row_stop_the_worker() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"bad"] * 10)

    async def refuse(value: bytes) -> bytes:
        raise RecordError("no", reason="json")

    worker = Worker(broker, [IN], "g", Each(refuse), WorkerOptions(dead_letter_run=5))
    with pytest.raises(DeadLetterLimitError, match="6 records in a row"):
        await asyncio.wait_for(worker.run(), 5)


async def test_a_bug_ends_the_worker() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"1"])

    async def broken(value: bytes) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(Worker(broker, [IN], "g", Each(broken)).run(), 5)


async def test_stopping_finishes_what_is_under_way() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])
    await write(broker, [b"1", b"2", b"3"])

    async def slow(value: bytes) -> bytes:
        await asyncio.sleep(0.2)
        return value

    worker = Worker(broker, [IN], "g", Each(slow), WorkerOptions(parallel=3))
    task = asyncio.create_task(worker.run())
    await asyncio.sleep(0.1)
    worker.stop()
    await task
    assert len(broker.read(OUT.name)) == 3
    assert sum(broker._groups["g"].offsets.values()) == 3


async def test_the_handler_is_ticked() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([IN, OUT])

    async def same(value: bytes) -> bytes:
        return value

    handler = Each(same)
    worker = Worker(broker, [IN], "g", handler, WorkerOptions(tick_seconds=0.05, commit_seconds=0.02))
    await run_until(worker, lambda: handler.ticks >= 3)
    assert handler.ticks >= 4
