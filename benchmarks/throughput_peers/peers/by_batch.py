"""Plain aiokafka in batches: its documents' manual batches and manual commit, put together.

A round is read, answered, written as one batch a partition, waited for and committed.
"""

import asyncio

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from place import BROKERS, GROUP, INPUTS, RESULTS
from rule import run


async def main() -> None:
    consumer = AIOKafkaConsumer(
        INPUTS, bootstrap_servers=BROKERS, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False
    )
    producer = AIOKafkaProducer(bootstrap_servers=BROKERS, acks="all", max_batch_size=1 << 20)
    async with consumer, producer:
        while True:
            found = await consumer.getmany(timeout_ms=100, max_records=10_000)
            written = []
            for partition, messages in found.items():
                batch = producer.create_batch()
                for message in messages:
                    value = orjson.dumps({"label": run(orjson.loads(message.value))})
                    if batch.append(key=message.key, value=value, timestamp=None) is None:
                        batch.close()
                        written.append(await producer.send_batch(batch, RESULTS, partition=partition.partition))
                        batch = producer.create_batch()
                        batch.append(key=message.key, value=value, timestamp=None)
                batch.close()
                written.append(await producer.send_batch(batch, RESULTS, partition=partition.partition))
            if written:
                await asyncio.gather(*written)
                await consumer.commit()


uvloop.run(main())
