"""Inputs by call instead of by topic: the same routes and the same jail, for HTTP and for the command line."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from time import perf_counter
from uuid import uuid4

import msgspec

from executors.fleet import Fleet
from executors.jail.jail import Answer, Cell, Jail
from loopai.errors import NotFoundError
from loopai.records import ExecutionResult
from programs.artifact import Program
from streams.broker import Broker


class Direct:
    """Answers inputs of deployed apps. Nothing is published and nothing is sampled."""

    def __init__(self, broker: Broker, jail: Jail) -> None:
        self._fleet = Fleet(broker, jail)

    async def start(self) -> None:
        await self._fleet.start()

    async def stop(self) -> None:
        await self._fleet.stop()

    async def execute(self, app: str, values: Sequence[bytes], key: bytes | None = None) -> list[ExecutionResult]:
        """One result a value, in order; without a key each input is routed by an id of its own.

        Raises:
            NotFoundError: no program of the app is deployed.
        """
        route = self._fleet.routes.get(app.encode())
        record_id = uuid4().hex
        lane = route.lane(key if key is not None else record_id.encode()) if route is not None else None
        if lane is None:
            raise NotFoundError(
                f"No program is deployed for {app!r}.", next_step=f"Generate one: loopai program generate {app}."
            )
        begin = perf_counter()
        answers = await lane.runner.run(values)
        micros = round((perf_counter() - begin) * 1e6 / max(1, len(values)), 1)
        return [
            ExecutionResult(
                id=f"{record_id}-{i}" if len(values) > 1 else record_id,
                app=app,
                version=lane.version,
                variant=lane.variant,
                outcome=answer.outcome,
                output=msgspec.json.decode(answer.output) if answer.outcome == "ok" else None,
                confidence=answer.confidence,
                reason=answer.reason,
                latency_us=micros,
                revision=lane.revision,
            )
            for i, answer in enumerate(answers)
        ]


class JailRunner:
    """Runs any program over values: what generation and evaluation score with. The last few programs stay loaded."""

    KEPT = 4

    def __init__(self, jail: Jail) -> None:
        self._jail = jail
        self._cells: OrderedDict[str, Cell] = OrderedDict()

    async def __call__(self, program: Program, values: Sequence[bytes]) -> list[Answer]:
        """One answer a value. Raises `ProgramError` when the gate or the loader refuses the program."""
        cell = self._cells.get(program.id)
        if cell is None:
            cell = self._cells[program.id] = await self._jail.open(program)
            while len(self._cells) > self.KEPT:
                await self._cells.popitem(last=False)[1].close()
        self._cells.move_to_end(program.id)
        return [a for i in range(0, len(values), 1000) for a in await cell.run(values[i : i + 1000])]

    async def close(self) -> None:
        """Ends the workers."""
        while self._cells:
            await self._cells.popitem()[1].close()
