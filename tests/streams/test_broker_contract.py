"""The broker's contract, over every form: in memory, the local broker, and Apache Kafka."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from confluent_kafka import Producer

from loopai.errors import TransientError
from loopai.settings import Kafka
from streams.broker import Broker, Consumer, Message, Outgoing, TopicPartition
from streams.kafka import KafkaBroker
from streams.memory import MemoryBroker, murmur2
from streams.topics import Topic


@pytest.fixture(params=["memory", "local", "kafka"])
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """Where the broker is; None is in memory. Asked for outside the loop, since a fixture behind it has its own."""
    named = {"local": "local_broker", "kafka": "kafka_bootstrap"}.get(request.param)
    return None if named is None else str(request.getfixturevalue(named))


@pytest.fixture
async def broker(bootstrap: str | None) -> AsyncIterator[Broker]:
    made: Broker = (
        MemoryBroker(partitions=4)
        if bootstrap is None
        else KafkaBroker(Kafka(bootstrap_servers=bootstrap, partitions=4))
    )
    yield made
    await made.close()


@pytest.fixture
async def topic(broker: Broker) -> Topic:
    made = Topic(f"contract-{uuid.uuid4().hex[:12]}", partitions=4)
    await broker.ensure_topics([made])
    return made


async def write(broker: Broker, topic: Topic, records: Sequence[Outgoing]) -> list[int]:
    producer = broker.producer()
    await producer.start()
    try:
        acks = [await producer.send(topic.name, r) for r in records]
        return [await ack for ack in acks]
    finally:
        await producer.stop()


async def read(consumer: Consumer, count: int, seconds: float = 20.0) -> list[Message]:
    found: list[Message] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            for messages in (await consumer.getmany(timeout=0.5, max_records=1000)).values():
                found += messages
    return found


def numbered(count: int) -> list[Outgoing]:
    return [Outgoing(f"k{i % 7}".encode(), str(i).encode(), [("n", str(i).encode())]) for i in range(count)]


async def test_what_is_written_is_read_with_key_value_and_headers(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(50))
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    messages = await read(consumer, 50)
    await consumer.stop()
    assert sorted(int(m.value or b"") for m in messages) == list(range(50))
    assert all(dict(m.headers)["n"] == m.value for m in messages)
    assert all(m.timestamp > 1_600_000_000_000 for m in messages)


async def test_a_key_keeps_its_partition_and_its_order(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(70))
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    by_key: dict[bytes | None, list[Message]] = {}
    for message in await read(consumer, 70):
        by_key.setdefault(message.key, []).append(message)
    await consumer.stop()
    for key, messages in by_key.items():
        assert {m.partition for m in messages} == {murmur2(key or b"") % 4}
        numbers = [int(m.value or b"") for m in messages]
        assert numbers == sorted(numbers)


async def test_a_group_reads_again_what_it_did_not_commit(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(20))
    first = broker.consumer([topic], group=f"g-{topic.name}")
    await first.start()
    messages = await read(first, 20)
    half = {TopicPartition(topic.name, m.partition): m.offset + 1 for m in messages if m.partition == 0}
    await first.commit(half)
    await first.stop()
    second = broker.consumer([topic], group=f"g-{topic.name}")
    await second.start()
    again = await read(second, len([m for m in messages if m.partition != 0]))
    await second.stop()
    assert {m.partition for m in again} == {m.partition for m in messages} - {0}


async def test_two_members_share_the_partitions(broker: Broker, topic: Topic) -> None:
    members = [broker.consumer([topic], group=f"g-{topic.name}") for _ in range(2)]
    for member in members:
        await member.start()

    async def settled() -> None:
        while {len(m.assignment()) for m in members} != {2}:
            await asyncio.gather(*(m.getmany(timeout=0.1, max_records=1) for m in members))

    await asyncio.wait_for(settled(), 30)
    first, second = (m.assignment() for m in members)
    assert not first & second
    assert len(first | second) == 4
    for member in members:
        await member.stop()


async def test_what_is_revoked_is_told_before_it_moves(broker: Broker, topic: Topic) -> None:
    told: list[frozenset[TopicPartition]] = []

    async def revoked(partitions: frozenset[TopicPartition]) -> None:
        told.append(partitions)

    first = broker.consumer([topic], group=f"g-{topic.name}")
    first.on_revoked(revoked)
    await first.start()
    await asyncio.wait_for(_until(first, 4), 20)
    second = broker.consumer([topic], group=f"g-{topic.name}")
    await second.start()
    await asyncio.wait_for(_until(second, 2, first), 30)
    await second.stop()
    await first.stop()
    assert told
    assert all(tp.topic == topic.name for tp in told[0])


async def _until_committed(consumer: Consumer, partition: TopicPartition, offset: int) -> None:
    """Kafka shows a transaction's offsets a moment after it ended."""
    async with asyncio.timeout(10):
        while await consumer.committed(partition) != offset:
            await asyncio.sleep(0.05)


async def _until(consumer: Consumer, partitions: int, other: Consumer | None = None) -> None:
    while len(consumer.assignment()) != partitions:
        await asyncio.gather(*(c.getmany(timeout=0.1, max_records=1) for c in (consumer, other) if c is not None))


async def test_a_batch_lands_in_one_partition_in_order(broker: Broker, topic: Topic) -> None:
    producer = broker.producer()
    await producer.start()
    last = await (await producer.send_batch(topic.name, 2, numbered(1000)))
    assert await producer.partitions(topic.name) == 4
    await producer.stop()
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    messages = await read(consumer, 1000)
    await consumer.stop()
    assert {m.partition for m in messages} == {2}
    assert [int(m.value or b"") for m in messages] == list(range(1000))
    assert last >= 0


async def test_a_batch_larger_than_the_wire_allows_is_split_and_stays_in_order(broker: Broker, topic: Topic) -> None:
    producer = broker.producer()
    await producer.start()
    big = [Outgoing(None, b"%d " % i + b"x" * 300_000) for i in range(12)]
    await (await producer.send_batch(topic.name, 1, big))
    await producer.stop()
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    messages = await read(consumer, 12)
    await consumer.stop()
    assert [int((m.value or b"").split()[0]) for m in messages] == list(range(12))


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_what_a_foreign_producer_compressed_is_read(bootstrap: str | None, codec: str) -> None:
    if bootstrap is None:
        return  # nothing crosses a wire in memory
    topic = Topic(f"packed-{codec}-{uuid.uuid4().hex[:8]}", partitions=1)
    broker = KafkaBroker(Kafka(bootstrap_servers=bootstrap))
    await broker.ensure_topics([topic])
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 50})
    for i in range(200):
        producer.produce(topic.name, b"value %d, again and again and again" % i)
    await asyncio.to_thread(producer.flush, 20)
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    messages = await read(consumer, 200)
    await consumer.stop()
    assert [m.value for m in messages] == [b"value %d, again and again and again" % i for i in range(200)]


async def test_a_reader_from_the_end_sees_only_what_comes_later(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(5))
    consumer = broker.consumer([topic], group=None, start="latest")
    await consumer.start()
    assert not await consumer.getmany(timeout=0.3, max_records=10)
    await write(broker, topic, [Outgoing(b"late", b"99")])
    messages = await read(consumer, 1)
    await consumer.stop()
    assert [m.value for m in messages] == [b"99"]


async def test_a_tombstone_is_read_as_no_value(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, [Outgoing(b"gone", None)])
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    (message,) = await read(consumer, 1)
    await consumer.stop()
    assert message.value is None
    assert message.key == b"gone"


async def test_a_paused_partition_waits(broker: Broker, topic: Topic) -> None:
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    consumer.pause([TopicPartition(topic.name, p) for p in range(4)])
    await write(broker, topic, numbered(3))
    assert not await consumer.getmany(timeout=0.3, max_records=10)
    consumer.resume([TopicPartition(topic.name, p) for p in range(4)])
    assert len(await read(consumer, 3)) == 3
    await consumer.stop()


async def test_topics_that_are_there_are_left_as_they_are(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(3))
    await broker.ensure_topics([topic])
    consumer = broker.consumer([topic], group=None)
    await consumer.start()
    ends = await consumer.end_offsets()
    await consumer.stop()
    assert sum(ends.values()) == 3


async def test_a_transaction_writes_records_and_offsets_together(broker: Broker, topic: Topic) -> None:
    await write(broker, topic, numbered(8))
    reader = broker.consumer([topic], group=f"g-{topic.name}")
    await reader.start()
    await read(reader, 8)
    partition = sorted(reader.assignment())[0]
    out = Topic(f"out-{topic.name}", partitions=2)
    await broker.ensure_topics([out])
    writer = broker.transactional(f"tx-{topic.name}")
    await writer.start()
    await writer.transact(
        f"g-{topic.name}", {partition: 1}, [(out.name, 1, [(b"k", b"v%d" % i, []) for i in range(50)])]
    )
    await writer.transact(f"g-{topic.name}", {partition: 2}, [(out.name, None, [(b"k", b"last", [])])])
    await _until_committed(reader, partition, 2)
    await reader.stop()
    await writer.stop()
    consumer = broker.consumer([out], group=None)
    await consumer.start()
    messages = await read(consumer, 51)
    await consumer.stop()
    assert [m.value for m in messages if m.partition == 1][:50] == [b"v%d" % i for i in range(50)]


async def test_a_second_writer_of_the_same_id_fences_the_first(broker: Broker, topic: Topic) -> None:
    reader = broker.consumer([topic], group=f"g-{topic.name}")
    await reader.start()
    await asyncio.wait_for(_until(reader, 4), 20)
    partition = sorted(reader.assignment())[0]
    first, second = (broker.transactional(f"tx-{topic.name}") for _ in range(2))
    await first.start()
    await first.transact(f"g-{topic.name}", {partition: 1}, [(topic.name, 0, [(None, b"first", [])])])
    await second.start()
    with pytest.raises(TransientError):
        await first.transact(f"g-{topic.name}", {partition: 2}, [(topic.name, 0, [(None, b"zombie", [])])])
    await second.transact(f"g-{topic.name}", {partition: 3}, [(topic.name, 0, [(None, b"second", [])])])
    await _until_committed(reader, partition, 3)
    values = [m.value for m in await read(reader, 2)]
    assert values == [b"first", b"second"]
    for part in (first, second, reader):
        await part.stop()
