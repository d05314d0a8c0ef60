"""Settings in, a running role out: the only place where adapters are chosen and roles are put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from loopai.apps import OracleKind
from loopai.cli import traces
from loopai.cli.admin import AdminServer
from loopai.cli.output import print_json
from loopai.clock import SystemClock
from loopai.errors import TransientError
from loopai.settings import Settings
from streams.broker import Broker
from streams.kafka import KafkaBroker
from streams.topics import ALL, COMMANDS, SAMPLES, VALIDATIONS

if TYPE_CHECKING:  # each role imports what it needs when it starts; an executor carries no scikit-learn
    from executors.executor import Executor
    from programs.store import Store
    from validators.oracles import Oracle

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.3, 5.0


async def run(role: str, settings: Settings) -> None:
    """Runs a role until SIGTERM or SIGINT, then drains."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        stack.callback(traces.configure(role, settings.telemetry, settings.environment))
        broker = KafkaBroker(settings.kafka, client_id=f"loopai-{role}")
        await _patiently(lambda: broker.ensure_topics(ALL), stopping)
        await _ROLES[role](settings, broker, stopping, stack)


async def _patiently(work: Callable[[], Awaitable[None]], stopping: asyncio.Event) -> None:
    """Waits for what is not there yet: a role may start before its Kafka."""
    pause = _FIRST_PAUSE
    while not stopping.is_set():
        try:
            await work()
            return
        except TransientError as error:
            log.warning("Waiting: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


@contextlib.asynccontextmanager
async def _admin(
    settings: Settings, registry: CollectorRegistry, ready: Callable[[], dict[str, str]]
) -> AsyncIterator[AdminServer]:
    server = AdminServer(registry, ready, host=settings.gateway.host, port=settings.telemetry.metrics_port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _until(stopping: asyncio.Event, *tasks: asyncio.Task[None]) -> None:
    """Until told to stop, or until a task ends, whose error is raised."""
    stop = asyncio.create_task(stopping.wait())
    done, _ = await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    for task in done - {stop}:
        task.result()


def _source(role: str) -> str:
    return f"{role}-{socket.gethostname()}-{os.getpid()}"


async def _executor(settings: Settings, broker: Broker, stopping: asyncio.Event, stack: AsyncExitStack) -> None:
    from executors.executor import Executor
    from executors.jail.jail import Jail
    from executors.jail.limits import Limits
    from loopai.cli.metrics import executor_metrics

    wanted = settings.executor
    limits = Limits(
        soft_ms=wanted.soft_limit_ms,
        hard_ms=wanted.hard_limit_ms,
        memory_bytes=wanted.memory_mb << 20,
        max_kills=wanted.max_kills,
    )
    jail = await stack.enter_async_context(Jail(limits, mode=wanted.jail))
    executor = Executor(broker, jail, settings, SystemClock(), _source("executor"))
    registry = CollectorRegistry()
    executor_metrics(registry, executor, jail)
    admin = await stack.enter_async_context(_admin(settings, registry, lambda: _executor_parts(executor)))
    task = asyncio.create_task(executor.run())
    await _until(stopping, task, asyncio.create_task(_tell_when(executor.ready, "executor", admin)))
    executor.stop()
    await task


def _executor_parts(executor: Executor) -> dict[str, str]:
    return {"stream": "ok" if executor.ready.is_set() else "starting"} | {
        f"jail.{k}": v if not v.startswith("absent") else f"ok without ({v})" for k, v in executor.layers.items()
    }


async def _tell_when(ready: asyncio.Event, role: str, admin: AdminServer) -> None:
    await ready.wait()
    print_json({"ready": True, "role": role, "port": admin.port})
    await asyncio.Event().wait()


async def _validator(settings: Settings, broker: Broker, stopping: asyncio.Event, stack: AsyncExitStack) -> None:
    from loopai.cli.metrics import validator_metrics
    from programs.store import Store
    from streams.worker import Worker, WorkerOptions
    from validators.label_oracle import LabelsFollower, LabelsOracle
    from validators.oracles import Oracles
    from validators.validator import Validator

    clock = SystemClock()
    store = await Store.open(settings.store_url, pool_size=settings.store.pool_size)
    stack.push_async_callback(store.close)
    labels = LabelsOracle(clock, kept=settings.validator.labels_kept, live=True)
    if settings.validator.labels_file:
        log.info("%d known answers from %s.", labels.load(Path(settings.validator.labels_file)), "labels_file")
    follower = LabelsFollower(broker, labels)
    by_kind: dict[OracleKind, Oracle] = {"labels": labels}
    oracles = Oracles(by_kind | await _model_oracle(settings, store, stack))
    validator = Validator(store, oracles, clock)
    options = WorkerOptions(parallel=settings.validator.parallel, instance=settings.validator.instance)
    worker = Worker(broker, [SAMPLES], settings.validator.group, validator, options)
    registry = CollectorRegistry()
    validator_metrics(registry, validator)
    state = lambda: {"stream": "ok" if worker.ready.is_set() else "starting"}  # noqa: E731
    admin = await stack.enter_async_context(_admin(settings, registry, state))
    following = asyncio.create_task(follower.run())
    task = asyncio.create_task(worker.run())
    await _until(stopping, task, following, asyncio.create_task(_tell_when(worker.ready, "validator", admin)))
    worker.stop()
    follower.stop()
    await task
    await following


async def _model_oracle(settings: Settings, store: Store, stack: AsyncExitStack) -> dict[OracleKind, Oracle]:
    """The LLM oracle, where a key or an endpoint is set. Without one an app that asks for it is told so."""
    if not (settings.oracle.api_key.get_secret_value() or settings.oracle.base_url):
        log.info("No API key: apps with an LLM oracle get no checks; labels work without one.")
        return {}
    from programs.providers.models import Models
    from programs.providers.openai_model import OpenAIModel
    from programs.providers.retrying import RetryPolicy
    from validators.model_oracle import ModelOracle

    endpoint = OpenAIModel(settings.oracle)
    stack.push_async_callback(endpoint.close)
    models = Models([endpoint], store, SystemClock(), retry=RetryPolicy(attempts=settings.oracle.max_retries + 1))
    return {"llm": ModelOracle(lambda app: models.for_app(app, "validate"))}


async def _controller(settings: Settings, broker: Broker, stopping: asyncio.Event, stack: AsyncExitStack) -> None:
    from loopai.cli.generation import ChildGenerator
    from loopai.cli.metrics import controller_metrics
    from programs.store import Store
    from rollouts.controller import Controller
    from rollouts.improver import Improver
    from streams.worker import Worker, WorkerOptions

    clock = SystemClock()
    store = await Store.open(settings.store_url, pool_size=settings.store.pool_size)
    stack.push_async_callback(store.close)
    improver = Improver(store, ChildGenerator(settings.controller.generation_seconds), clock)
    controller = Controller(store, improver, clock)
    stack.push_async_callback(controller.close)
    options = WorkerOptions(instance=settings.controller.instance, tick_seconds=0.5)
    topics = [VALIDATIONS, COMMANDS, SAMPLES]
    worker = Worker(broker, topics, settings.controller.group, controller, options)
    registry = CollectorRegistry()
    controller_metrics(registry, controller)
    state = lambda: {"stream": "ok" if worker.ready.is_set() else "starting"}  # noqa: E731
    admin = await stack.enter_async_context(_admin(settings, registry, state))
    task = asyncio.create_task(worker.run())
    await _until(stopping, task, asyncio.create_task(_tell_when(worker.ready, "controller", admin)))
    worker.stop()
    await task


async def _gateway(settings: Settings, broker: Broker, stopping: asyncio.Event, stack: AsyncExitStack) -> None:
    from executors.direct import Direct
    from executors.jail.jail import Jail
    from gateway.deps import Gateway
    from gateway.server import Server
    from programs.store import Store

    store = await Store.open(settings.store_url, pool_size=settings.store.pool_size)
    stack.push_async_callback(store.close)
    jail = await stack.enter_async_context(Jail(mode=settings.executor.jail))
    direct = Direct(broker, jail)
    await direct.start()
    stack.push_async_callback(direct.stop)
    server = Server(Gateway(settings, store, broker, direct.execute, SystemClock()))
    await server.start()
    stack.push_async_callback(server.stop)
    print_json({"ready": True, "role": "gateway", "port": server.port, "url": server.url})
    await _until(stopping, asyncio.create_task(server.wait()))


_ROLES = {"executor": _executor, "validator": _validator, "controller": _controller, "gateway": _gateway}
