"""Quix Streams: a streaming dataframe from topic to topic, JSON both ways, as its quickstart has it.

BENCH_FORM `exactly-once` sets its `processing_guarantee`.
"""

import os

from place import BROKERS, GROUP, INPUTS, RESULTS
from quixstreams import Application
from rule import run

app = Application(
    broker_address=BROKERS,
    consumer_group=GROUP,
    auto_offset_reset="earliest",
    processing_guarantee=os.environ["BENCH_FORM"],
    loglevel="WARNING",
)
messages = app.topic(INPUTS, value_deserializer="json")
answers = app.topic(RESULTS, value_serializer="json")

stream = app.dataframe(messages)
stream = stream.apply(lambda message: {"label": run(message)})
stream = stream.to_topic(answers)

if __name__ == "__main__":
    app.run()
