"""`loopai serve ROLE`: one role in this process, or all of them as a process group."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import Any

import typer

from loopai import settings as settings_module
from loopai.cli import logs, supervisor
from loopai.cli.output import err, print_json
from loopai.errors import ConfigurationError
from loopai.settings import Settings

app = typer.Typer(help="Run a role.")

ROLES = (*supervisor.ROLES, "all")
log = logging.getLogger("loopai.serve")


@app.command()
def serve(
    role: str = typer.Argument(..., help=f"One of {', '.join(ROLES)}."),
    host: str = typer.Option("", help="Where the gateway listens."),
    port: int = typer.Option(-1, help="The gateway's port; 0 takes a free one."),
    kafka: str = typer.Option("", "--kafka", help="Kafka's address. Default: the embedded local broker, for `all`."),
    supervised: bool = typer.Option(False, "--supervised", hidden=True),
) -> None:
    """Run a role until it is told to stop (SIGTERM or Ctrl-C): it drains, commits and leaves."""
    if role not in ROLES:
        raise ConfigurationError(f"{role!r} is no role.", next_step=f"Take one of {', '.join(ROLES)}.")
    if supervised:
        supervisor.die_with_parent()
    overrides: dict[str, Any] = {}
    if host or port >= 0:
        overrides["gateway"] = ({"host": host} if host else {}) | ({"port": port} if port >= 0 else {})
    if kafka:
        overrides["kafka"] = {"bootstrap_servers": kafka}
    settings = settings_module.load(overrides)
    logs.configure(role, settings.telemetry.log_level, settings.telemetry.log_format)
    for name in settings_module.unknown_variables():
        log.warning("%s is no setting of Loopai and is ignored.", name)
    if role == "all":
        asyncio.run(_all(settings))
    else:
        _one(role, settings)


def _one(role: str, settings: Settings) -> None:
    from loopai.cli.roles import run

    if not settings.kafka.bootstrap_servers:
        raise ConfigurationError(
            f"The {role} needs a Kafka: LOOPAI_KAFKA__BOOTSTRAP_SERVERS is empty.",
            next_step="Set it, give --kafka HOST:PORT, or run `loopai serve all`, which has a local broker.",
        )
    try:
        import uvloop

        uvloop.run(run(role, settings))
    except ImportError:
        asyncio.run(run(role, settings))


async def _all(settings: Settings) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Group(settings) as group:
        print_json({"ready": True, "role": "all", "url": group.url, "kafka": group.bootstrap, "pids": group.pids})
        if sys.stderr.isatty():
            err.print(f"Page: {group.url}\nKafka: {group.bootstrap}", highlight=False)
        done = asyncio.create_task(stopping.wait())
        ended = asyncio.create_task(group.roles.wait())
        await asyncio.wait({done, ended}, return_when=asyncio.FIRST_COMPLETED)
        done.cancel()
        if ended.done():
            ended.result()
        ended.cancel()


class Group:
    """The local broker, when no Kafka is named, and every role; inside the context they are ready.

    `page_is_up` is called on the way, as soon as the gateway answers: people need not wait for the rest.
    """

    def __init__(
        self, settings: Settings, *, broker_port: int = 0, page_is_up: Callable[[Group], None] = lambda group: None
    ) -> None:
        self._settings = settings
        self._page_is_up = page_is_up
        self._broker_port = broker_port
        self.bootstrap = settings.kafka.bootstrap_servers
        self.url = ""
        self.ports: dict[str, int] = {}

    async def __aenter__(self) -> Group:
        from streams.embedded import LocalBroker, LocalBrokerOptions
        from streams.kafka import KafkaBroker
        from streams.topics import ALL

        settings = self._settings
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._local: LocalBroker | None = None
        if not self.bootstrap:
            options = LocalBrokerOptions(
                port=self._broker_port,
                data_dir=settings.data_dir / "broker",
                partitions=settings.kafka.partitions,
            )
            self._local = LocalBroker(options)
            await self._local.start()
            self.bootstrap = self._local.bootstrap_servers
        changes = {
            "LOOPAI_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap,
            "LOOPAI_DATA_DIR": str(settings.data_dir.absolute()),
            "LOOPAI_GATEWAY__HOST": settings.gateway.host,
            "LOOPAI_GATEWAY__PORT": str(settings.gateway.port),
            # One machine, several roles: each takes a free port and says which.
            "LOOPAI_TELEMETRY__METRICS_PORT": "0",
        }
        kafka = settings.kafka.model_copy(update={"bootstrap_servers": self.bootstrap})
        await KafkaBroker(kafka).ensure_topics(ALL)
        self.roles = supervisor.Supervisor(supervisor.ROLES, supervisor.child_environment(changes))
        try:
            told = await self._start()
        except BaseException:
            await self.__aexit__()
            raise
        self.ports = {role: int(said["port"]) for role, said in told.items()}
        return self

    async def _start(self) -> dict[str, dict[str, Any]]:
        starting = asyncio.create_task(self.roles.start())
        gateway = self.roles.children["gateway"].ready
        await asyncio.wait({starting, gateway}, return_when=asyncio.FIRST_COMPLETED)
        if gateway.done() and gateway.exception() is None:
            self.url = gateway.result()["url"]
            self._page_is_up(self)
        return await starting

    @property
    def pids(self) -> dict[str, int | None]:
        """The process of each role, now."""
        return {role: child.pid for role, child in self.roles.children.items()}

    async def __aexit__(self, *exc: object) -> None:
        await self.roles.stop()
        if self._local is not None:
            await self._local.stop()
