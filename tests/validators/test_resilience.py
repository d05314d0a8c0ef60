"""An oracle that goes bad in the middle of a stream: every sample ends, and checks go on by themselves."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from loopai.apps import Budget, OraclePolicy
from loopai.clock import SystemClock
from loopai.records import ValidationResult
from programs.providers.budget import MemoryLedger
from programs.providers.local_answers import LocalAnswers
from programs.providers.local_server import Behaviour, LocalModelServer
from programs.providers.models import Models
from programs.providers.retrying import RetryPolicy
from streams.broker import Outgoing
from streams.memory import MemoryBroker
from streams.topics import ALL, SAMPLES
from streams.worker import Worker, WorkerOptions
from tests.programs.providers.helpers import DEAR, endpoint
from tests.validators.helpers import SPAM, MemoryStore, sample
from validators.model_oracle import ModelOracle
from validators.validator import Validator


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("429", "unavailable"),
        ("500", "unavailable"),
        ("half", "unavailable"),
        ("nonsense", "unavailable"),
        ("prose", "oracle_schema"),
        ("hang", "expired"),
    ],
)
async def test_every_sample_ends_and_checks_resume(behaviour: Behaviour, reason: str) -> None:
    policy = OraclePolicy(kind="llm", wait_seconds=2 if behaviour == "hang" else 20)
    app = msgspec.structs.replace(SPAM, oracle=policy, budget=Budget(usd_per_day=1e6, calls_per_day=1_000))
    ledger, store, broker = MemoryLedger(), MemoryStore(app), MemoryBroker()
    await broker.ensure_topics(ALL)
    producer = broker.producer()
    await producer.start()

    async def feed(first: int, last: int) -> None:
        for i in range(first, last):
            one = sample(f"r{i}", input={"text": f"text {i}"})
            await (await producer.send(SAMPLES.name, Outgoing(b"sms", msgspec.json.encode(one))))

    async with LocalModelServer(LocalAnswers(default="ham")) as server:
        model = endpoint(server, timeout=30, price=DEAR)
        retry = RetryPolicy(attempts=2, first_pause=0.01)
        models = Models([model], ledger, SystemClock(), retry=retry)
        oracle = ModelOracle(lambda app: models.for_app(app, "validate"))
        worker = Worker(
            broker, [SAMPLES], "validators", Validator(store, oracle, SystemClock()), WorkerOptions(parallel=8)
        )
        running = asyncio.create_task(worker.run())
        server.behave(behaviour, times=-1)
        await feed(0, 16)
        await handled(worker, 16)
        server.forgive()
        await feed(16, 40)
        await handled(worker, 40)
        worker.stop()
        await running
        await model.close()
    ends = Counter((row.verdict, row.reason) for row in store.rows.values())
    assert ends == {("error", reason): 16, ("match", None): 24}
    good = [row for row in store.rows.values() if row.verdict == "match"]
    assert sum(ledger.spent_usd.values()) >= sum(row.cost_usd for row in good) > 0
    assert {type(row) for row in good} == {ValidationResult}
    await producer.stop()
    await broker.close()


async def handled(worker: Worker, count: int) -> None:
    async with asyncio.timeout(60):
        while worker.handled < count:
            await asyncio.sleep(0.02)
