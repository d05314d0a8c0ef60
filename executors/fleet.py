"""Deployments in, routes out: for each app, the jailed programs that answer it now.

A new deployment's programs are loaded before it comes into force and the old ones are closed after it did, so no input
waits for a program to start. A program that will not load answers each record with its reason; its neighbours run on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec

from executors.catalog import Catalog
from executors.jail.jail import Answer, Jail
from executors.sampling import RandomSampler
from loopai.deployments import Deployment, Variant
from loopai.errors import ProgramError
from programs.artifact import Program
from streams.broker import Broker

NULL = msgspec.Raw(b"null")


class Runner(Protocol):
    """What answers: a jailed program, or one that could not be loaded."""

    async def run(self, values: Sequence[bytes]) -> list[Answer]: ...
    async def close(self) -> None: ...


class Broken:
    """A program that would not load: every record gets the reason."""

    def __init__(self, reason: str) -> None:
        self._answer = Answer("rejected", NULL, None, f"program: {reason}"[:300])

    async def run(self, values: Sequence[bytes]) -> list[Answer]:
        return [self._answer] * len(values)

    async def close(self) -> None:
        """Nothing runs."""


class Lane:
    """One live version of an app: its runner, and what is stamped on its answers."""

    def __init__(self, deployment: Deployment, variant: Variant, version: int, program: str, runner: Runner) -> None:
        self.app = deployment.app
        self.variant: Variant = variant
        self.version = version
        self.program = program
        self.revision = deployment.revision
        self.runner = runner


class Route:
    """Where an app's records go now."""

    def __init__(self, deployment: Deployment, lanes: dict[Variant, Lane]) -> None:
        self.deployment = deployment
        self.lanes = lanes
        self.sampler = RandomSampler(deployment.app, deployment.sampling)
        self.split = deployment.mode == "canary" and "candidate" in lanes

    def lane(self, key: bytes) -> Lane | None:
        """Who answers `key`; None when nothing is deployed."""
        if self.split:
            return self.lanes[self.deployment.variant_for(key)]
        return self.lanes.get("stable")


Settled = Callable[[str], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _at_once(app: str) -> AsyncIterator[None]:
    """Nothing is under way."""
    yield


class Fleet:
    """Every app's route, kept up with the compacted topics.

    A route is replaced inside `settled(app)`: nothing of the app is under way and nothing begins, so answers of two
    versions to one key never overtake each other.
    """

    def __init__(self, broker: Broker, jail: Jail, *, settled: Settled = _at_once) -> None:
        self._catalog = Catalog(broker, self._changed)
        self._jail = jail
        self._settled = settled
        self._cells: dict[tuple[str, str], Runner] = {}
        self.routes: dict[bytes, Route] = {}

    async def start(self) -> None:
        await self._catalog.start()

    async def stop(self) -> None:
        await self._catalog.stop()
        for cell in self._cells.values():
            await cell.close()
        self._cells.clear()

    @property
    def garbage(self) -> int:
        """Records on the compacted topics that were no deployment and no program."""
        return self._catalog.garbage

    async def _changed(self, deployment: Deployment) -> None:
        lanes: dict[Variant, Lane] = {}
        variants: tuple[Variant, ...] = ("stable", "candidate")
        for variant in variants:
            version = deployment.version_of(variant)
            program = deployment.programs.get(str(version))
            if version is not None and program is not None:
                runner = await self._runner(deployment.app, self._catalog.programs[program])
                lanes[variant] = Lane(deployment, variant, version, program, runner)
        async with self._settled(deployment.app):
            self.routes[deployment.app.encode()] = Route(deployment, lanes)
        await self._retire(deployment)

    async def _runner(self, app: str, program: Program) -> Runner:
        """One worker an app and program: apps are trust domains, even when two run the same program."""
        cell = self._cells.get((app, program.id))
        if cell is None:
            try:
                cell = await self._jail.open(program)
            except ProgramError as error:
                cell = Broken(error.message)
            self._cells[app, program.id] = cell
        return cell

    async def _retire(self, deployment: Deployment) -> None:
        live = set(deployment.programs.values())
        for app, program in [k for k in self._cells if k[0] == deployment.app and k[1] not in live]:
            await self._cells.pop((app, program)).close()
