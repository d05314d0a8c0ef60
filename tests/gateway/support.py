"""A gateway for tests: real store, real HTTP and sockets, the broker in memory, and a controller of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx2
import msgspec
import socketio

from gateway.deps import Execute, Gateway
from gateway.server import Server
from loopai.clock import Clock, SystemClock, iso
from loopai.deployments import Deployment
from loopai.records import Command, Event, ExecutionResult, Rollout
from loopai.settings import Settings
from programs.artifact import Program
from programs.store import Store
from streams.broker import Outgoing
from streams.cloudevents import event_headers
from streams.codec import decode, encode
from streams.memory import MemoryBroker, MemoryMessage
from streams.topics import COMMANDS, ROLLOUTS, Topic

APP = {"id": "spam-filter", "labels": ["ham", "spam"]}
NAMES = ("event", "batch", "validation_result", "drift_alert", "rollout_event", "bye")


async def echo(app: str, values: Sequence[bytes]) -> list[ExecutionResult]:
    """Executes by giving back what came in."""
    return [
        ExecutionResult(id="given", app=app, version=1, variant="stable", outcome="ok", output=msgspec.json.decode(v))
        for v in values
    ]


class Running:
    """One gateway that listens, with what a test wants to look at."""

    def __init__(self, server: Server, store: Store, broker: MemoryBroker) -> None:
        self.server = server
        self.store = store
        self.broker = broker
        self.parts = server.app.parts

    @property
    def url(self) -> str:
        return self.server.url

    def client(self, **headers: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, headers=headers)

    async def publish(self, topic: Topic, value: Any, app: str = "spam-filter", type: str = "any") -> None:
        raw = value if isinstance(value, bytes) else encode(value)
        headers = event_headers(id="x", type=f"io.loopai.{type}.v1", source="/test", app=app)
        await self.broker.producer().send(topic.name, Outgoing(app.encode(), raw, headers))

    def read(self, topic: Topic) -> list[MemoryMessage]:
        return self.broker.read(topic.name)

    def commands(self) -> list[Command]:
        return [decode(message.value, Command) for message in self.read(COMMANDS)]


async def run_gateway(
    store: Store,
    broker: MemoryBroker,
    settings: Settings,
    *,
    execute: Execute = echo,
    clock: Clock | None = None,
) -> Running:
    server = Server(Gateway(settings, store, broker, execute, clock or SystemClock()))
    await server.start()
    return Running(server, store, broker)


class Controller:
    """Answers commands: keeps a rollout in the store and says what it did, or refuses with `refusal`."""

    def __init__(self, gateway: Running) -> None:
        self.refusal = ""
        self.silent = False
        self.heard: list[Command] = []
        self._gateway = gateway
        self._store = gateway.store
        self._consumer = gateway.broker.consumer([COMMANDS], group="controllers")

    async def run(self) -> None:
        await self._consumer.start()
        while True:
            for messages in (await self._consumer.getmany(0.2, 100)).values():
                for message in messages:
                    await self._answer(decode(message.value, Command))

    async def _answer(self, command: Command) -> None:
        self.heard.append(command)
        if self.silent or command.verb == "app.changed":
            return
        if self.refusal:
            await self._say(command, "command.refused", self.refusal)
            return
        if command.verb == "program.generate":
            run = await self._store.get_run(command.arguments["run"])
            done = msgspec.structs.replace(run, state="succeeded", progress=1.0, result={"version": 1})
            await self._store.put_run(done)
            await self._say(command, "program.generated", "Wrote program v1.", run=run.id)
            return
        rollout, type = await self._move(command)
        await self._store.put_rollout(rollout)
        state = {"rollout": rollout.id, "to": rollout.to_version, "weight": rollout.weight}
        await self._say(command, type, f"{command.verb} done.", **state)

    async def _move(self, command: Command) -> tuple[Rollout, str]:
        at = iso(0)
        if command.verb == "rollout.start":
            stages = tuple(command.arguments.get("stages", (10, 50, 100)))
            to = command.arguments["version"]
            new = Rollout(
                id=command.id, app=command.app, from_version=1, to_version=to, stages=stages, weight=stages[0]
            )
            return msgspec.structs.replace(new, started_at=at, updated_at=at), "rollout.started"
        current = (await self._store.list_rollouts(command.app, 1))[0]
        reason = command.arguments.get("reason", "")
        change: Callable[..., Rollout] = msgspec.structs.replace
        match command.verb:
            case "rollout.promote":
                weight = current.stages[current.stages.index(current.weight) + 1]
                state = "completed" if weight == 100 else "running"
                return change(current, weight=weight, state=state), "rollout.step_changed"
            case "rollout.promote_all":
                return change(current, weight=100, state="completed"), "rollout.completed"
            case "rollout.pause":
                return change(current, state="paused"), "rollout.paused"
            case "rollout.resume":
                return change(current, state="running"), "rollout.resumed"
            case _:
                return change(current, weight=0, state="rolled_back", reason=reason), "rollout.rolled_back"

    async def _say(self, command: Command, type: str, summary: str, **data: Any) -> None:
        event = Event(
            id=f"answer-{command.id}",
            type=type,
            app=command.app,
            at=iso(0),
            summary=summary,
            data=data,
            command=command.id,
        )
        await self._gateway.publish(ROLLOUTS, event, command.app, type)


class Client:
    """A Socket.IO client that writes down what it is sent, in order."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Any]] = []
        self.socket = socketio.AsyncClient(reconnection=False)
        for name in NAMES:
            self.socket.on(name, self._hear(name), namespace="/live")

    def _hear(self, name: str) -> Callable[[Any], None]:
        return lambda payload=None: self.got.append((name, payload))

    async def connect(self, url: str, **options: Any) -> None:
        await self.socket.connect(url, namespaces=["/live"], transports=["websocket"], **options)

    async def ask(self, name: str, payload: Any) -> Any:
        return await self.socket.call(name, payload, namespace="/live", timeout=10)

    def named(self, name: str) -> list[Any]:
        return [payload for heard, payload in self.got if heard == name]

    def sequences(self) -> list[int]:
        return [int(envelope["sequence"]) for envelope in self.named("event") if "sequence" in envelope]

    async def close(self) -> None:
        await self.socket.disconnect()


async def until(true: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 15) -> None:
    """Returns once the condition holds; fails after a while."""
    async with asyncio.timeout(seconds):
        while True:
            held = true()
            if (await held) if isinstance(held, Awaitable) else held:
                return
            await asyncio.sleep(0.02)


def drift(id: str, app: str = "spam-filter", type: str = "drift.detected", **data: Any) -> Event:
    return Event(id=id, type=type, app=app, at=iso(0), summary=f"{app} drifts", data={"detector": "adwin", **data})


def moved(id: str, app: str = "spam-filter", type: str = "rollout.step_changed", **data: Any) -> Event:
    return Event(id=id, type=type, app=app, at=iso(0), summary=f"{app} moves", data=data)


async def deployed(store: Store, app: str = "spam-filter", versions: int = 2) -> None:
    """An app that exists gets `versions` programs, the first of them stable."""
    ids = {}
    for n in range(1, versions + 1):
        program = Program.make(kind="classification", strategy="rule", source=f"def run(r): return {n}")
        ids[str(await store.add_program(app, program))] = program.id
    await store.put_deployment(Deployment(app=app, revision=1, stable=1, programs={"1": ids["1"]}))
