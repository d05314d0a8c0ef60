"""Settings in, a Kafka bootstrap address out: runs the local broker as a child process.

The local broker speaks the Kafka protocol on loopback and is a fake: one node, no replication, no security. It is
for the demo, for tests and for a first try, never for production. The child holds the read end of a pipe; when this
process ends, however it ends, the pipe closes and the child leaves.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from loopai.errors import ConfigurationError, TransientError

_HERE = Path(__file__).resolve().parent
BINARY = _HERE / "_bin" / "loopai-broker"
SOURCE = _HERE.parent / "infra" / "broker"


@dataclass(frozen=True, slots=True)
class LocalBrokerOptions:
    """What the local broker is told.

    `port` 0 takes a free one. Without `data_dir` records live in memory and end with the broker; with it they
    survive a crash. `retention_bytes` is per partition, -1 keeps all: a consumer that falls further behind loses
    records. `start_timeout` and `stop_timeout` are seconds.
    """

    port: int = 0
    data_dir: Path | None = None
    partitions: int = 4
    retention_bytes: int = 128 * 1024 * 1024
    max_message_bytes: int = 16 * 1024 * 1024
    log_level: str = "error"
    start_timeout: float = 20.0
    stop_timeout: float = 10.0

    def arguments(self) -> list[str]:
        """The command line of the broker."""
        words = [
            f"--port={self.port}",
            f"--partitions={self.partitions}",
            f"--retention-bytes={self.retention_bytes}",
            f"--max-message-bytes={self.max_message_bytes}",
            f"--log-level={self.log_level}",
        ]
        if self.data_dir is not None:
            words.append(f"--data-dir={self.data_dir}")
        return words


class LocalBroker:
    """One local broker. `start` before `bootstrap_servers`; `stop` as often as you like.

    `start` raises `ConfigurationError` when there is no binary or the broker refuses its options (a port in use, a
    data folder that another broker holds), and `TransientError` when it does not answer in time. Also an async
    context manager.
    """

    def __init__(self, options: LocalBrokerOptions | None = None) -> None:
        self._options = options or LocalBrokerOptions()
        self._process: asyncio.subprocess.Process | None = None
        self._bootstrap = ""
        self._log: IO[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """`127.0.0.1:PORT`, for any Kafka client."""
        if not self._bootstrap:
            raise ConfigurationError("The local broker is not running.", next_step="Call start() first.")
        return self._bootstrap

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Returns when clients can connect. Does nothing when it already runs."""
        if self.pid is not None:
            return
        binary = await find_binary()
        # A file and not a pipe: nobody has to read it, and a broker that logs much never blocks.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed in stop()
        try:
            self._process = await asyncio.create_subprocess_exec(
                str(binary),
                *self._options.arguments(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=self._log,
                # Ctrl-C reaches the whole foreground group; the broker must outlive the roles that drain into it.
                start_new_session=True,
            )
            await self._wait_until_ready(self._process)
        except OSError as error:
            self._close_log()
            raise ConfigurationError(
                f"The local broker cannot be run ({error}).", next_step="Reinstall Loopai for this platform."
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def _wait_until_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), self._options.start_timeout)
        except TimeoutError:
            raise TransientError(
                f"The local broker was not ready after {self._options.start_timeout:g} s. {self._said()}".strip(),
                next_step="Try again, or set LOOPAI_KAFKA__BOOTSTRAP_SERVERS to a Kafka of yours.",
            ) from None
        if not line:
            code = await process.wait()
            raise ConfigurationError(
                f"The local broker ended at once (exit {code}): {self._said() or 'it said nothing'}.",
                next_step="Choose another port or data folder, or end the process that holds it.",
            )
        self._bootstrap = str(json.loads(line)["bootstrap"])

    async def stop(self) -> None:
        """Ends the broker: politely, so that it writes out its state, and by force after `stop_timeout`."""
        process, self._process, self._bootstrap = self._process, None, ""
        try:
            if process is None:
                return
            if process.returncode is None:
                try:
                    process.send_signal(signal.SIGTERM)
                    await asyncio.wait_for(process.wait(), self._options.stop_timeout)
                except ProcessLookupError:
                    pass
                except TimeoutError:
                    process.kill()
            await process.wait()
            # asyncio leaves the pipes to the garbage collector, which warns about them.
            transport = getattr(process, "_transport", None)
            if transport is not None:
                transport.close()
        finally:
            self._close_log()

    def _said(self) -> str:
        if self._log is None:
            return ""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2_000))
        return self._log.read().decode(errors="replace").strip().removeprefix("loopai-broker: ")

    def _close_log(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


async def find_binary() -> Path:
    """The compiled broker: the wheel's own, or built once from `infra/broker` in a source checkout."""
    if not (SOURCE / "go.mod").exists():
        if BINARY.exists():
            return BINARY
        raise ConfigurationError(
            "This installation has no local broker.",
            next_step="Install a wheel for your platform, or set LOOPAI_KAFKA__BOOTSTRAP_SERVERS to a Kafka of yours.",
        )
    if BINARY.exists() and BINARY.stat().st_mtime >= max(path.stat().st_mtime for path in SOURCE.iterdir()):
        return BINARY
    builder = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SOURCE.parent.parent / "hatch_build.py"),
        "broker",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await builder.communicate()
    if builder.returncode != 0:
        raise ConfigurationError(
            f"The local broker could not be built: {said.decode(errors='replace').strip()[-2_000:]}",
            next_step="Run `make setup` and read what it says.",
        )
    return BINARY
