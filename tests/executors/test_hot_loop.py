"""The executor over a broker in memory with the real jail: every input ends once, in order, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from executors.executor import Executor
from executors.jail.jail import Jail
from executors.jail.limits import Limits
from loopai.apps import Sampling
from loopai.clock import SystemClock
from loopai.deployments import Deployment
from loopai.records import ExecutionResult, MetricsWindow, Sample
from loopai.settings import Settings
from programs.artifact import Program, encode
from streams.broker import Outgoing
from streams.cloudevents import header, record_id
from streams.dead_letters import REASON
from streams.memory import MemoryBroker
from streams.topics import ALL, DEAD_LETTERS, DEPLOYMENTS, INPUTS, METRICS, PROGRAMS, RESULTS, SAMPLES

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DOUBLE = "def run(record):\n    return record['n'] * 2, 0.75\n"
TRIPLE = "def run(record):\n    return record['n'] * 3\n"
MOODY = """
def run(record):
    n = record["n"]
    if n % 50 == 7:
        raise ValueError("seven")
    if n % 50 == 8:
        while True:
            pass
    if n % 50 == 9:
        return None
    return n
"""


@pytest.fixture(scope="module", params=["at least once", "exactly once"])
def settings(request: pytest.FixtureRequest) -> Settings:
    exactly_once = request.param == "exactly once"
    return Settings(
        executor={
            "commit_interval_ms": 20,
            "hard_limit_ms": 150,
            "soft_limit_ms": 50,
            "exactly_once": exactly_once,
        }
    )


def program(source: str) -> Program:
    return Program.make(kind="classification", strategy="rule", source=source, input_schema=SCHEMA)


class World:
    """A broker in memory and an executor that reads it."""

    def __init__(self, broker: MemoryBroker, executor: Executor) -> None:
        self.broker = broker
        self.executor = executor
        self._producer = broker.producer()

    async def deploy(self, app: str, versions: dict[int, Program], **deployment: object) -> None:
        for made in versions.values():
            await self._producer.send(PROGRAMS.name, Outgoing(made.id.encode(), encode(made)))
        d = Deployment(app=app, programs={str(v): p.id for v, p in versions.items()}, **deployment)  # type: ignore[arg-type]
        await self._producer.send(DEPLOYMENTS.name, Outgoing(app.encode(), msgspec.json.encode(d)))

    async def send(self, app: str, values: Sequence[bytes], key: Callable[[int], bytes] | None = None) -> None:
        for i, value in enumerate(values):
            headers = [("loopai-app", app.encode()), ("ce_id", f"{app}-{i}".encode())]
            await self._producer.send(INPUTS.name, Outgoing(key(i) if key else b"k%d" % i, value, headers))

    def results(self, app: str) -> list[ExecutionResult]:
        found = [msgspec.json.decode(m.value or b"", type=ExecutionResult) for m in self.broker.read(RESULTS.name)]
        return [r for r in found if r.app == app]

    async def until(self, done: Callable[[], bool], seconds: float = 20.0) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def world(settings: Settings, broker: MemoryBroker | None = None) -> AsyncIterator[World]:
    if broker is None:
        broker = MemoryBroker(partitions=4)
        await broker.ensure_topics(ALL)
    wanted = settings.executor
    async with Jail(Limits(hard_ms=wanted.hard_limit_ms, soft_ms=wanted.soft_limit_ms), mode=wanted.jail) as jail:
        executor = Executor(broker, jail, settings, SystemClock(), "test")
        task = asyncio.create_task(executor.run())
        made = World(broker, executor)
        try:
            await made.until(executor.ready.is_set)
            yield made
        finally:
            executor.stop()
            await asyncio.wait_for(task, 20)


def numbers(count: int) -> list[bytes]:
    return [b'{"n": %d}' % i for i in range(count)]


async def deployed(w: World, app: str, versions: dict[int, Program], **deployment: object) -> None:
    await w.deploy(app, versions, **deployment)
    revision = deployment["revision"]
    routes = w.executor._fleet.routes
    await w.until(lambda: app.encode() in routes and routes[app.encode()].deployment.revision == revision)


async def test_every_input_is_answered_by_the_deployed_program(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=4, stable=1, sampling=Sampling(rate=0.001))
        await w.send("double", numbers(3000))
        await w.until(lambda: len(w.results("double")) == 3000)
        results = {r.id: r for r in w.results("double")}
        assert all(results[f"double-{i}"].output == 2 * i for i in range(3000))
        one = results["double-5"]
        assert (one.version, one.variant, one.outcome, one.confidence, one.revision) == (1, "stable", "ok", 0.75, 4)
        assert one.latency_us > 0
    committed = w.broker._groups[settings.executor.group].offsets
    assert sum(committed.values()) == 3000


async def test_results_keep_the_key_the_partition_and_their_order(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1)
        await w.send("double", numbers(1000), key=lambda i: b"key-%d" % (i % 13))
        await w.until(lambda: len(w.results("double")) == 1000)
        inputs = {record_id(m): m for m in w.broker.read(INPUTS.name)}
        seen: dict[bytes, int] = {}
        for message in w.broker.read(RESULTS.name):
            origin = inputs[record_id(message)]
            assert (message.key, message.partition) == (origin.key, origin.partition)
            assert seen.get(message.key or b"", -1) < origin.offset
            seen[message.key or b""] = origin.offset
            assert header(message.headers, "ce_type") == b"io.loopai.execution.completed.v1"


async def test_a_moody_program_costs_only_its_own_records(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "moody", {1: program(MOODY)}, revision=1, stable=1)
        await w.send("moody", numbers(100))
        await w.until(lambda: len(w.results("moody")) == 100)
        outcomes = {int(r.id.split("-")[1]): r for r in w.results("moody")}
        assert {i: r.outcome for i, r in outcomes.items() if r.outcome != "ok"} == {
            7: "error", 57: "error", 8: "timeout", 58: "timeout", 9: "abstained", 59: "abstained",
        }  # fmt: skip
        assert "seven" in (outcomes[7].reason or "")
        assert all(r.output == i for i, r in outcomes.items() if r.outcome == "ok")


async def test_bad_input_is_set_aside_with_its_reason_and_the_neighbours_are_answered(settings: Settings) -> None:
    bad = {
        b"{broken": "json",
        b'{"n": "text"}': "schema",
        b"[1]": "schema",
        b"": "json",
        b'{"n": 1, "pad": "' + b"x" * 2_000_000 + b'"}': "too_large",
        b"\xff\xfe": "json",
        b"[" * 10_000: "json",
    }
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1)
        values = [*bad, *numbers(200)]
        await w.send("double", values)
        await w.until(lambda: len(w.results("double")) == 200 and len(w.broker.read(DEAD_LETTERS.name)) == len(bad))
        letters = w.broker.read(DEAD_LETTERS.name)
        assert {m.value: (header(m.headers, REASON) or b"").decode() for m in letters} == bad


async def test_an_unknown_app_and_a_missing_header_are_set_aside(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1)
        await w.send("nobody", [b"{}"])
        await w.broker.producer().send(INPUTS.name, Outgoing(None, b'{"n": 1}'))
        await w.broker.producer().send(INPUTS.name, Outgoing(b"k", None, [("loopai-app", b"double")]))
        await w.until(lambda: len(w.broker.read(DEAD_LETTERS.name)) == 3)
        reasons = Counter(header(m.headers, REASON) for m in w.broker.read(DEAD_LETTERS.name))
        assert reasons == {b"unknown_app": 1, b"no_app": 1, b"tombstone": 1}


async def test_a_canary_splits_by_key_and_its_share_only_grows(settings: Settings) -> None:
    two = {1: program(DOUBLE), 2: program(TRIPLE)}
    async with world(settings) as w:
        taken: dict[int, set[bytes]] = {}
        for revision, share in enumerate((10, 50, 100), 1):
            await deployed(
                w, "app", two, revision=revision, stable=1, candidate=2, mode="canary", share=share, salt="s1"
            )
            before = len(w.results("app"))
            await w.send("app", numbers(2000), key=lambda i: b"user-%d" % i)
            await w.until(lambda n=before: len(w.results("app")) == n + 2000)  # type: ignore[misc]
            found = [
                (m.key or b"", msgspec.json.decode(m.value or b"", type=ExecutionResult))
                for m in w.broker.read(RESULTS.name)
            ]
            now = [(k, r) for k, r in found if r.revision == revision]
            taken[share] = {k for k, r in now if r.variant == "candidate"}
            assert all(r.version == (2 if r.variant == "candidate" else 1) for _, r in now)
        assert taken[10] < taken[50] < taken[100]
        assert 0.08 < len(taken[10]) / 2000 < 0.12
        assert 0.46 < len(taken[50]) / 2000 < 0.54
        assert len(taken[100]) == 2000


async def test_samples_carry_the_input_the_answer_and_their_probability(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1, sampling=Sampling(rate=0.2))
        await w.send("double", numbers(2000))
        await w.until(lambda: len(w.results("double")) == 2000)
        samples = [msgspec.json.decode(m.value or b"", type=Sample) for m in w.broker.read(SAMPLES.name)]
        assert 320 < len(samples) < 480
        for sample in samples:
            assert sample.output == 2 * sample.input["n"]
            assert sample.inclusion_probability == 0.2
        assert len({s.id for s in samples}) == len(samples)


async def test_a_restart_reads_again_what_was_not_committed_and_loses_nothing(settings: Settings) -> None:
    broker = MemoryBroker(partitions=4)
    await broker.ensure_topics(ALL)
    async with world(settings, broker) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1)
        await w.send("double", numbers(500))
        await w.until(lambda: len(w.results("double")) == 500)
    offsets = broker._groups[settings.executor.group].offsets
    for partition in list(offsets):
        offsets[partition] = max(0, offsets[partition] - 50)  # as if the last commits had not been made
    async with world(settings, broker) as w:
        await w.until(lambda: len(w.results("double")) >= 700)
    assert {r.id for r in w.results("double")} == {f"double-{i}" for i in range(500)}
    assert all(offset > 0 for offset in offsets.values())


async def test_a_program_that_will_not_load_answers_with_the_reason(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "bad", {1: program("import os\ndef run(record): return 1\n")}, revision=1, stable=1)
        await w.send("bad", numbers(3))
        await w.until(lambda: len(w.results("bad")) == 3)
        assert {r.outcome for r in w.results("bad")} == {"rejected"}
        assert all("os" in (r.reason or "") for r in w.results("bad"))


async def test_garbage_and_old_revisions_on_the_compacted_topics_change_nothing(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "app", {2: program(TRIPLE)}, revision=5, stable=2)
        producer = w.broker.producer()
        await producer.send(DEPLOYMENTS.name, Outgoing(b"app", b"{garbage"))
        forged = msgspec.structs.replace(program(DOUBLE), source=TRIPLE)
        await producer.send(PROGRAMS.name, Outgoing(forged.id.encode(), encode(forged)))
        await w.deploy("app", {1: program(DOUBLE)}, revision=4, stable=1)
        await w.until(lambda: w.executor._fleet.garbage == 2)
        await w.send("app", numbers(10))
        await w.until(lambda: len(w.results("app")) == 10)
        assert all(r.version == 2 and r.revision == 5 for r in w.results("app"))


async def test_a_slow_program_does_not_starve_another_app(settings: Settings) -> None:
    if settings.executor.exactly_once:
        settings = Settings()  # a transaction holds all of a round: neighbours wait for each other there
    slow = "def run(record):\n    x = 0\n    for i in range(200000):\n        x += i\n    return x\n"
    async with world(settings) as w:
        await deployed(w, "slow", {1: program(slow)}, revision=1, stable=1)
        await deployed(w, "quick", {1: program(DOUBLE)}, revision=1, stable=1)
        await w.send("slow", numbers(600))
        await w.send("quick", numbers(600))
        await w.until(lambda: len(w.results("quick")) == 600)
        assert len(w.results("slow")) < 600
        await w.until(lambda: len(w.results("slow")) == 600, 60)


async def test_counts_go_out_as_one_window_a_second(settings: Settings) -> None:
    async with world(settings) as w:
        await deployed(w, "double", {1: program(DOUBLE)}, revision=1, stable=1)
        await w.send("double", [*numbers(50), b"{"])
        await w.until(lambda: bool(w.broker.read(METRICS.name)))
        await asyncio.sleep(1.2)
        windows = [msgspec.json.decode(m.value or b"", type=MetricsWindow) for m in w.broker.read(METRICS.name)]
        assert sum(x.ok for x in windows) == 50
        assert sum(x.set_aside for x in windows) == 1
        assert windows[0].by_version == {"1": 51} or sum(x.inputs for x in windows) == 51
        assert all(x.p50_us is None or 0 < x.p50_us <= (x.p99_us or 0) for x in windows)
