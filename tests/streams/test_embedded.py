"""The local broker, asked by a foreign client: it is Kafka to librdkafka, keeps its data, and dies with its parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from loopai.errors import ConfigurationError
from streams.embedded import BINARY, LocalBroker, LocalBrokerOptions, find_binary

MEGABYTE = 1024 * 1024


def produce(bootstrap: str, topic: str, values: list[bytes], **settings: object) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": 20 * MEGABYTE, **settings})
    errors: list[object] = []
    for value in values:
        producer.produce(topic, value, key=b"k", on_delivery=lambda error, _: errors.append(error) if error else None)
    assert producer.flush(20) == 0
    assert errors == []


def consume(bootstrap: str, topic: str, count: int, group: str = "g", commit: bool = True) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "fetch.message.max.bytes": 20 * MEGABYTE,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    until = time.monotonic() + 20
    while len(values) < count and time.monotonic() < until:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            values.append(message.value() or b"")
    if commit and values:
        consumer.commit(asynchronous=False)
    consumer.close()
    return values


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(true: Callable[[], bool], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


async def test_it_starts_within_a_second_and_answers_a_foreign_client() -> None:
    await find_binary()
    begun = time.monotonic()
    async with LocalBroker() as broker:
        assert time.monotonic() - begun < 1
        await asyncio.to_thread(produce, broker.bootstrap_servers, "answers", [b"one", b"two", b"three"])
        assert await asyncio.to_thread(consume, broker.bootstrap_servers, "answers", 3) == [b"one", b"two", b"three"]


async def test_a_group_goes_on_from_what_it_committed(local_broker: str) -> None:
    await asyncio.to_thread(produce, local_broker, "groups", [b"1", b"2"])
    assert await asyncio.to_thread(consume, local_broker, "groups", 2, "committed") == [b"1", b"2"]
    await asyncio.to_thread(produce, local_broker, "groups", [b"3"])
    assert await asyncio.to_thread(consume, local_broker, "groups", 1, "committed") == [b"3"]


async def test_a_group_reads_again_what_it_did_not_commit(local_broker: str) -> None:
    await asyncio.to_thread(produce, local_broker, "uncommitted", [b"1"])
    assert await asyncio.to_thread(consume, local_broker, "uncommitted", 1, "forgetful", commit=False) == [b"1"]
    assert await asyncio.to_thread(consume, local_broker, "uncommitted", 1, "forgetful") == [b"1"]


@pytest.mark.parametrize("size", [8 * MEGABYTE, 16 * MEGABYTE])
async def test_a_message_as_large_as_a_model_passes(local_broker: str, size: int) -> None:
    model = os.urandom(1024) * (size // 1024)
    await asyncio.to_thread(produce, local_broker, f"models-{size}", [model])
    assert await asyncio.to_thread(consume, local_broker, f"models-{size}", 1, f"models-{size}") == [model]


async def test_a_message_over_the_limit_is_refused() -> None:
    async with LocalBroker(LocalBrokerOptions(max_message_bytes=MEGABYTE)) as broker:
        with pytest.raises(AssertionError, match="MSG_SIZE_TOO_LARGE"):
            await asyncio.to_thread(produce, broker.bootstrap_servers, "large", [os.urandom(2 * MEGABYTE)])


async def test_a_transaction_that_was_aborted_is_not_read(local_broker: str) -> None:
    def transact(end: str, value: bytes) -> None:
        producer = Producer({"bootstrap.servers": local_broker, "transactional.id": "t"})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce("transactions", value, key=b"k")
        producer.flush(10)
        getattr(producer, end)(10)

    await asyncio.to_thread(transact, "abort_transaction", b"aborted")
    await asyncio.to_thread(transact, "commit_transaction", b"committed")
    assert await asyncio.to_thread(consume, local_broker, "transactions", 1, "transactions") == [b"committed"]


async def test_records_and_offsets_survive_a_kill(tmp_path: Path) -> None:
    options = LocalBrokerOptions(data_dir=tmp_path / "broker")
    broker = LocalBroker(options)
    await broker.start()
    await asyncio.to_thread(produce, broker.bootstrap_servers, "kept", [b"%d" % number for number in range(100)])
    assert len(await asyncio.to_thread(consume, broker.bootstrap_servers, "kept", 100, "kept")) == 100
    await asyncio.to_thread(produce, broker.bootstrap_servers, "kept", [b"after the commit"])
    pid = broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await broker.stop()

    async with LocalBroker(options) as again:
        assert await asyncio.to_thread(consume, again.bootstrap_servers, "kept", 1, "kept") == [b"after the commit"]
        assert len(await asyncio.to_thread(consume, again.bootstrap_servers, "kept", 101, "other")) == 101


async def test_retention_removes_the_oldest_records() -> None:
    async with LocalBroker(LocalBrokerOptions(retention_bytes=4 * MEGABYTE, partitions=1)) as broker:
        values = [bytes([number]) + os.urandom(MEGABYTE - 1) for number in range(12)]
        await asyncio.to_thread(produce, broker.bootstrap_servers, "bounded", values, **{"linger.ms": 0})
        consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "watermarks"})

        def start_offset() -> int:
            from confluent_kafka import TopicPartition

            return int(consumer.get_watermark_offsets(TopicPartition("bounded", 0), timeout=5)[0])

        assert await asyncio.to_thread(wait_until, lambda: start_offset() >= 7, 10)
        assert start_offset() <= 9
        consumer.close()


async def test_a_compacted_topic_is_exempt_from_retention() -> None:
    async with LocalBroker(LocalBrokerOptions(retention_bytes=MEGABYTE)) as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        config = {"cleanup.policy": "compact", "retention.ms": "1"}
        admin.create_topics([NewTopic("programs", 1, 1, config=config)])["programs"].result(10)
        resource = ConfigResource(ResourceType.TOPIC, "programs")
        described = admin.describe_configs([resource])[resource].result(10)
        assert described["cleanup.policy"].value == "compact"
        assert (described["retention.ms"].value, described["retention.bytes"].value) == ("-1", "-1")
        values = [os.urandom(MEGABYTE) for _ in range(3)]
        await asyncio.to_thread(produce, broker.bootstrap_servers, "programs", values)
        await asyncio.sleep(2.5)
        assert await asyncio.to_thread(consume, broker.bootstrap_servers, "programs", 3) == values


def test_a_compacted_topic_keeps_the_last_value_of_a_key() -> None:
    binary = asyncio.run(find_binary())
    with subprocess.Popen([binary, "--compact-seconds=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        bootstrap = json.loads(process.stdout.readline())["bootstrap"]
        admin = AdminClient({"bootstrap.servers": bootstrap})
        topic = NewTopic("deployments", 1, 1, config={"cleanup.policy": "compact"})
        admin.create_topics([topic])["deployments"].result(10)
        for value in (b"1", b"2", b"3", b"4"):
            produce(bootstrap, "deployments", [value])
        time.sleep(2.2)
        # The last batch is the active segment, which compaction leaves alone; before it, the last value of the key.
        assert consume(bootstrap, "deployments", 2) == [b"3", b"4"]
        process.terminate()
        assert process.wait(5) == 0


def test_it_dies_when_its_parent_closes_stdin() -> None:
    asyncio.run(find_binary())
    process = subprocess.Popen([BINARY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert b"bootstrap" in process.stdout.readline()
        process.stdin.close()
        assert process.wait(5) == 0


def test_it_dies_when_its_parent_is_killed() -> None:
    program = (
        "import asyncio\n"
        "from streams.embedded import LocalBroker\n"
        "async def main():\n"
        "    broker = LocalBroker()\n"
        "    await broker.start()\n"
        "    print(broker.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).resolve().parent.parent.parent
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=root) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
        assert wait_until(lambda: not is_alive(pid))


async def test_a_stop_is_clean_and_may_be_repeated() -> None:
    broker = LocalBroker()
    await broker.start()
    await broker.start()
    pid = broker.pid
    assert pid is not None
    await broker.stop()
    await broker.stop()
    assert broker.pid is None
    assert not is_alive(pid)
    with pytest.raises(ConfigurationError, match="not running"):
        _ = broker.bootstrap_servers


async def test_a_port_in_use_is_named_with_a_next_step(local_broker: str) -> None:
    port = int(local_broker.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=r"(?s)address already in use.*another port"):
        await LocalBroker(LocalBrokerOptions(port=port)).start()


async def test_a_data_folder_has_one_broker_at_a_time(tmp_path: Path) -> None:
    async with LocalBroker(LocalBrokerOptions(data_dir=tmp_path)):
        with pytest.raises(ConfigurationError, match="in use by another local broker"):
            await LocalBroker(LocalBrokerOptions(data_dir=tmp_path)).start()


@pytest.mark.parametrize(
    "flag", ["--port=70000", "--partitions=0", "--retention-bytes=0", "--max-message-bytes=1", "--log-level=loud", "x"]
)
async def test_a_flag_that_cannot_work_is_refused(flag: str) -> None:
    done = await asyncio.to_thread(subprocess.run, [await find_binary(), flag], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("loopai-broker: ")
    assert flag.split("=")[0] in done.stderr
