"""Faust (faust-streaming), `faust -A faust_app worker`: an agent that sends what it makes of each event.

`topic.send` is awaited as its user guide has it: that queues the record, it does not wait for the broker.
"""

import faust
from place import BROKERS, GROUP, INPUTS, RESULTS
from rule import run

app = faust.App(
    GROUP,
    broker=f"kafka://{BROKERS}",
    value_serializer="json",
    key_serializer="raw",
    topic_disable_leader=True,
    topic_partitions=4,
    datadir="data",
    web_enabled=False,
)
messages = app.topic(INPUTS)
answers = app.topic(RESULTS)


@app.agent(messages)
async def answer(stream):
    async for event in stream.events():
        await answers.send(key=event.key, value={"label": run(event.value)})
