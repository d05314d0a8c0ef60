"""The parent's side of the zygote: workers out. Everything that arrives from a worker is bounded and suspected.

`Host` starts the zygote (again, when it was killed) and asks it for workers. `Worker` is one of them: frames go out and
come in by callbacks of the event loop, never by waiting. It knows nothing of records.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import jsonschema_rs
import msgspec

import executors
import loopai
import programs
from executors.jail import protocol, zygote
from executors.jail.limits import Limits
from executors.jail.lockdown import Mode
from executors.jail.protocol import HEADER
from loopai.errors import ConfigurationError, UnavailableError

_START_SECONDS = 30.0
_READ_BYTES = 1 << 18

T = TypeVar("T")
OnFrame = Callable[[int, bytes], None]
OnEnd = Callable[[str], None]


class Worker:
    """One worker process.

    Nothing is read before `listen` was called. `on_frame(kind, payload)` is called for each whole frame; `on_end(why)`
    once, when the worker is gone: "" when its socket ended by itself, or else what it did wrong.
    """

    def __init__(self, pid: int, connection: int, page: int, pidfd: int | None, limits: Limits) -> None:
        self.pid = pid
        self._on_frame: OnFrame | None = None
        self._on_end: OnEnd | None = None
        self.records = 0
        self._pidfd = pidfd
        self._socket = socket.socket(fileno=connection)
        self._socket.setblocking(False)
        self._page = mmap.mmap(page, protocol.PAGE_BYTES, prot=mmap.PROT_READ)
        os.close(page)
        self._words = memoryview(self._page).cast("Q")
        self._largest = protocol.FLUSH_BYTES + 2 * limits.max_output_bytes + (1 << 16)
        self._scratch = bytearray(_READ_BYTES)
        self._view = memoryview(self._scratch)
        self._partial = bytearray()
        self._unsent: list[memoryview] = []
        self._loop = asyncio.get_running_loop()
        self.alive = True

    def listen(self, on_frame: OnFrame, on_end: OnEnd) -> None:
        """From now on these are called."""
        if self.alive and self._on_frame is None:
            self._loop.add_reader(self._socket.fileno(), self._readable)
        self._on_frame, self._on_end = on_frame, on_end

    @property
    def index(self) -> int:
        """The record that the worker says it is at."""
        return self._words[protocol.INDEX]

    @property
    def status(self) -> int:
        """Why the worker says it ended."""
        return self._words[protocol.STATUS]

    def cpu_seconds(self) -> float | None:
        """CPU time used so far; None where the system does not say."""
        if sys.platform != "linux":
            return None
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # the CPU clock of that process, clock_getcpuclockid(3)
        except OSError:
            return None

    def waits(self) -> bool:
        """Whether it sleeps, rather than computes or queues for a CPU."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                return stat.read().rpartition(b")")[2].split()[0] not in (b"R", b"")
        except OSError:
            return False

    def send(self, kind: int, *parts: bytes) -> None:
        """Queue one frame. Never blocks; what the socket does not take now follows when it can."""
        size = sum(map(len, parts))
        frame = b"".join((HEADER.pack(size, kind), *parts))
        if not self.alive:
            return
        try:
            sent = self._socket.send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return  # it is gone; the reader will say so
        if sent < len(frame):
            self._unsent.append(memoryview(frame)[sent:])
            self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        while self._unsent:
            part = self._unsent[0]
            try:
                sent = self._socket.send(part)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._unsent.clear()
                break
            if sent < len(part):
                self._unsent[0] = part[sent:]
                return
            del self._unsent[0]
        self._loop.remove_writer(self._socket.fileno())

    def _readable(self) -> None:
        try:
            size = self._socket.recv_into(self._scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if not size:
            self.end("")
            return
        if self._partial:
            self._partial += self._view[:size]
            data = memoryview(self._partial)
        else:
            data = self._view[:size]
        at = 0
        while len(data) - at >= HEADER.size and self.alive:
            length, kind = HEADER.unpack_from(data, at)
            if length > self._largest:
                self.end("a frame larger than allowed")
                return
            stop = at + HEADER.size + length
            if stop > len(data):
                break
            payload = bytes(data[at + HEADER.size : stop])
            at = stop
            if self._on_frame is not None:
                self._on_frame(kind, payload)
        if not self.alive:
            return
        self._partial = bytearray(data[at:])

    def drain(self) -> None:
        """Take what has arrived already, before judging that nothing has."""
        if self.alive:
            self._readable()

    def end(self, why: str) -> None:
        """Kill it, let go of it, and say so."""
        if not self.alive:
            return
        self.kill()
        if self._on_end is not None:
            self._on_end(why)

    def kill(self) -> None:
        """SIGKILL and let go, without a word. The zygote still has to bury it."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._socket.fileno())
        if self._unsent:
            self._unsent.clear()
            self._loop.remove_writer(self._socket.fileno())
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._socket.close()

    def forget(self) -> None:
        """Unmap the shared page, after its last words were read."""
        self._words.release()
        self._page.close()


class Host:
    """The zygote's parent. One request is under way at a time; a fork takes a millisecond."""

    def __init__(self, limits: Limits, mode: Mode, preload: tuple[str, ...] = ()) -> None:
        self._limits = limits
        self._mode = mode
        self._preload = preload
        self._zygote: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._turn = asyncio.Lock()
        self._exchanges: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def start(self) -> None:
        """Start the zygote and wait until it has imported everything."""
        async with self._turn:
            await self._launch()

    async def _launch(self) -> None:
        near, far = socket.socketpair()
        near.setblocking(False)
        config = zygote.Config(control=far.fileno(), mode=self._mode, limits=self._limits, preload=self._preload)
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        arguments = zygote.command(_import_paths())(msgspec.json.encode(config).decode())
        process = subprocess.Popen(  # noqa: ASYNC220 - a fork and exec of 1 ms, once
            [sys.executable, *arguments],
            pass_fds=[far.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
        far.close()
        self._zygote, self._control = process, near
        try:
            async with asyncio.timeout(_START_SECONDS):
                hello, _, _ = await self._answer()
        except TimeoutError:
            hello = b""
        if hello != b"h":
            process.kill()
            assert process.stderr is not None
            said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
            await self._stop()
            raise ConfigurationError(f"The jail cannot start: {said[-1] if said else 'its process ended'}.")

    async def _answer(self) -> tuple[bytes, int, list[int]]:
        """The next answer of the zygote; an empty operation when it is gone."""
        control = self._control
        assert control is not None
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(control, zygote.REQUEST.size, 3)
            except (BlockingIOError, InterruptedError):
                await _readable(control)
                continue
            except OSError:
                return b"", 0, []
            if len(message) < zygote.REQUEST.size:
                return b"", 0, []
            operation, number = zygote.REQUEST.unpack(message)
            return operation, number, descriptors

    async def _ask(self, operation: bytes, number: int = 0) -> tuple[bytes, int, list[int]]:
        if self._control is None:
            return b"", 0, []
        try:
            self._control.send(zygote.REQUEST.pack(operation, number))
        except OSError:
            return b"", 0, []
        return await self._answer()

    def _uncancelled(self, exchange: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A question and its answer, to the end: a caller that goes away must not leave its answer to the next one."""
        task = asyncio.get_running_loop().create_task(exchange)
        self._exchanges.add(task)
        task.add_done_callback(self._exchanges.discard)
        return task

    async def spawn(self, *, warm: bool) -> Worker:
        """A locked-down worker that will say HELLO. Starts a new zygote when the old one is gone."""
        exchange = self._uncancelled(self._fork(int(warm)))
        try:
            return await asyncio.shield(exchange)
        except asyncio.CancelledError:
            exchange.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, exchange: asyncio.Task[Worker]) -> None:
        if not exchange.cancelled() and exchange.exception() is None:
            worker = exchange.result()
            worker.kill()
            worker.forget()
            self.bury(worker)

    async def _fork(self, warm: int) -> Worker:
        async with self._turn:
            operation, number, descriptors = await self._ask(b"F", warm)
            if not operation and not self._closed:
                await self._stop()
                await self._launch()
                operation, number, descriptors = await self._ask(b"F", warm)
        if operation != b"f":
            raise UnavailableError(f"No worker: {os.strerror(number)}." if operation == b"e" else "The jail is closed.")
        pidfd = descriptors[2] if len(descriptors) > 2 else None
        return Worker(number, descriptors[0], descriptors[1], pidfd, self._limits)

    async def wait_status(self, worker: Worker) -> int | None:
        """How a worker that ended by itself ended, as waitpid says it; None when the zygote is gone too."""
        return await asyncio.shield(self._uncancelled(self._reap(worker.pid)))

    async def _reap(self, pid: int) -> int | None:
        async with self._turn:
            operation, status, _ = await self._ask(b"R", pid)
        return status if operation == b"r" else None

    def bury(self, worker: Worker) -> None:
        """Let the zygote reap a worker that was killed."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(zygote.REQUEST.pack(b"B", worker.pid))

    async def close(self) -> None:
        """End the zygote; the kernel ends the workers."""
        self._closed = True
        async with self._turn:
            await self._stop()

    async def _stop(self) -> None:
        process, self._zygote = self._zygote, None
        if self._control is not None:
            self._control.close()
            self._control = None
        if process is None:
            return
        for _ in range(200):
            if process.poll() is not None:
                break
            await asyncio.sleep(0.005)
        else:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(connection.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(connection.fileno())


def _import_paths() -> list[str]:
    """Where the zygote finds us, msgspec and jsonschema-rs; the standard library it finds itself."""
    packages = (loopai, programs, executors, msgspec, jsonschema_rs)
    return list(dict.fromkeys(str(Path(str(p.__file__)).resolve().parent.parent) for p in packages))
