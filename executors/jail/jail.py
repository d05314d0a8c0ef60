"""Programs in, cells out: one zygote, warm spares, and the layers that hold them.

async with Jail(Limits()) as jail:
    cell = await jail.open(program)
    answers = await cell.run([b'{"text": "hello"}'])
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from executors.jail import protocol
from executors.jail.cell import Answer, Cell, KillReason
from executors.jail.host import Host, Worker
from executors.jail.limits import Limits
from executors.jail.lockdown import Mode, supported
from loopai.errors import ConfigurationError, ProgramError, UnavailableError
from programs.artifact import Program

__all__ = ["Answer", "Cell", "Jail", "Limits", "supported"]

_HELLO_SECONDS = 10.0
_TRIES = 3
_MINIMUM = ("no_new_privs", "seccomp")
_decode_layers = msgspec.json.Decoder(dict[str, str]).decode


class Jail:
    """Owns the zygote and the warm spares: locked-down workers that have no program yet.

    `mode="full"` demands no_new_privs and seccomp and raises `ConfigurationError` where they are not to be had;
    `mode="process"` is content with rlimits, a user of its own when root, and the hard limit. `preload` names modules
    that the workers need beside the standard ones.
    """

    def __init__(
        self,
        limits: Limits = Limits(),  # noqa: B008
        *,
        mode: Mode = "full",
        spares: int = 1,
        preload: Sequence[str] = (),
    ) -> None:
        self.layers: Mapping[str, str] = {}
        self.kills: dict[KillReason, int] = {"timeout": 0, "memory": 0, "crash": 0, "policy": 0}
        self._limits = limits
        self._mode = mode
        self._wanted = spares
        self._host = Host(limits, mode, tuple(preload))
        self._spares: list[Worker] = []
        self._cells: list[Cell] = []
        self._filling: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self) -> None:
        """Start the zygote and the spares. `layers` says afterwards what is in force."""
        if self._mode == "full":
            can = supported()
            missing = [f"{layer} is {can[layer]}" for layer in _MINIMUM if can[layer].startswith("absent")]
            if missing:
                raise ConfigurationError(
                    f"Generated code cannot be isolated here: {', '.join(missing)}.",
                    next_step="Use a Linux host, or accept less with `executor.jail=process`.",
                )
        try:
            await self._host.start()
            self._keep(await self._new(warm=True))
            await self._fill()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Kill every worker and the zygote."""
        self._closed = True
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        for cell in list(self._cells):
            await cell.close()
        for worker in self._spares:
            self._dispose(worker)
        self._spares.clear()
        await self._host.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, program: Program, *, gate: bool = True) -> Cell:
        """A cell that runs `program`. Raises `ProgramError` with what the gate or the module itself said."""
        load = partial(self._load, program, gate)
        cell = Cell(self._limits, await load(), load, self._dispose, self._host.wait_status, self._count)
        self._cells = [c for c in self._cells if not c.closed]
        self._cells.append(cell)
        return cell

    def _count(self, reason: KillReason) -> None:
        self.kills[reason] += 1

    def _dispose(self, worker: Worker) -> None:
        worker.kill()
        worker.forget()
        self._host.bury(worker)

    # Workers without a program.

    async def _new(self, *, warm: bool = False) -> Worker:
        """A worker that is locked down and has said so. A warm one goes on to rehearse a load."""
        for _ in range(_TRIES):
            worker = await self._host.spawn(warm=warm)
            try:
                kind, payload = await self._reply(worker, _HELLO_SECONDS)
            except BaseException as error:
                self._dispose(worker)
                if isinstance(error, TimeoutError):
                    raise UnavailableError(f"No worker: it said nothing for {_HELLO_SECONDS:.0f} s.") from None
                raise
            if kind == protocol.HELLO:
                break
            self._dispose(worker)
            if kind == protocol.REFUSED:
                break
            # It ended without a word, as one does whose zygote was just killed.
        if kind != protocol.HELLO:
            said = payload.decode("utf-8", "replace") if kind == protocol.REFUSED else "it ended"
            raise ConfigurationError(
                f"A worker could not be locked down: {said}.",
                next_step="Run `loopai doctor`, or accept less with `executor.jail=process`.",
            )
        if not self.layers:
            self.layers = _decode_layers(payload)
            self._confirm(worker)
        return worker

    def _confirm(self, worker: Worker) -> None:
        """The kernel's word against the worker's: what /proc says of it."""
        if sys.platform != "linux":
            return
        with open(f"/proc/{worker.pid}/status", encoding="ascii", errors="replace") as status:
            said = dict(line.split(":\t", 1) for line in status.read().splitlines() if ":\t" in line)
        expected = {"NoNewPrivs": "1"} | ({"Seccomp": "2"} if self._mode == "full" else {})
        for name, value in expected.items():
            if said.get(name, value) != value:
                raise ConfigurationError(f"A worker is not locked down: {name} is {said[name]}, not {value}.")

    def _keep(self, worker: Worker) -> None:
        """Among the spares, until it is taken or dies."""

        def gone(_: str) -> None:
            if worker in self._spares:
                self._spares.remove(worker)
                self._dispose(worker)

        worker.listen(lambda kind, payload: worker.end("a frame out of turn"), gone)
        self._spares.append(worker)

    async def _fill(self) -> None:
        while len(self._spares) < self._wanted and not self._closed:
            self._keep(await self._new(warm=True))

    async def _fill_quietly(self) -> None:
        # Whoever needs a worker next will ask for one itself, and hears then why there is none.
        with contextlib.suppress(ConfigurationError, UnavailableError):
            await self._fill()
        self._filling = None

    def _spare(self) -> Worker | None:
        spare = self._spares.pop() if self._spares else None
        if self._filling is None and not self._closed and len(self._spares) < self._wanted:
            self._filling = asyncio.get_running_loop().create_task(self._fill_quietly())
        return spare

    # A program into a worker.

    async def _load(self, program: Program, gate: bool) -> Worker:
        load = protocol.Load(program.source, program.input_schema, program.output_schema, gate)
        try:
            head = msgspec.json.encode(load)
        except UnicodeEncodeError:
            raise ProgramError("The program was refused: its source is not Unicode text.") from None
        spare = self._spare()
        if spare is not None and await self._loaded(spare, head, program.data):
            return spare
        # A spare may have been dead without anybody having noticed: a new one tells whose doing it was.
        worker = await self._new()
        if await self._loaded(worker, head, program.data):
            return worker
        self._count("crash")
        raise ProgramError("The program ended its process while it was loaded.")

    async def _loaded(self, worker: Worker, head: bytes, data: bytes) -> bool:
        """Whether it loaded; False when the worker ended instead. Raises `ProgramError` with the worker's words."""
        worker.send(protocol.LOAD, len(head).to_bytes(4, "little"), head, data)
        try:
            kind, payload = await self._reply(worker, self._limits.load_ms / 1000)
        except TimeoutError:
            self._dispose(worker)
            self._count("timeout")
            raise ProgramError(f"The program did not load within {self._limits.load_ms} ms.") from None
        except BaseException:
            self._dispose(worker)
            raise
        if kind == protocol.LOADED:
            return True
        self._dispose(worker)
        if kind == protocol.REFUSED:
            raise ProgramError(f"The program was refused: {_printable(payload)}")
        return False

    async def _reply(self, worker: Worker, seconds: float) -> tuple[int, bytes]:
        """The next frame; kind 0 when the worker ends instead. Raises TimeoutError."""
        reply: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

        def frame(kind: int, payload: bytes) -> None:
            if not reply.done():
                reply.set_result((kind, payload))

        worker.listen(frame, lambda why: frame(0, why.encode()))
        if not worker.alive:
            return 0, b""
        async with asyncio.timeout(seconds):
            return await reply


def _printable(said: bytes) -> str:
    """What a program made its worker say, without the means to write on a terminal or to add lines to a log."""
    text = said.decode("utf-8", "replace")[:1000]
    return "".join(c if c.isprintable() else " " for c in text)
