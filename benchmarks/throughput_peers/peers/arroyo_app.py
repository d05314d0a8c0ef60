"""Arroyo: RunTask, then Produce, then CommitOffsets, as its getting-started page chains them; a commit a second."""

import orjson
from arroyo.backends.kafka import KafkaConsumer, KafkaPayload, KafkaProducer
from arroyo.backends.kafka.configuration import build_kafka_configuration, build_kafka_consumer_configuration
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import CommitOffsets, ProcessingStrategyFactory, Produce, RunTask
from arroyo.types import Topic
from place import BROKERS, GROUP, INPUTS, RESULTS
from rule import run


def answer(message):
    value = orjson.dumps({"label": run(orjson.loads(message.payload.value))})
    return KafkaPayload(message.payload.key, value, [])


class Factory(ProcessingStrategyFactory):
    def create_with_partitions(self, commit, partitions):
        producer = KafkaProducer(build_kafka_configuration(default_config={}, bootstrap_servers=[BROKERS]))
        return RunTask(answer, Produce(producer, Topic(RESULTS), CommitOffsets(commit)))


consumer = KafkaConsumer(
    build_kafka_consumer_configuration(
        default_config={}, bootstrap_servers=[BROKERS], auto_offset_reset="earliest", group_id=GROUP
    )
)
StreamProcessor(consumer=consumer, topic=Topic(INPUTS), processor_factory=Factory()).run()
