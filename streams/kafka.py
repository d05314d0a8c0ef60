"""A broker that is real: the seam of `streams.broker` over aiokafka, for Kafka and for the local broker alike."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as ClientPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    RecordTooLargeError,
    TopicAlreadyExistsError,
    UnknownMemberIdError,
    UnsupportedCodecError,
)

from loopai.errors import ConfigurationError, RecordError, TransientError, UnavailableError
from loopai.settings import Kafka
from streams.broker import Batch, Message, Outgoing, Record, Start, TopicPartition
from streams.lean import install
from streams.topics import MAX_PROGRAM_BYTES, Topic

install()

Revoked = Callable[[frozenset[TopicPartition]], Awaitable[None]]

BATCH_BYTES = 1 << 20
"""One record batch on the wire; with linger 0 it is a bound, not a delay."""


class KafkaBroker:
    """Consumers and producers of one cluster, by the given settings."""

    def __init__(self, settings: Kafka, *, client_id: str = "loopai") -> None:
        self._settings = settings
        self._client_id = client_id

    async def ensure_topics(self, topics: Iterable[Topic]) -> None:
        async with self._admin() as admin:
            existing = set(await admin.list_topics())
            absent = [self._new_topic(t) for t in topics if t.name not in existing]
            for topic in absent:
                await _create(admin, topic)

    def consumer(
        self, topics: Sequence[Topic], *, group: str | None, start: Start = "earliest", instance: str | None = None
    ) -> KafkaConsumer:
        return KafkaConsumer(
            [t.name for t in topics],
            {
                **self._connection(),
                "group_id": group,
                "group_instance_id": instance or None,
                "auto_offset_reset": start,
                "enable_auto_commit": False,
                "session_timeout_ms": self._settings.session_timeout_ms,
                "heartbeat_interval_ms": max(300, self._settings.session_timeout_ms // 4),
                "fetch_max_wait_ms": 100,
                "max_partition_fetch_bytes": 2 << 20,
                "isolation_level": "read_committed",
                "metadata_max_age_ms": 30_000,
            },
        )

    def producer(self) -> KafkaProducer:
        return KafkaProducer(
            {
                **self._connection(),
                "acks": "all",
                "enable_idempotence": True,
                "linger_ms": 0,
                "max_batch_size": BATCH_BYTES,
                "max_request_size": MAX_PROGRAM_BYTES,
            }
        )

    def transactional(self, transactional_id: str) -> KafkaTransactions:
        return KafkaTransactions(
            {
                **self._connection(),
                "acks": "all",
                "linger_ms": 0,
                "max_batch_size": BATCH_BYTES,
                "max_request_size": MAX_PROGRAM_BYTES,
                "transactional_id": transactional_id,
                "transaction_timeout_ms": 30_000,
            }
        )

    async def close(self) -> None:
        """Nothing is held: each consumer and producer owns its connections."""

    def _connection(self) -> dict[str, Any]:
        s = self._settings
        options: dict[str, Any] = {
            "bootstrap_servers": s.bootstrap_servers,
            "client_id": self._client_id,
            "request_timeout_ms": s.request_timeout_ms,
            "security_protocol": s.security_protocol,
        }
        if s.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": s.sasl_mechanism,
                "sasl_plain_username": s.sasl_username,
                "sasl_plain_password": s.sasl_password.get_secret_value(),
            }
        if s.security_protocol.endswith("SSL"):
            options["ssl_context"] = ssl.create_default_context(cafile=s.ssl_ca_file or None)
        return options

    def _new_topic(self, topic: Topic) -> NewTopic:
        config = {"max.message.bytes": str(topic.max_message_bytes)}
        if topic.compacted:
            config |= {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
        else:
            config["retention.ms"] = str(topic.retention_ms)
        return NewTopic(
            topic.name,
            num_partitions=topic.partitions or self._settings.partitions,
            replication_factor=self._settings.replication_factor,
            topic_configs=config,
        )

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(**self._connection())
        try:
            with _told(f"Kafka at {self._settings.bootstrap_servers} does not answer"):
                await admin.start()
                yield admin
        finally:
            await admin.close()


async def _create(admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    try:
        response = await admin.create_topics([topic])
    except TopicAlreadyExistsError:
        return
    for name, code, *message in response.topic_errors:
        if code not in (0, 36):  # 36: made by another process in the meantime
            raise UnavailableError(f"The topic {name} could not be created: {message[0] if message else code}.")


class KafkaConsumer:
    """One reader. See `streams.broker.Consumer`."""

    def __init__(self, topics: Sequence[str], options: dict[str, Any]) -> None:
        self._topics = topics
        self._options = options
        self._listener = _Listener()
        self._inner: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        with _told("Kafka does not answer"):
            if self._options["group_id"] is None:
                self._inner = AIOKafkaConsumer(*self._topics, **self._options)
            else:
                self._inner = AIOKafkaConsumer(**self._options)
                self._inner.subscribe(topics=list(self._topics), listener=self._listener)
            await self._inner.start()

    async def stop(self) -> None:
        if self._inner is not None:
            with _told("The consumer could not leave"):
                await self._inner.stop()

    async def getmany(self, timeout: float, max_records: int) -> Mapping[TopicPartition, Sequence[Message]]:
        with _told("Records could not be fetched"):
            found: Mapping[TopicPartition, Sequence[Message]] = await self._reader.getmany(
                timeout_ms=int(timeout * 1000), max_records=max_records
            )
        return found

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        assigned = self._reader.assignment()
        mine = {ClientPartition(*tp): offset for tp, offset in offsets.items() if tp in assigned}
        if not mine:
            return
        try:
            with _told("Offsets could not be committed"):
                await self._reader.commit(mine)
        except (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError):
            # The partitions are being moved: whoever gets them reads on from the last commit.
            return

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(TopicPartition(*tp) for tp in self._reader.assignment())

    async def end_offsets(self) -> Mapping[TopicPartition, int]:
        with _told("End offsets could not be read"):
            ends: Mapping[TopicPartition, int] = await self._reader.end_offsets(list(self._reader.assignment()))
        return ends

    async def committed(self, partition: TopicPartition) -> int | None:
        with _told("Committed offsets could not be read"):
            offset: int | None = await self._reader.committed(ClientPartition(*partition))
        return offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._reader.pause(*self._mine(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._reader.resume(*self._mine(partitions))

    def on_revoked(self, callback: Revoked) -> None:
        self._listener.callback = callback

    def _mine(self, partitions: Iterable[TopicPartition]) -> list[ClientPartition]:
        """Those of `partitions` that are assigned to us, in the client's own type: it takes no other."""
        assigned = self._reader.assignment()
        return [ClientPartition(*tp) for tp in partitions if tp in assigned]

    @property
    def _reader(self) -> AIOKafkaConsumer:
        if self._inner is None:
            raise RuntimeError("The consumer was not started.")
        return self._inner


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Passes on what is about to be taken away."""

    callback: Revoked | None = None

    async def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        partitions = frozenset(TopicPartition(*tp) for tp in revoked)
        if partitions and self.callback is not None:
            await self.callback(partitions)

    async def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """Reading starts by itself."""


class KafkaProducer:
    """One idempotent writer. See `streams.broker.Producer`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._inner: AIOKafkaProducer | None = None

    async def start(self) -> None:
        self._inner = AIOKafkaProducer(**self._options)
        with _told("Kafka does not answer"):
            await self._inner.start()

    async def stop(self) -> None:
        if self._inner is not None:
            with _told("The producer could not write out what was queued"):
                await self._inner.stop()

    async def send(self, topic: str, record: Outgoing, partition: int | None = None) -> Awaitable[int]:
        with _told(f"{topic} could not be written"):
            future = await self._writer.send(
                topic, value=record.value, key=record.key, headers=list(record.headers), partition=partition
            )
        return _offset(future)

    async def send_batch(self, topic: str, partition: int, records: Sequence[Record]) -> Awaitable[int]:
        writer, futures = self._writer, []
        batch = writer.create_batch()
        for key, value, given in records:
            headers = given if type(given) is list else list(given)  # the client takes no other sequence
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                futures.append(await self._send(writer, batch, topic, partition))
                batch = writer.create_batch()
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    # Larger than a whole batch: its own way, in its own order.
                    futures.append(await writer.send(topic, value=value, key=key, headers=headers, partition=partition))
        if batch.record_count():
            futures.append(await self._send(writer, batch, topic, partition))
        return _offset(futures[0]) if len(futures) == 1 else _all(futures)

    async def _send(self, writer: AIOKafkaProducer, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
        batch.close()  # else it lingers, open for other records
        with _told(f"{topic} could not be written"):
            future: asyncio.Future[Any] = await writer.send_batch(batch, topic, partition=partition)
        return future

    async def partitions(self, topic: str) -> int:
        with _told(f"{topic} is not known"):
            return len(await self._writer.partitions_for(topic))

    @property
    def _writer(self) -> AIOKafkaProducer:
        if self._inner is None:
            raise RuntimeError("The producer was not started.")
        return self._inner


class KafkaTransactions:
    """Records and offsets in Kafka's transactions. See `streams.broker.TransactionalProducer`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._producer = KafkaProducer(options)

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def transact(self, group: str, offsets: Mapping[TopicPartition, int], batches: Sequence[Batch]) -> None:
        writer = self._producer._writer
        with _told("The transaction failed"):
            async with writer.transaction():
                acks = []
                for topic, partition, records in batches:
                    if partition is not None:
                        acks.append(await self._producer.send_batch(topic, partition, records))
                    else:
                        acks += [await self._producer.send(topic, Outgoing(*record)) for record in records]
                for ack in acks:
                    await ack
                named = {ClientPartition(*tp): offset for tp, offset in offsets.items()}
                await writer.send_offsets_to_transaction(named, group)


def _offset(future: asyncio.Future[Any]) -> Awaitable[int]:
    """The future of aiokafka's metadata as a future of the offset, with its errors in our words."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def settle(done: asyncio.Future[Any]) -> None:
        if told.done():
            return
        if done.cancelled():
            told.cancel()
        elif (error := done.exception()) is not None:
            told.set_exception(_translated(error, "The broker did not take the record"))
        else:
            told.set_result(done.result().offset)

    future.add_done_callback(settle)
    return told


def _all(futures: Sequence[asyncio.Future[Any]]) -> Awaitable[int]:
    return asyncio.ensure_future(_last(futures))


async def _last(futures: Sequence[asyncio.Future[Any]]) -> int:
    offset = -1
    for future in futures:
        offset = await _offset(future)
    return offset


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Errors of the client as ours; those that a caller handles by name pass through."""
    try:
        yield
    except (CommitFailedError, IllegalStateError, RebalanceInProgressError, UnknownMemberIdError):
        raise
    except (KafkaError, OSError) as error:
        raise _translated(error, what) from error


def _translated(error: BaseException, what: str) -> Exception:
    if isinstance(error, UnsupportedCodecError):
        # Waiting would not help: the same records come again.
        return ConfigurationError(f"{what}: {error}.", next_step="Install the codec, or let producers use another one.")
    if isinstance(error, RecordTooLargeError):
        return RecordError(str(error), reason="too_large")
    return TransientError(f"{what}: {type(error).__name__}: {error}.")
