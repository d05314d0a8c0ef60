"""What a run needs, made on demand in `.bench/throughput`: environments of the peers, the Go program, a Kafka.

The Kafka is one that nobody else reads or writes: Loopai's topics have fixed names, and another executor on the same
broker would take part in the work.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
FOLDER = ROOT / ".bench" / "throughput"
SERVICES = ROOT / "infra" / "services" / "services.py"


class Unavailable(Exception):
    """Something cannot be had on this machine; the message is what its row says."""


class Kafka(NamedTuple):
    """The broker of this run. `pid` is None where it runs in a container."""

    bootstrap: str
    pid: int | None
    version: str


def python_of(name: str) -> Path:
    """The interpreter of a peer's own environment; made anew when its requirements changed."""
    folder, wanted = FOLDER / name, HERE / "requirements" / f"{name}.txt"
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest and python.exists():
        return python
    say(f"making the environment of {name}")
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is not None:
        commands = [
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(wanted)],
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(wanted)],
        ]
    for command in commands:
        _run(command, f"the environment of {name} cannot be made")
    stamp.write_text(digest)
    return python


def go_program() -> Path:
    """The compiled program of `go/`: the limit, and the neutral side of every measurement."""
    source = HERE / "go"
    made, stamp = FOLDER / "program", FOLDER / "program.sha256"
    content = b"".join(path.read_bytes() for path in sorted(source.iterdir()))
    digest = hashlib.sha256(content).hexdigest()
    if made.exists() and stamp.exists() and stamp.read_text() == digest:
        return made
    FOLDER.mkdir(parents=True, exist_ok=True)
    say("compiling the Go program")
    _run([_go(), "build", "-trimpath", "-o", str(made), "."], "the Go program cannot be compiled", cwd=source)
    stamp.write_text(digest)
    return made


def _go() -> str:
    found = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if found is None:
        raise Unavailable("there is no Go on the path, and the neutral side of this benchmark is written in it")
    return found


@contextlib.contextmanager
def kafka() -> Iterator[Kafka]:
    """A fresh Apache Kafka, stopped at the end."""
    folder = FOLDER / "services"
    words = [sys.executable, str(SERVICES)]
    only = ["--only", "kafka", "--data-dir", str(folder)]
    _run([*words, "stop", *only], "the last run's Kafka cannot be stopped")
    shutil.rmtree(folder / "kafka", ignore_errors=True)  # else it would begin with the last run's records
    _run([*words, "start", *only], "Kafka cannot be started")
    try:
        entry = json.loads((folder / "services.json").read_text())["kafka"]
        pid = None if entry.get("engine") == "docker" else int(entry["pid"])
        yield Kafka(entry["bootstrap"], pid, entry.get("version", "in a container"))
    finally:
        _run([*words, "stop", *only], "Kafka cannot be stopped")


def versions(name: str) -> str:
    """The first pin of a peer's requirements that is the peer itself, as the table shows it."""
    own = {"faststream": "faststream", "quix": "quixstreams", "faust": "faust-streaming", "arroyo": "sentry-arroyo"}
    wanted = own.get(name, name)
    for line in (HERE / "requirements" / f"{name}.txt").read_text().splitlines():
        package, _, version = line.partition("==")
        if package.split("[")[0] == wanted:
            return version
    return "?"


def _run(command: list[str], failure: str, *, cwd: Path | None = None) -> None:
    environment = {**os.environ, "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900
    )
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise Unavailable(f"{failure}: {last[0][:200]}")


def say(words: str) -> None:
    """One line of progress, on standard error: standard output is the table's."""
    print(f"throughput: {words}", file=sys.stderr, flush=True)
