"""Roles as child processes: started, watched, started again when they die, and stopped together.

A role is a process of its own even on one machine, so that one that dies takes nothing with it. Each says on its
standard output that it is ready, in one line of JSON; its log goes where ours goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from loopai.errors import ConfigurationError, UnavailableError

log = logging.getLogger(__name__)

ROLES = ("gateway", "controller", "validator", "executor")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Child:
    """One role's process."""

    def __init__(self, role: str, environment: Mapping[str, str]) -> None:
        self.role = role
        self._environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self.ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self, stopping: asyncio.Event) -> None:
        """Starts the role, again and again with growing pauses, until `stopping`."""
        pause = _FIRST_PAUSE
        while not stopping.is_set():
            code = await self._once()
            if stopping.is_set():
                return
            if code == 2:
                error = ConfigurationError(f"The {self.role} refused its configuration; its log says why.")
                if not self.ready.done():
                    self.ready.set_exception(error)
                raise error
            self.restarts += 1
            log.warning("The %s ended with %s; starting it again in %.1f s.", self.role, code, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _once(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "loopai", "serve", self.role, "--supervised",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, env=self._environment,
            # Ctrl-C reaches the whole foreground group; roles are told to leave in our order.
            start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            with contextlib.suppress(msgspec.DecodeError):
                told = msgspec.json.decode(line, type=dict[str, Any])
                if told.get("ready") and not self.ready.done():
                    self.ready.set_result(told)
        return await self._process.wait()

    def signal(self, number: int) -> None:
        """Sends a signal to the process, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


class Supervisor:
    """Several roles as one group."""

    def __init__(self, roles: Sequence[str], environment: Mapping[str, str]) -> None:
        self.children = {role: Child(role, environment) for role in roles}
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, timeout: float = 60.0) -> dict[str, dict[str, Any]]:
        """Starts all and waits until each said that it is ready; returns what they said."""
        self._tasks = [asyncio.create_task(c.run(self._stopping)) for c in self.children.values()]
        waits = {role: asyncio.shield(child.ready) for role, child in self.children.items()}
        try:
            async with asyncio.timeout(timeout):
                return {role: await wait for role, wait in waits.items()}
        except TimeoutError:
            late = [role for role, wait in waits.items() if not wait.done()]
            raise UnavailableError(f"Not ready after {timeout:.0f} s: {', '.join(late)}.") from None

    async def wait(self) -> None:
        """Until `stop`, or until a role refuses its configuration. Giving up the wait leaves the roles as they are."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def stop(self, timeout: float = 15.0) -> None:
        """Asks all to drain and leave; those that do not in time are ended."""
        self._stopping.set()
        for child in self.children.values():
            child.signal(signal.SIGTERM)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=timeout)
        if late:
            for child in self.children.values():
                child.signal(signal.SIGKILL)
            await asyncio.wait(late, timeout=5.0)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Our environment with `changes`, and without what a role has no use for."""
    return {**os.environ, **changes, "PYTHONUNBUFFERED": "1"}


def die_with_parent() -> None:
    """A supervised role ends when its supervisor does, even when that was killed. Linux only; elsewhere a no-op."""
    with contextlib.suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() == 1:
            raise SystemExit(0)
