"""The limit of the raw client: what is read is written, a batch a partition, with no work between.

Nothing is decoded, nothing waits: acknowledgements are followed by a bound on what is under way, offsets are committed
beside the path.
"""

import asyncio

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from place import BROKERS, GROUP, INPUTS, RESULTS


async def main() -> None:
    consumer = AIOKafkaConsumer(
        INPUTS,
        bootstrap_servers=BROKERS,
        group_id=GROUP,
        auto_offset_reset="earliest",
        auto_commit_interval_ms=200,
        max_partition_fetch_bytes=2 << 20,
    )
    producer = AIOKafkaProducer(bootstrap_servers=BROKERS, acks="all", enable_idempotence=True, max_batch_size=1 << 20)
    flight: set[asyncio.Future] = set()
    async with consumer, producer:
        while True:
            found = await consumer.getmany(timeout_ms=100, max_records=2_000)
            for partition, messages in found.items():
                batch = producer.create_batch()
                for message in messages:
                    batch.append(key=message.key, value=message.value, timestamp=None)
                batch.close()
                future = await producer.send_batch(batch, RESULTS, partition=partition.partition)
                flight.add(future)
                future.add_done_callback(flight.discard)
            while len(flight) > 24:
                await asyncio.wait(flight, return_when=asyncio.FIRST_COMPLETED)


uvloop.run(main())
