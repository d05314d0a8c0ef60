"""Plain aiokafka, a send a record: the loop of its first page, with `send`, which batches in the background.

Offsets are committed by the client every five seconds, its default.
"""

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from place import BROKERS, GROUP, INPUTS, RESULTS
from rule import run


async def main() -> None:
    consumer = AIOKafkaConsumer(INPUTS, bootstrap_servers=BROKERS, group_id=GROUP, auto_offset_reset="earliest")
    producer = AIOKafkaProducer(bootstrap_servers=BROKERS)
    async with consumer, producer:
        async for message in consumer:
            label = run(orjson.loads(message.value))
            await producer.send(RESULTS, orjson.dumps({"label": label}), key=message.key)


uvloop.run(main())
