"""FastStream, `faststream run faststream_app:app`, by BENCH_FORM: `usual`, `acknowledged` or `batch`.

usual: a function with the two decorators of its first page; offsets are acknowledged first, its default. acknowledged:
the same with `AckPolicy.ACK`, which its page on acknowledgements takes for at least once. batch: `batch=True` on both
sides. The producer's 16 kB would not hold a batch of answers: it raises, and the records are lost.
"""

import os

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage, KafkaResponse
from place import BROKERS, GROUP, INPUTS, RESULTS
from pydantic import BaseModel
from rule import run

broker = KafkaBroker(BROKERS, logger=None, max_batch_size=1 << 20)
app = FastStream(broker, logger=None)
FORM = os.environ["BENCH_FORM"]


class Message(BaseModel):
    text: str


class Answer(BaseModel):
    label: str


if FORM == "batch":
    publisher = broker.publisher(RESULTS, batch=True)

    @broker.subscriber(INPUTS, group_id=GROUP, auto_offset_reset="earliest", batch=True, max_records=2_000)
    async def handle_batch(bodies: list[dict], message: KafkaMessage) -> None:
        answers = [
            KafkaResponse({"label": run(body)}, key=raw.key)
            for body, raw in zip(bodies, message.raw_message, strict=True)
        ]
        await publisher.publish(*answers)

else:
    policy = AckPolicy.ACK if FORM == "acknowledged" else AckPolicy.ACK_FIRST

    @broker.subscriber(INPUTS, group_id=GROUP, auto_offset_reset="earliest", ack_policy=policy)
    @broker.publisher(RESULTS)
    async def handle(body: Message, message: KafkaMessage) -> KafkaResponse:
        return KafkaResponse(Answer(label=run({"text": body.text})), key=message.raw_message.key)
