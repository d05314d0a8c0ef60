"""Labels early, late and never; from a file and from the stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from loopai.apps import OraclePolicy
from loopai.clock import ManualClock, SystemClock, iso
from loopai.errors import ConfigurationError
from loopai.records import Label
from loopai.settings import Kafka
from streams.broker import Outgoing
from streams.kafka import KafkaBroker
from streams.memory import MemoryBroker
from streams.topics import LABELS
from tests.validators.helpers import SPAM, sample
from validators.label_oracle import LabelsFollower, LabelsOracle
from validators.oracles import NoAnswer

QUICK = msgspec.structs.replace(SPAM, oracle=OraclePolicy(wait_seconds=0.15))


def live(clock: ManualClock | None = None, kept: int = 100) -> LabelsOracle:
    oracle = LabelsOracle(clock or ManualClock(), kept=kept, live=True)
    oracle.caught_up.set()
    return oracle


async def test_a_label_that_came_first_answers_at_once() -> None:
    oracle = live()
    oracle.put(Label(id="r1", app="sms", expected="spam"))
    answer = await oracle.ask(QUICK, sample())
    assert (answer.expected, answer.oracle, answer.cost_usd) == ("spam", "labels", 0.0)


async def test_a_label_that_comes_late_is_waited_for() -> None:
    oracle = live()
    asking = [asyncio.create_task(oracle.ask(QUICK, sample())) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert oracle.waiting == 2
    oracle.put(Label(id="r1", app="other", expected="ham"))
    oracle.put(Label(id="r1", app="sms", expected="spam"))
    assert [answer.expected for answer in await asyncio.gather(*asking)] == ["spam", "spam"]
    assert oracle.waiting == 0


async def test_a_label_that_never_comes_expires() -> None:
    oracle = live()
    with pytest.raises(NoAnswer) as caught:
        await oracle.ask(QUICK, sample())
    assert (caught.value.reason, caught.value.verdict) == ("expired", "error")
    assert 100 < caught.value.ms < 2_000
    assert oracle.waiting == 0


async def test_a_sample_that_waited_in_the_queue_does_not_wait_again() -> None:
    clock = ManualClock()
    clock.advance(3_600)
    patient = msgspec.structs.replace(SPAM, oracle=OraclePolicy(wait_seconds=30))
    async with asyncio.timeout(1):
        with pytest.raises(NoAnswer, match="in time"):
            await live(clock).ask(patient, sample())


@pytest.mark.parametrize("stamp", ["2099-01-01T00:00:00Z", "", "yesterday"])
async def test_a_stamp_from_the_future_or_of_no_sense_cannot_hold_a_sample(stamp: str) -> None:
    async with asyncio.timeout(2):
        with pytest.raises(NoAnswer):
            await live().ask(QUICK, sample(sampled_at=stamp))


async def test_the_oldest_labels_of_the_stream_are_forgotten() -> None:
    oracle = live(kept=2)
    for name in ("a", "b", "c"):
        oracle.put(Label(id=name, app="sms", expected="ham"))
    assert len(oracle) == 2
    with pytest.raises(NoAnswer):
        await oracle.ask(QUICK, sample("a"))


async def test_a_file_of_labels_answers_for_its_app_or_for_any(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(
        '{"id": "r1", "label": "spam"}\n\n{"id": 2, "expected": "ham", "app": "sms"}\n{"id": "x", "text": "no label"}\n'
        '{"id": "r3", "expected": "ham", "app": "other"}\n'
    )
    oracle = LabelsOracle(ManualClock())
    assert oracle.load(path) == 3
    assert (await oracle.ask(SPAM, sample("r1"))).expected == "spam"
    assert (await oracle.ask(SPAM, sample("2"))).expected == "ham"
    async with asyncio.timeout(1):
        with pytest.raises(NoAnswer) as caught:
            await oracle.ask(SPAM, sample("r3"))
    assert caught.value.reason == "no_label"


@pytest.mark.parametrize("content", [b"[1]\n", b'{"id": "a"\n', b'{"id": "\xff"}\n'])
def test_a_bad_labels_file_says_which_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_bytes(b'{"id": "r1", "label": "spam"}\n' + content)
    with pytest.raises(ConfigurationError, match="line 2"):
        LabelsOracle(ManualClock()).load(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        LabelsOracle(ManualClock()).load(tmp_path / "absent.jsonl")


async def test_the_follower_reads_the_topic_from_its_beginning_and_goes_on() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([LABELS])
    producer = broker.producer()
    await producer.start()

    async def publish(id: str, value: bytes) -> None:
        await (await producer.send(LABELS.name, Outgoing(id.encode(), value)))

    await publish("r1", msgspec.json.encode(Label(id="r1", app="sms", expected="spam")))
    await publish("bad", b"{")
    oracle = LabelsOracle(SystemClock(), live=True)
    follower = LabelsFollower(broker, oracle, pause=0.02)
    task = asyncio.create_task(follower.run())
    old = sample("r1", sampled_at=iso(0.0))
    assert (await oracle.ask(SPAM, old)).expected == "spam", "even an old sample waits while the topic is being read"
    await asyncio.wait_for(oracle.caught_up.wait(), 2)
    await publish("r2", msgspec.json.encode(Label(id="r2", app="sms", expected="ham")))
    assert (await oracle.ask(SPAM, sample("r2", sampled_at=iso(SystemClock().now())))).expected == "ham"
    assert (follower.labels, follower.bad) == (2, 1)
    follower.stop()
    await asyncio.wait_for(task, 2)
    await producer.stop()
    await broker.close()


async def test_an_empty_topic_is_caught_up_with() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics([LABELS])
    oracle = LabelsOracle(SystemClock(), live=True)
    follower = LabelsFollower(broker, oracle, pause=0.02)
    task = asyncio.create_task(follower.run())
    await asyncio.wait_for(oracle.caught_up.wait(), 2)
    follower.stop()
    await task
    await broker.close()


async def test_labels_arrive_over_the_local_broker(local_broker: str) -> None:
    broker = KafkaBroker(Kafka(bootstrap_servers=local_broker))
    await broker.ensure_topics([LABELS])
    producer = broker.producer()
    await producer.start()
    early = Label(id="kafka-1", app="sms", expected="spam")
    await (await producer.send(LABELS.name, Outgoing(b"kafka-1", msgspec.json.encode(early))))
    oracle = LabelsOracle(SystemClock(), live=True)
    follower = LabelsFollower(broker, oracle, pause=0.1)
    task = asyncio.create_task(follower.run())
    patient = msgspec.structs.replace(SPAM, oracle=OraclePolicy(wait_seconds=10))
    assert (await oracle.ask(patient, sample("kafka-1", sampled_at=iso(0.0)))).expected == "spam"
    asking = asyncio.create_task(oracle.ask(patient, sample("kafka-2", sampled_at="")))
    await asyncio.wait_for(oracle.caught_up.wait(), 10)
    late = Label(id="kafka-2", app="sms", expected="ham")
    await (await producer.send(LABELS.name, Outgoing(b"kafka-2", msgspec.json.encode(late))))
    assert (await asking).expected == "ham"
    follower.stop()
    await task
    await producer.stop()
    await broker.close()
