"""A demo for the pages' commands: started by `make demo` as a reader would, on free ports and without hurry."""

from __future__ import annotations

import asyncio
import json
import os
import re
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Consumer, TopicPartition

from loopai.settings import Kafka
from streams.kafka import KafkaBroker
from streams.topics import ALL
from tests.docs.fences import ROOT, Running, until


class Demo(NamedTuple):
    """Where it is, and what it printed when it started."""

    url: str
    kafka: str
    greeting: str

    def get(self, path: str) -> Any:
        """A GET under /api/v1, decoded."""
        return get(f"{self.url}/api/v1{path}")


def get(url: str) -> Any:
    """A GET, decoded."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The demo at twenty inputs a second, with its program in place."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
    arguments = "ARGS=--port 0 --kafka-port 0 --rate 20 --drift-at 0"
    running = Running(["make", "--no-print-directory", "demo", arguments], environment, ROOT)
    try:
        until(lambda: "Stream" in running.said() or running.process.poll() is not None, 240.0, running.said)
        said = running.said()
        page = re.search(r"Page\s+(http://\S+)", said)
        kafka = re.search(r"Kafka\s+(\S+)", said)
        assert page, said
        assert kafka, said
        found = Demo(page[1], kafka[1], said)
        until(lambda: found.get("/loop-apps")["items"], 30.0, running.said)
        until(lambda: (found.get("/loop-apps/sms-spam/status")["deployment"] or {}).get("stable"), 120.0, running.said)
        until(lambda: found.get("/loop-apps/sms-spam/status")["checks"]["match"], 60.0, running.said)
        yield found
    finally:
        running.stop()


def groups(name: str) -> dict[str, str]:
    """Consumer groups of their own for a platform that a page starts."""
    return {f"LOOPAI_{role}__GROUP": f"{name}-{role.lower()}" for role in ("EXECUTOR", "VALIDATOR", "CONTROLLER")}


def begin_at_the_end(bootstrap: str, names: Iterable[str]) -> None:
    """A reader's Kafka is new. This one is shared with other tests: the groups begin where those ended."""
    asyncio.run(KafkaBroker(Kafka(bootstrap_servers=bootstrap)).ensure_topics(ALL))
    for name in names:
        consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False})
        metadata = consumer.list_topics(timeout=10)
        places = [TopicPartition(topic.name, p) for topic in ALL for p in metadata.topics[topic.name].partitions]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=10)[1]
        consumer.commit(offsets=places, asynchronous=False)
        consumer.close()
