"""The controller as it runs: a worker, a broker and the real store (SQLite), messages written by others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from loopai.apps import LoopApp, RolloutPolicy
from loopai.clock import SystemClock
from loopai.deployments import Deployment
from loopai.records import Command, Event, Example, ValidationResult
from programs.store.store import Store
from rollouts import ports
from rollouts.controller import TOPICS, Controller
from rollouts.improver import Improver
from streams.broker import Outgoing
from streams.codec import encode
from streams.memory import MemoryBroker
from streams.topics import COMMANDS, DEPLOYMENTS, METRICS, PROGRAMS, ROLLOUTS, VALIDATIONS, Topic
from streams.worker import Worker, WorkerOptions
from tests.rollouts.fakes import Writer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'loopai.db'}")
    yield store
    await store.close()


class Running:
    """One controller process: worker, controller, improver."""

    def __init__(self, broker: MemoryBroker, store: ports.Store) -> None:
        clock = SystemClock()
        self.controller = Controller(store, Improver(store, Writer(), clock), clock)
        self.worker = Worker(broker, TOPICS, "controllers", self.controller, WorkerOptions(tick_seconds=0.2))
        self.task = asyncio.create_task(self.worker.run())

    async def stop(self) -> None:
        self.worker.stop()
        await self.task
        await self.controller.close()

    async def kill(self) -> None:
        """No drain, no last tick."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def values(broker: MemoryBroker, topic: Topic) -> list[bytes]:
    return [m.value or b"" for m in broker.read(topic.name)]


def told(broker: MemoryBroker) -> list[Event]:
    return [msgspec.json.decode(v, type=Event) for v in values(broker, ROLLOUTS)]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_from_the_first_program_to_a_rollback_over_a_restart(store: Store) -> None:
    broker = MemoryBroker()
    producer = broker.producer()
    app = LoopApp(id="spam", rollout=RolloutPolicy(min_checks=40, min_agreement=0.9))
    await store.put_app(app)
    await store.add_examples("spam", [Example(id=f"e{n}", input={"text": f"t{n}"}, expected="ham") for n in range(20)])

    async def send(topic: Topic, value: Command | ValidationResult) -> None:
        await (await producer.send(topic.name, Outgoing(value.app.encode(), encode(value))))

    async def command(id: str, verb: str, **arguments: object) -> Event:
        await send(COMMANDS, msgspec.convert({"id": id, "app": "spam", "verb": verb, "arguments": arguments}, Command))
        await until(lambda: any(e.command == id for e in told(broker)))
        return next(e for e in told(broker) if e.command == id)

    async def check(n: int, version: int, right: bool) -> None:
        await send(
            VALIDATIONS,
            ValidationResult(
                id=f"r{n}",
                app="spam",
                version=version,
                program="p",
                variant="candidate" if version == 2 else "stable",
                tier=3,
                verdict="match" if right else "mismatch",
                inclusion_probability=0.1,
            ),
        )

    running = Running(broker, store)
    assert (await command("g1", "program.generate")).type == "program.generating"
    await until(lambda: len(values(broker, DEPLOYMENTS)) == 1)
    assert (await store.get_run("g1")).state == "succeeded"
    await command("g2", "program.generate", rollout=True)
    await until(lambda: "rollout.started" in [e.type for e in told(broker)])
    for n in range(30):
        await check(n, 2, True)
        await check(100 + n, 1, True)
    await until(lambda: running.worker.handled >= 62)
    await running.kill()

    # Another process goes on with what the first one knew: ten more checks are enough for the step.
    running = Running(broker, store)
    for n in range(200, 212):
        await check(n, 2, True)
    await until(lambda: "rollout.step_changed" in [e.type for e in told(broker)])
    for n in range(300, 340):
        await check(n, 2, False)
    await until(lambda: "rollout.rolled_back" in [e.type for e in told(broker)])
    await until(lambda: len(values(broker, METRICS)) > 0)
    refused = await command("s1", "rollout.start", version=2)
    assert refused.type == "command.refused"
    await running.stop()

    types = [e.type for e in told(broker)]
    assert types == [
        "program.generating",
        "program.generated",
        "program.activated",
        "program.generating",
        "program.generated",
        "rollout.started",
        "rollout.step_changed",
        "rollout.rolled_back",
        "command.refused",
    ]
    assert len({e.id for e in told(broker)}) == len(types)
    deployments = [msgspec.json.decode(v, type=Deployment) for v in values(broker, DEPLOYMENTS)]
    revisions = [d.revision for d in deployments]
    assert sorted(set(revisions)) == [1, 2, 3, 4]
    assert revisions == sorted(revisions)
    assert deployments[-1] == await store.get_deployment("spam")
    assert (deployments[-1].stable, deployments[-1].candidate) == (1, None)
    programs = {m.key for m in broker.read(PROGRAMS.name)}
    assert programs == {(await store.get_program("spam", v)).id.encode() for v in (1, 2)}
    assert [r.state for r in await store.list_rollouts("spam")] == ["rolled_back"]
    # The rolled-back sentence says so in the timeline's words.
    assert told(broker)[7].summary.startswith("Went back to v1: right answers")
