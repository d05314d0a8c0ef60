"""Inputs from Kafka, answers to Kafka: read a round, run each lane's share in its jail, publish, commit from a timer.

Three things go on at once: reading and routing (this file's `_round`), one task per lane that runs its jobs in order
and publishes them, and a timer that commits what is acknowledged without a gap. A commit is never awaited in the path:
Kafka's coordinator takes milliseconds for each. Lanes do not wait for each other, so a slow program delays its own app;
what it can hold up of its neighbours is bounded by the records in flight.

An offset is committed when every answer, sample and dead letter before it is with the broker: see `delivery`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from time import perf_counter

from executors.answers import ResultWriter, is_bad_input
from executors.delivery import Delivery, Slice
from executors.fleet import Lane, Route
from executors.jail.jail import Answer
from executors.meter import Meter
from loopai.clock import Clock
from loopai.errors import RecordError
from loopai.records import APP_HEADER, ID_HEADER
from loopai.settings import Executor as ExecutorSettings
from streams.broker import Consumer, Message, Record, TopicPartition
from streams.cloudevents import MAX_ID_BYTES
from streams.dead_letters import DeadLetterRun, dead_letter
from streams.topics import DEAD_LETTERS, MAX_RECORD_BYTES, RESULTS, SAMPLES
from streams.tracing import SAMPLED_FLAGS, TRACEPARENT, processing

STAGE = "loopai-executors"


class Job:
    """One lane's records of one round. A segment is a run of records of one slice: (slice, partition, from, to)."""

    __slots__ = ("answers", "ids", "lane", "messages", "read_at", "route", "segments", "traced", "values")

    def __init__(self, route: Route, lane: Lane, read_at: float) -> None:
        self.route = route
        self.lane = lane
        self.read_at = read_at
        self.answers: asyncio.Task[list[Answer]] | None = None
        self.values: list[bytes] = []
        self.ids: list[bytes] = []
        self.messages: list[Message] = []
        self.segments: list[tuple[Slice, int, int, int]] = []
        self.traced: set[int] = set()


class HotLoop:
    """Runs until `stop`. Raises what it cannot go on from: `TransientError` (begin again), or a bug."""

    def __init__(
        self,
        consumer: Consumer,
        delivery: Delivery,
        routes: dict[bytes, Route],
        settings: ExecutorSettings,
        meter: Meter,
        clock: Clock,
    ) -> None:
        self._consumer = consumer
        self._delivery = delivery
        self._routes = routes
        self._settings = settings
        self._meter = meter
        self._clock = clock
        self._queues: dict[Lane, asyncio.Queue[Job]] = {}
        self._writers: dict[Lane, ResultWriter] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._pending: dict[str, int] = defaultdict(int)
        self._records = 0
        self._moved = asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        self._stopping = asyncio.Event()
        self._failure: BaseException | None = None
        self._run = DeadLetterRun(settings.dead_letter_run)
        self._default = settings.default_app.encode()

    async def run(self) -> None:
        """Reads until told to stop, then drains, commits once and returns."""
        self._consumer.on_revoked(self._give_up)
        timer = asyncio.create_task(self._commit_often())
        try:
            while not self._stopping.is_set() and self._failure is None:
                await self._round()
            await self._drain(10.0)
        finally:
            timer.cancel()
            begun = [
                job.answers for queue in self._queues.values() for job in drained(queue) if job.answers is not None
            ]
            for task in (*self._tasks.values(), *begun):
                task.cancel()
            await asyncio.gather(timer, *self._tasks.values(), *begun, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        await self._delivery.commit()

    def stop(self) -> None:
        self._stopping.set()
        self._moved.set()

    @contextlib.asynccontextmanager
    async def settled(self, app: str) -> AsyncIterator[None]:
        """Inside, nothing of `app` is under way and no round begins: a route may be replaced."""
        self._open.clear()
        try:
            while self._pending[app] and self._failure is None and not self._stopping.is_set():
                self._moved.clear()
                await self._moved.wait()
            yield
        finally:
            self._open.set()
            self._close_idle_lanes()

    # Reading and routing

    async def _round(self) -> None:
        limit = 4 * self._settings.batch_records
        while self._records + self._delivery.waiting >= limit and not self._stopping.is_set() and self._failure is None:
            self._moved.clear()
            await self._moved.wait()
        batch = await self._consumer.getmany(timeout=0.1, max_records=self._settings.batch_records)
        if not batch:
            return
        await self._open.wait()
        assigned = self._consumer.assignment()
        read_at, now_ms = perf_counter(), self._clock.now() * 1000
        jobs: dict[Lane, Job] = {}
        refused: list[tuple[Slice, Message, RecordError]] = []
        for partition, messages in batch.items():
            if partition not in assigned:
                continue  # moved to another member while we waited: it reads them again
            piece = Slice(messages[0].offset, messages[-1].offset + 1, len(messages))
            piece.left = 1  # open until routed: the timer must not take it for done
            self._delivery.begin(partition, piece)
            bad = self._route(messages, jobs, read_at)
            piece.left = len(bad)
            refused += ((piece, message, error) for message, error in bad)
            for job in jobs.values():
                begin = job.segments[-1][3] if job.segments else 0
                if len(job.values) > begin:
                    job.segments.append((piece, partition.partition, begin, len(job.values)))
                    piece.left += 1
                    waited = now_ms - job.messages[begin].timestamp
                    meter = self._meter.app(job.lane.app)
                    meter.oldest_ms = max(meter.oldest_ms, waited)
        for job in jobs.values():
            self._submit(job)
        for piece, message, error in refused:
            await self._set_aside(piece, message, error)
            piece.left -= 1

    def _route(
        self, messages: Sequence[Message], jobs: dict[Lane, Job], read_at: float
    ) -> list[tuple[Message, RecordError]]:
        """Puts each record to the job of its lane, by header and key alone; returns those that have none."""
        refused = []
        for message in messages:
            app, record_id, traced = self._default, b"", False
            for name, content in message.headers:
                if name == APP_HEADER:
                    app = content
                elif name == ID_HEADER:
                    record_id = content
                elif name == TRACEPARENT:
                    traced = content[-1:] in SAMPLED_FLAGS
            if not record_id or len(record_id) > MAX_ID_BYTES:
                record_id = b"%b-%d-%d" % (message.topic.encode(), message.partition, message.offset)
            route, value, key = self._routes.get(app), message.value, message.key
            lane = route.lane(key if key is not None else record_id) if route is not None else None
            if lane is None or route is None or not value or len(value) > MAX_RECORD_BYTES:
                refused.append((message, _why(app, lane, value)))
                continue
            job = jobs.get(lane)
            if job is None:
                job = jobs[lane] = Job(route, lane, read_at)
            if traced:
                job.traced.add(len(job.values))
            job.values.append(value)
            job.ids.append(record_id)
            job.messages.append(message)
        return refused

    def _submit(self, job: Job) -> None:
        lane = job.lane
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = asyncio.Queue()
            self._writers[lane] = ResultWriter(lane)
            self._tasks[lane] = asyncio.create_task(self._work(lane, queue))
        self._pending[lane.app] += 1
        self._records += len(job.values)
        # Begun at once: the worker has its next job while this process publishes the last one.
        job.answers = asyncio.create_task(self._run_job(job))
        queue.put_nowait(job)

    async def _run_job(self, job: Job) -> list[Answer]:
        return await job.lane.runner.run(job.values)

    # Running and publishing

    async def _work(self, lane: Lane, queue: asyncio.Queue[Job]) -> None:
        """One lane's jobs, one after the other; the bound on records in flight bounds the queue."""
        while True:
            job = await queue.get()
            try:
                await self._finish(job)
            except Exception as error:
                self.fail(error)
                return
            finally:
                self._pending[lane.app] -= 1
                self._records -= len(job.values)
                self._moved.set()

    async def _finish(self, job: Job) -> None:
        lane, writer = job.lane, self._writers[job.lane]
        assert job.answers is not None
        answers = await job.answers
        micros = (perf_counter() - job.read_at) * 1e6
        latency, now = b"%.0f" % micros, self._clock.now()
        meter = self._meter.app(lane.app)
        meter.timed(micros, len(answers))
        meter.inputs += len(answers)
        meter.by_version[str(lane.version)] = meter.by_version.get(str(lane.version), 0) + len(answers)
        choose = job.route.sampler.probability
        for piece, partition, begin, end in job.segments:
            results: list[Record] = []
            samples: list[Record] = []
            for i in range(begin, end):
                answer = answers[i]
                if answer.outcome == "ok":
                    meter.ok += 1
                elif is_bad_input(answer):
                    reason, _, text = (answer.reason or "").partition(": ")
                    await self._set_aside(piece, job.messages[i], RecordError(text, reason=reason.lower()))
                    continue
                elif answer.outcome == "abstained":
                    meter.abstained += 1
                else:
                    meter.failed += 1
                results.append(writer.result(job.ids[i], job.messages[i].key, answer, latency))
                probability = choose(job.ids[i])
                if probability is not None:
                    samples.append(writer.sample(job.ids[i], job.values[i], answer, probability, now))
                if i in job.traced:
                    _carry_on(
                        job.messages[i], [results[-1], *samples[-1:]] if probability is not None else results[-1:]
                    )
            if results:
                self._run.good()
            meter.sampled += len(samples)
            await self._publish(piece, RESULTS.name, partition, results)
            await self._publish(piece, SAMPLES.name, partition, samples)
            piece.left -= 1

    async def _publish(self, piece: Slice, topic: str, partition: int, records: list[Record]) -> None:
        if records:
            await self._delivery.publish(piece, topic, partition, records)

    async def _set_aside(self, piece: Slice, message: Message, error: RecordError) -> None:
        """The caller holds `piece` open meanwhile."""
        letter = dead_letter(message, error, stage=STAGE)
        await self._delivery.publish(piece, DEAD_LETTERS.name, None, [letter])
        app = self._app_of(message)
        self._meter.app(app if app.encode() in self._routes else "unknown").set_aside += 1
        self._meter.dead_letters[error.reason] += 1
        self._run.bad(f"{error.reason}: {error.message}")

    def _app_of(self, message: Message) -> str:
        for name, content in message.headers:
            if name == APP_HEADER:
                return content.decode("utf-8", "replace")
        return self._settings.default_app

    # Committing and leaving

    async def _commit_often(self) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_ms / 1000)
            try:
                await self._delivery.commit()
            except Exception as error:
                self.fail(error)
                return
            self._moved.set()

    async def _give_up(self, partitions: frozenset[TopicPartition]) -> None:
        """Partitions move to another member: finish and commit what is under way, then forget them."""
        await self._drain(5.0)
        await self._delivery.commit()
        await self._delivery.forget(partitions)

    async def _drain(self, seconds: float) -> None:
        end = perf_counter() + seconds
        # Polled: what is left is counted down by the producer's callbacks.
        while perf_counter() < end and self._failure is None and not self._delivery.idle():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    def fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._moved.set()

    def _close_idle_lanes(self) -> None:
        """Ends the tasks of lanes that no route names any more and that have nothing to do."""
        live = {lane for route in self._routes.values() for lane in route.lanes.values()}
        for lane in [x for x in self._tasks if x not in live and not self._pending[x.app]]:
            self._tasks.pop(lane).cancel()
            del self._queues[lane], self._writers[lane]


def drained(queue: asyncio.Queue[Job]) -> list[Job]:
    """What still waits in a queue, taken out of it."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


def _carry_on(message: Message, records: Sequence[Record]) -> None:
    """The record's own span, for the few whose sender tossed a yes: everything else goes by batches."""
    with processing(message) as onwards:
        for _, _, headers in records:
            assert isinstance(headers, list)
            headers += onwards


def _why(app: bytes, lane: Lane | None, value: bytes | None) -> RecordError:
    """Why a record has no lane."""
    name = app.decode("utf-8", "replace")
    if not app:
        return RecordError(f"The record has no {APP_HEADER} header.", reason="no_app")
    if lane is None:
        return RecordError(f"No program is deployed for the app {name!r}.", reason="unknown_app")
    if value is None:
        return RecordError("The record has no value.", reason="tombstone")
    if not value:
        return RecordError("The value is empty.", reason="json")
    return RecordError(f"{len(value)} bytes are more than {MAX_RECORD_BYTES}.", reason="too_large")
