"""Delivery: what is committed when, and that a transaction writes everything or nothing."""

from __future__ import annotations

import pytest

from executors.delivery import AtLeastOnce, ExactlyOnce, Slice
from loopai.errors import TransientError
from streams.broker import Outgoing, TopicPartition
from streams.memory import MemoryBroker
from streams.topics import Topic

IN, OUT = Topic("in", 1), Topic("out", 1)
TP = TopicPartition("in", 0)


async def stream(count: int) -> MemoryBroker:
    broker = MemoryBroker(partitions=1)
    await broker.ensure_topics([IN, OUT])
    producer = broker.producer()
    for i in range(count):
        await producer.send("in", Outgoing(None, b"%d" % i))
    return broker


async def test_a_commit_never_passes_what_is_not_with_the_broker() -> None:
    broker = await stream(30)
    consumer = broker.consumer([IN], group="g")
    await consumer.start()
    delivery = AtLeastOnce(consumer, broker.producer(), {"out": 1}, lambda error: None)
    pieces = [Slice(i, i + 10, 10) for i in (0, 10, 20)]
    for piece in pieces:
        delivery.begin(TP, piece)
    pieces[1].left = 1
    await delivery.commit()
    assert await consumer.committed(TP) == 10
    assert not delivery.idle()
    pieces[1].left = 0
    await delivery.commit()
    assert await consumer.committed(TP) == 30
    assert delivery.idle()


async def test_exactly_once_writes_answers_and_offset_together_and_only_whole_slices() -> None:
    broker = await stream(20)
    consumer = broker.consumer([IN], group="g")
    await consumer.start()
    delivery = ExactlyOnce(broker, consumer, "g", {"out": 1}, most=100)
    first, second = Slice(0, 10, 10), Slice(10, 20, 10)
    for piece in (first, second):
        piece.left = 1
        delivery.begin(TP, piece)
        await delivery.publish(piece, "out", 0, [(None, b"%d" % piece.first_offset, [])])
    await delivery.commit()
    assert not broker.read("out")
    second.left = 0
    await delivery.commit()
    assert not broker.read("out")  # the first one is not whole
    first.left = 0
    await delivery.commit()
    assert [m.value for m in broker.read("out")] == [b"0", b"10"]
    assert await consumer.committed(TP) == 20
    assert delivery.waiting == 0


async def test_who_lost_a_partition_cannot_write_to_it_any_more() -> None:
    broker = await stream(20)
    consumer = broker.consumer([IN], group="g")
    await consumer.start()
    zombie = ExactlyOnce(broker, consumer, "g", {"out": 1}, most=100)
    heir = ExactlyOnce(broker, consumer, "g", {"out": 1}, most=100)
    for delivery, begin in ((zombie, 0), (heir, 0)):
        piece = Slice(begin, begin + 5, 5)
        delivery.begin(TP, piece)
        await delivery.publish(piece, "out", 0, [(None, b"x", [])])
        await delivery.commit() if delivery is heir else await delivery._writer(TP, 0)
    with pytest.raises(TransientError, match="taken over"):
        await zombie.commit()
    assert len(broker.read("out")) == 1


async def test_records_that_the_owner_before_committed_are_not_answered_again() -> None:
    broker = await stream(20)
    consumer = broker.consumer([IN], group="g")
    await consumer.start()
    await consumer.commit({TP: 10})
    late = ExactlyOnce(broker, consumer, "g", {"out": 1}, most=100)
    late.begin(TP, Slice(5, 15, 10))
    with pytest.raises(TransientError, match="committed to 10"):
        await late.commit()
    assert not broker.read("out")
