"""The role: samples through the worker loop to results, the store and the news of a spent budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from loopai.apps import Budget, LoopApp, OraclePolicy
from loopai.clock import ManualClock, SystemClock
from loopai.errors import RecordError, TransientError
from loopai.records import Event, Label, Sample, ValidationResult
from programs.providers.budget import MemoryLedger
from programs.providers.local_answers import LocalAnswers
from programs.providers.local_server import LocalModelServer
from programs.providers.models import Models
from programs.store import Store
from streams.broker import Outgoing
from streams.cloudevents import event_type
from streams.memory import MemoryBroker
from streams.topics import ALL, DEAD_LETTERS, DRIFT_ALERTS, SAMPLES, VALIDATIONS
from streams.worker import Output, Worker, WorkerOptions
from tests.programs.providers.helpers import endpoint
from tests.validators.helpers import SPAM, MemoryStore, Sent, sample, sent
from validators.journal import Journal
from validators.label_oracle import LabelsOracle
from validators.model_oracle import ModelOracle
from validators.oracles import NoOracle, Oracle, OracleAnswer, Oracles
from validators.validator import Validator


def labels(**known: str) -> LabelsOracle:
    oracle = LabelsOracle(ManualClock())
    for id, expected in known.items():
        oracle.put(Label(id=id, app="sms", expected=expected))
    return oracle


def result_of(outputs: Sequence[Output]) -> ValidationResult:
    assert outputs[0].topic == VALIDATIONS
    assert outputs[0].record.value is not None
    return msgspec.json.decode(outputs[0].record.value, type=ValidationResult)


async def test_a_sample_becomes_a_result_that_carries_everything() -> None:
    store = MemoryStore(SPAM)
    validator = Validator(store, labels(r1="ham", r2="spam"), ManualClock())
    outputs = await validator.handle(sent(sample("r2")))
    result = result_of(outputs)
    assert result == ValidationResult(
        id="r2",
        app="sms",
        version=1,
        program="p1",
        variant="stable",
        tier=3,
        verdict="mismatch",
        expected="spam",
        output="ham",
        similarity=0.0,
        comparator="exact/1",
        inclusion_probability=0.1,
        oracle="labels",
        oracle_ms=result.oracle_ms,
        revision=3,
        validated_at="1970-01-12T13:46:40.000Z",
    )
    assert outputs[0].record.key == b"sms"
    assert event_type(outputs[0].record.headers) == "validation.completed"
    assert list(store.rows.values()) == [result]
    assert result_of(await validator.handle(sent(sample("r1")))).verdict == "match"
    assert validator.counters.validations == {("sms", "p1", "mismatch"): 1, ("sms", "p1", "match"): 1}
    assert validator.counters.oracle_requests == {("labels", "ok"): 2}


async def test_a_trace_goes_on_through_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    validator = Validator(MemoryStore(SPAM), labels(r1="ham"), ManualClock())
    assert "traceparent" not in dict((await validator.handle(sent(sample())))[0].record.headers)
    begun, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    carried = [("traceparent", f"00-{begun}-{parent}-01".encode())]
    outputs = await validator.handle(msgspec.structs.replace(sent(sample()), headers=carried))
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("process loopai.samples", trace.SpanKind.CONSUMER)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == parent
    assert dict(span.attributes or {})["messaging.destination.partition.id"] == "0"
    onwards = dict(outputs[0].record.headers)["traceparent"].decode()
    assert onwards.split("-")[1:3] == [begun, f"{span.context.span_id:016x}"]
    broken = msgspec.structs.replace(sent(sample()), headers=[("traceparent", b"\xff nonsense")])
    assert result_of(await validator.handle(broken)).verdict == "match"
    provider.shutdown()


async def test_a_cheap_tier_asks_no_oracle() -> None:
    validator = Validator(MemoryStore(SPAM), labels(r1="ham"), ManualClock())
    result = result_of(await validator.handle(sent(sample(outcome="timeout", output=None))))
    assert (result.tier, result.verdict, result.reason, result.inclusion_probability) == (1, "mismatch", "timeout", 0.1)
    assert not validator.counters.oracle_requests


@pytest.mark.parametrize("value", [None, b"{", b"[]", b'{"id": "r1"}'])
async def test_what_is_no_sample_is_a_bad_record(value: bytes | None) -> None:
    with pytest.raises(RecordError):
        await Validator(MemoryStore(SPAM), labels(), ManualClock()).handle(Sent(value))


@pytest.mark.parametrize("depth", [50, 900, 5_000, 100_000])
async def test_a_sample_nested_too_deeply_is_a_bad_record_and_no_crash(depth: int) -> None:
    app = msgspec.structs.replace(SPAM, kind="extraction", labels=(), output_schema={"type": "array"})
    oracle = LabelsOracle(ManualClock())
    deep: list[Any] = []
    for _ in range(min(depth, 500) - 1):
        deep = [deep]
    oracle.put(Label(id="r1", app="sms", expected=deep))
    value = msgspec.json.encode(sample(output=0)).replace(b'"output":0', b'"output":' + b"[" * depth + b"]" * depth)
    validator = Validator(MemoryStore(app), oracle, ManualClock())
    if depth < 900:
        assert result_of(await validator.handle(Sent(value))).verdict == "match"
    else:
        with pytest.raises(RecordError) as caught:
            await validator.handle(Sent(value))
        assert caught.value.reason == "depth"


@pytest.mark.parametrize("odd", ["\x00", "a" * 100_000, "\u202e</script>", "é" * 300])
async def test_odd_ids_and_texts_pass_through_the_store(odd: str, tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'odd.db'}")
    await store.put_app(SPAM)
    oracle = LabelsOracle(ManualClock())
    oracle.put(Label(id=odd, app="sms", expected="ham"))
    validator = Validator(store, oracle, ManualClock())
    for _ in range(2):
        one = await validator.handle(sent(sample(odd, input={"text": odd}, program=odd)))
        assert (result_of(one).id, result_of(one).verdict) == (odd, "match")
    page = await store.list_validations("sms")
    assert len(page.items) == 1, "twice delivered is once kept"
    await store.close()


async def test_a_silent_oracle_is_told_in_the_log_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    validator = Validator(MemoryStore(SPAM), LabelsOracle(clock), clock)
    for _ in range(3):
        await validator.handle(sent(sample()))
    assert len(caplog.records) == 1
    clock.advance(61)
    await validator.handle(sent(sample()))
    assert len(caplog.records) == 2


async def test_a_sample_of_no_app_is_a_bad_record() -> None:
    with pytest.raises(RecordError) as caught:
        await Validator(MemoryStore(), labels(), ManualClock()).handle(sent(sample()))
    assert caught.value.reason == "unknown_app"


async def test_a_changed_app_is_in_force_within_two_seconds() -> None:
    store, clock = MemoryStore(SPAM), ManualClock()
    validator = Validator(store, labels(r1="ham"), clock)
    await validator.handle(sent(sample()))
    store.apps["sms"] = msgspec.structs.replace(SPAM, labels=("spam",), revision=2)
    assert result_of(await validator.handle(sent(sample()))).verdict == "match"
    assert store.looked_up == 1
    clock.advance(2)
    assert result_of(await validator.handle(sent(sample()))).reason == "label"


async def test_an_app_without_an_oracle_is_unsure_and_says_so() -> None:
    for kind in ("none", "human"):
        app = msgspec.structs.replace(SPAM, oracle=OraclePolicy(kind=kind))
        validator = Validator(MemoryStore(app), Oracles({"labels": labels(), "none": NoOracle()}), ManualClock())
        result = result_of(await validator.handle(sent(sample())))
        assert (result.tier, result.verdict, result.reason, result.oracle) == (3, "unsure", "no_oracle", kind)


async def test_a_missing_label_is_an_error_with_its_reason() -> None:
    result = result_of(await Validator(MemoryStore(SPAM), labels(), ManualClock()).handle(sent(sample())))
    assert (result.verdict, result.reason, result.expected) == ("error", "no_label", None)


async def test_an_answer_of_the_oracle_that_is_none_of_the_apps_is_an_error_and_no_mismatch() -> None:
    result = result_of(await Validator(MemoryStore(SPAM), labels(r1="eggs"), ManualClock()).handle(sent(sample())))
    assert (result.verdict, result.reason, result.expected) == ("error", "oracle_schema", "eggs")


async def test_a_spent_budget_is_told_once_an_app_and_day() -> None:
    app = msgspec.structs.replace(SPAM, oracle=OraclePolicy(kind="llm"), budget=Budget(usd_per_day=1, calls_per_day=1))
    clock = ManualClock()
    async with LocalModelServer(LocalAnswers(default="ham")) as server:
        model = endpoint(server)
        models = Models([model], MemoryLedger(), clock)
        oracle = ModelOracle(lambda app: models.for_app(app, "validate"))
        validator = Validator(MemoryStore(app), oracle, clock)

        async def handle(id: str) -> Sequence[Output]:
            return await validator.handle(sent(sample(id, input={"text": id})))

        assert result_of(await handle("r1")).verdict == "match"
        second = await handle("r2")
        assert (result_of(second).verdict, result_of(second).reason) == ("error", "budget")
        assert second[1].topic == DRIFT_ALERTS
        event = msgspec.json.decode(second[1].record.value or b"", type=Event)
        assert (event.type, event.app, event.data["calls_per_day"]) == ("validation.budget_exhausted", "sms", 1)
        assert len(await handle("r3")) == 1, "told once"
        assert len(await handle("r2")) == 2, "told again only with the sample that told it"
        clock.advance(86_400)
        assert result_of(await handle("r4")).verdict == "match"
        assert (await handle("r5"))[1].topic == DRIFT_ALERTS
        assert server.calls == 2
        await model.close()


async def test_results_are_written_in_groups_and_an_error_reaches_all_of_the_group() -> None:
    class Slow(MemoryStore):
        broken = False

        async def add_validations(self, rows: Sequence[ValidationResult]) -> int:
            await asyncio.sleep(0.01)
            if self.broken:
                raise TransientError("the database is away")
            return await super().add_validations(rows)

    store = Slow(SPAM)
    validator = Validator(store, labels(**{f"r{i}": "ham" for i in range(100)}), ManualClock())
    await asyncio.gather(*(validator.handle(sent(sample(f"r{i}"))) for i in range(100)))
    assert len(store.rows) == 100
    assert store.writes <= 3
    store.broken = True
    failed = await asyncio.gather(
        *(validator.handle(sent(sample(f"r{i}", version=2))) for i in range(10)), return_exceptions=True
    )
    assert {type(each) for each in failed} == {TransientError}
    store.broken = False
    await validator.handle(sent(sample("r1", version=2)))


async def test_a_writer_that_is_cancelled_leaves_its_group_to_the_next() -> None:
    store, gate = MemoryStore(SPAM), asyncio.Event()

    class Gated(MemoryStore):
        async def add_validations(self, rows: Sequence[ValidationResult]) -> int:
            await gate.wait()
            return await store.add_validations(rows)

    journal = Journal(Gated(SPAM))
    result = result_of(await Validator(store, labels(), ManualClock()).handle(sent(sample("first"))))
    tasks = [asyncio.create_task(journal.write(msgspec.structs.replace(result, id=name))) for name in ("a", "b", "c")]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    await asyncio.sleep(0.01)
    gate.set()
    await asyncio.gather(*tasks[1:])
    assert {"b", "c"} <= {id for _, id, _ in store.rows}


async def test_through_the_worker_every_sample_ends_and_bad_ones_are_set_aside() -> None:
    broker = MemoryBroker()
    await broker.ensure_topics(ALL)
    app = LoopApp(id="sms", labels=("ham", "spam"), oracle=OraclePolicy(wait_seconds=0.2))
    store, oracle = MemoryStore(app), LabelsOracle(SystemClock(), live=True)
    oracle.caught_up.set()
    worker = Worker(
        broker, [SAMPLES], "validators", Validator(store, oracle, SystemClock()), WorkerOptions(parallel=16)
    )
    running = asyncio.create_task(worker.run())
    producer = broker.producer()
    await producer.start()
    for i in range(60):
        one = msgspec.json.encode(sample(f"r{i}", sampled_at="")) if i % 20 else b"not json"
        await (await producer.send(SAMPLES.name, Outgoing(b"sms", one)))
        if i % 3 == 0:
            oracle.put(Label(id=f"r{i}", app="sms", expected="ham"))
    async with asyncio.timeout(10):
        while worker.handled < 60:
            await asyncio.sleep(0.02)
    worker.stop()
    await running
    verdicts = [row.verdict for row in store.rows.values()]
    assert (len(verdicts), verdicts.count("match"), verdicts.count("error")) == (57, 19, 38)
    assert worker.set_aside == 3
    reader = broker.consumer([VALIDATIONS, DEAD_LETTERS], group=None)
    await reader.start()
    read: list[str] = []
    async with asyncio.timeout(5):
        while len(read) < 60:
            for partition, messages in (await reader.getmany(0.1, 1_000)).items():
                read += [partition.topic] * len(messages)
    assert read.count(VALIDATIONS.name) == 57
    await reader.stop()
    await producer.stop()
    await broker.close()


async def test_two_thousand_checks_a_second_by_labels() -> None:
    count = 4_000
    validator = Validator(MemoryStore(SPAM), labels(**{f"r{i}": "ham" for i in range(count)}), SystemClock())
    messages = [sent(sample(f"r{i}")) for i in range(count)]
    began = time.process_time()  # of this core: other work on the machine says nothing about ours
    for i in range(0, count, 16):
        await asyncio.gather(*(validator.handle(message) for message in messages[i : i + 16]))
    assert count / (time.process_time() - began) > 2_000


def test_the_forms_are_oracles() -> None:
    oracles: list[Oracle] = [labels(), NoOracle(), Oracles({}), ModelOracle(lambda app: None)]  # type: ignore[arg-type,return-value]
    assert all(callable(oracle.ask) for oracle in oracles)
    assert isinstance(sample(), Sample)
    assert OracleAnswer(expected=1, oracle="x").cost_usd == 0.0
