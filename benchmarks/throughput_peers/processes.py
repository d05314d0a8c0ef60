"""A subject as processes: started, weighed by /proc while it works, and ended by its own ids alone."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def table() -> dict[int, tuple[int, int, float]]:
    """Each process: its parent, its session and the CPU seconds it has used."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                # After the name, which may hold anything: state, parent, group, session, …, user and system time.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                found[int(entry.name)] = (int(fields[1]), int(fields[3]), (int(fields[11]) + int(fields[12])) / TICK)
    return found


def tree(roots: Sequence[int], known: Mapping[int, tuple[int, int, float]]) -> set[int]:
    """The roots with all that came of them: children, their children, and whoever is in a root's session."""
    members = {pid for pid, (_, session, _) in known.items() if pid in roots or session in roots}
    grown = True
    while grown:
        children = {pid for pid, (parent, _, _) in known.items() if parent in members} - members
        members |= children
        grown = bool(children)
    return members


def megabytes(pids: set[int]) -> tuple[float, float]:
    """Resident and proportional memory of processes together. Shared pages count once a process in the first."""
    resident = proportional = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    resident += int(line.split()[1])
                elif line.startswith("Pss:"):
                    proportional += int(line.split()[1])
    return resident / 1024, proportional / 1024


class Running:
    """The processes of one subject, from start to end; a thread keeps the peak of their memory."""

    def __init__(self, command: Sequence[str], count: int, environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOOPAI_", "BENCH_", "PYTHON"))}
        self.log = folder / "log"
        with self.log.open("w") as log:
            self._children = [
                subprocess.Popen(
                    command,
                    cwd=folder,
                    env={**kept, "PYTHONUNBUFFERED": "1", **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for _ in range(count)
            ]
        self._roots = [child.pid for child in self._children]
        self._ended = threading.Event()
        self.resident = self.proportional = 0.0
        self._watch = threading.Thread(target=self._weigh, daemon=True)
        self._watch.start()

    def _weigh(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(0.5)  # and once more at the end, for a run that was shorter
            resident, proportional = megabytes(tree(self._roots, table()))
            self.resident = max(self.resident, resident)
            self.proportional = max(self.proportional, proportional)

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        known = table()
        return sum(known[pid][2] for pid in tree(self._roots, known))

    def died(self) -> str:
        """Why a process ended by itself, or nothing: exit code and the last line it said."""
        for child in self._children:
            if (code := child.poll()) is not None:
                said = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self.log.read_text(errors="replace"))
                lines = [line.strip() for line in said.splitlines() if line.strip()]
                return f"ended with {code}: {lines[-1][:160] if lines else 'no word'}"
        return ""

    def end(self, seconds: float = 8.0) -> str:
        """Ends it: asked first, then killed. Returns "killed" when it had to be."""
        self._ended.set()
        self._watch.join()
        members = tree(self._roots, table())
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        limit = time.monotonic() + seconds
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.05, limit - time.monotonic()))
        hung = any(child.poll() is None for child in self._children)
        for pid in members & tree(self._roots, table()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for child in self._children:
            child.wait(5)
        return "killed" if hung else ""


def cpu_of(pid: int | None) -> float | None:
    """CPU seconds of one process with all its threads; None where it cannot be seen."""
    if pid is None:
        return None
    entry = table().get(pid)
    return entry[2] if entry else None
