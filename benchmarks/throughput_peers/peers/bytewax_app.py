"""Bytewax, `python -m bytewax.run bytewax_app:flow`: its Kafka operators around one map.

Without a recovery store, its default, it keeps no place in the stream: it commits nothing.
"""

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END
from place import BROKERS, FROM_END, INPUTS, RESULTS
from rule import run

flow = Dataflow("throughput")
inputs = kop.input(
    "inputs", flow, brokers=[BROKERS], topics=[INPUTS], starting_offset=OFFSET_END if FROM_END else OFFSET_BEGINNING
)


def answer(message):
    return KafkaSinkMessage(message.key, orjson.dumps({"label": run(orjson.loads(message.value))}))


answers = op.map("answer", inputs.oks, answer)
kop.output("results", answers, brokers=[BROKERS], topic=RESULTS)
