"""`loopai demo`: the whole loop on this machine, on made-up traffic or on a file, with the page or without."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import typer

from loopai import settings as settings_module
from loopai.cli import logs
from loopai.cli.client import DEFAULT_URL, GatewayClient
from loopai.cli.output import err, print_json, progress
from loopai.cli.score import Scorekeeper
from loopai.cli.serve import Group
from loopai.cli.traffic import feed
from loopai.errors import ConfigurationError, ProgramError
from loopai.records import Example
from loopai.settings import Settings
from loopai.simulator import NAME, Simulator
from streams.kafka import KafkaBroker

app = typer.Typer(help="Everything on this machine.")

_TRAINING_ROWS = 600
_KAFKA_PORT = 9092
_FOREVER = 10**12


class Plan(NamedTuple):
    """What the demo runs: what it learns from, what it is fed, and how fast (records a second)."""

    app: str
    name: str
    training: list[Example]
    stream: Iterable[Example]
    simulated: bool
    rate: float
    seed: int


@app.command()
def demo(
    data: Path | None = typer.Option(None, exists=True, dir_okay=False, help="The stream, JSON Lines with labels."),
    train: Path | None = typer.Option(None, exists=True, dir_okay=False, help="Labelled rows to learn from."),
    headless: bool = typer.Option(False, "--headless", help="Run the stream to its end, print the outcome, leave."),
    as_json: bool = typer.Option(False, "--json", help="With --headless: one JSON object."),
    rate: float = typer.Option(-1.0, help="Records a second; 0 is as fast as it goes. Default 200, files 1000."),
    count: int = typer.Option(0, min=0, help="Stop after so many records. Default: headless 2000 simulated, else all."),
    drift_at: int = typer.Option(-1, help="The simulator's first drifted record; 0 never. Default 6000, headless 0."),
    seed: int = typer.Option(0, help="Of the simulator and of the generation."),
    port: int = typer.Option(-1, help="The page's port. Default: the setting, or a free one when it is taken."),
    kafka_port: int = typer.Option(-1, help="The local broker's port. Default: 9092, or a free one when it is taken."),
    keep: Path | None = typer.Option(None, file_okay=False, help="Keep the demo's data in this folder."),
) -> None:
    """Everything on this machine: a local broker, the four roles, a stream, and the page to watch it on."""
    plan = _plan(data, train, headless=headless, rate=rate, count=count, drift_at=drift_at, seed=seed)
    with tempfile.TemporaryDirectory(prefix="loopai-demo-") as folder:
        usual = settings_module.load().gateway.port
        gateway = {"port": _port(port, usual, headless)}
        settings = settings_module.load({"data_dir": keep or Path(folder), "gateway": gateway})
        logs.configure("demo", "warning" if headless else settings.telemetry.log_level, "text")
        # The roles' own lines would drown ours; a person who wants them asks.
        os.environ.setdefault("LOOPAI_TELEMETRY__LOG_LEVEL", "warning")
        group = Group(
            settings,
            broker_port=_port(kafka_port, _KAFKA_PORT, headless),
            page_is_up=lambda group: None if headless else _greet(group, plan),
        )
        asyncio.run(_run(group, settings, plan, headless=headless, as_json=as_json))


def _plan(
    data: Path | None, train: Path | None, *, headless: bool, rate: float, count: int, drift_at: int, seed: int
) -> Plan:
    if train is not None or data is not None:
        from programs.datasets import read_examples

        if train is None or data is None:
            missing = "--train" if train is None else "--data"
            raise ConfigurationError(
                f"{missing} is missing: --train and --data go together.",
                next_step="Give both files, or neither for simulated traffic.",
            )
        stream = read_examples(data)
        rows = list(islice(stream, count or None))
        name = f"{data.name}, learned from {train.name}"
        return Plan("demo", name, read_examples(train), rows, False, rate if rate >= 0 else 1000.0, seed)
    if drift_at < 0:
        drift_at = 0 if headless else 6000
    training = list(islice(Simulator(seed + 1), _TRAINING_ROWS))
    training = [Example(id=f"train-{e.id}", input=e.input, expected=e.expected) for e in training]
    simulator = Simulator(seed, drift_at or None)
    stream_length = count or (2000 if headless else _FOREVER)
    return Plan("sms-spam", NAME, training, islice(simulator, stream_length), True, rate if rate >= 0 else 200.0, seed)


def _port(asked: int, wanted: int, headless: bool) -> int:
    """The port that was asked for; else the usual one, when it is free; else any. Nobody looks for a headless one."""
    if asked >= 0:
        return asked
    if headless:
        return 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted


async def _run(group: Group, settings: Settings, plan: Plan, *, headless: bool, as_json: bool) -> None:
    began = time.monotonic()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with group:
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": group.bootstrap})
        broker = KafkaBroker(kafka, client_id="loopai-demo")
        client = GatewayClient(group.url)
        work = asyncio.create_task(_loop(client, broker, plan, headless=headless))
        stop = asyncio.create_task(stopping.wait())
        roles = asyncio.create_task(group.roles.wait())
        await asyncio.wait({work, stop, roles}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not roles.done():
            roles.cancel()
        if not work.done():
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            if roles.done() and not roles.cancelled():
                roles.result()
            if headless:
                raise KeyboardInterrupt
            return
        summary = work.result()
    if headless:
        summary["seconds"] = round(time.monotonic() - began, 2)
        _tell(summary, plan, as_json)


def _greet(group: Group, plan: Plan) -> None:
    err.print(
        f"\n  Page   {group.url}\n  Kafka  {group.bootstrap}  (local broker, not for production)", highlight=False
    )
    kind = "simulated traffic" if plan.simulated else "a file"
    err.print(f"  Stream {plan.name} ({kind}), {plan.rate:.0f} a second. Ctrl-C ends it.", highlight=False)
    if group.url != DEFAULT_URL:
        err.print(f"  Other terminals: export LOOPAI_URL={group.url}", highlight=False)
    err.print("", highlight=False)


async def _loop(client: GatewayClient, broker: KafkaBroker, plan: Plan, *, headless: bool) -> dict[str, Any]:
    """Creates the app, generates its program, feeds the stream; headless, waits for the end and sums it up."""
    await asyncio.to_thread(_prepare, client, plan)
    if not headless:
        err.print(f"  Ready  {plan.app} runs its first program; the stream begins.", highlight=False)
    keeper = Scorekeeper(broker, plan.app) if headless else None
    if keeper is not None:
        await keeper.start()

    def sent(example: Example) -> None:
        if keeper is not None:
            keeper.expected[example.id] = example.expected

    source = "loopai/simulator" if plan.simulated else "loopai/demo"
    with progress() as bar:
        bar.add_task("feeding", total=None)
        await feed(broker, plan.app, plan.stream, source=source, rate=plan.rate, sent=sent)
    if keeper is None:
        err.print("The stream is at its end; the page stays until Ctrl-C.")
        await asyncio.Event().wait()
        return {}
    await keeper.settled(20.0)
    summary = keeper.summary()
    decided = sum(c.verdict in ("match", "mismatch") for c in keeper.checks.values())
    summary["agreement"] = await asyncio.to_thread(_agreement, client, plan.app, decided)
    await keeper.stop()
    return summary


def _prepare(client: GatewayClient, plan: Plan) -> None:
    client.post("/loop-apps", {
        "id": plan.app,
        "name": plan.name,
        "description": "Is this message unwanted?" if plan.simulated else f"Labels as in {plan.name}.",
        "labels": sorted({str(e.expected) for e in plan.training}),
        "sampling": {"rate": 0.25 if plan.simulated else 0.1},
        "oracle": {"kind": "labels"},
        "simulated": plan.simulated,
    })  # fmt: skip
    rows = [{"id": e.id, "input": e.input, "expected": e.expected} for e in plan.training]
    for begin in range(0, len(rows), 250):
        client.post(f"/loop-apps/{plan.app}/examples", rows[begin : begin + 250])
    run = client.post(f"/loop-apps/{plan.app}/programs", {"seed": plan.seed})
    with progress() as bar:
        task = bar.add_task("generating a program", total=1.0)
        state = client.wait_for_run(run["id"], 300.0, lambda done, step: bar.update(task, completed=done))
    if state["state"] != "succeeded":
        raise ProgramError(f"No program could be generated: {state.get('error')}")
    _wait_until_live(client, plan.app)


def _wait_until_live(client: GatewayClient, app_id: str) -> None:
    """A program is deployed, and whoever executes has it: one input is answered."""
    for _ in range(100):
        if (client.get(f"/loop-apps/{app_id}/status").get("deployment") or {}).get("stable") is not None:
            time.sleep(0.5)  # the executors follow the same topic within this time
            return
        time.sleep(0.1)
    raise ProgramError("The program was generated but not deployed.", next_step="Look at the controller's log.")


def _agreement(client: GatewayClient, app_id: str, checks: int) -> dict[str, Any] | None:
    """What the controller says of the running version, once it has counted `checks`."""
    found: dict[str, Any] | None = None
    for _ in range(50):
        found = (client.get(f"/loop-apps/{app_id}/status").get("agreement") or {}).get("stable")
        if found and found["checks"] >= checks:
            break
        time.sleep(0.1)
    return {k: found[k] for k in ("estimate", "low", "high")} if found else None


def _tell(summary: dict[str, Any], plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json(summary | {"simulated": plan.simulated})
        return
    for key, value in summary.items():
        err.print(f"{key:>14}  {value}", highlight=False)
