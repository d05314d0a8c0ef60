"""A command in, running services out: Apache Kafka, Redis and PostgreSQL for tests and trials, on loopback.

`services.py start|stop|status [--only kafka,redis] [--data-dir .services] [--native]`. Uses `docker compose` where a
Docker engine answers, else starts the same three natively. What runs is written to `<data-dir>/services.json`; stop
ends just those processes, and only when they are still the ones that were started. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
import native  # its folder is no package: this file is run by its path

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = ("kafka", "redis", "postgres")


def start(names: list[str], folder: Path, *, docker: bool) -> int:
    """Starts what does not run yet. Exit code 0 when all of `names` run."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        state = _running(folder)
        wanted = [name for name in names if name not in state]
        for name in names:
            if name in state:
                say(f"{name}: already running at {_address(state[name])}")
        failures: list[str] = []
        if wanted and docker:
            failures = _compose_up(wanted, folder, state)
        elif wanted:
            # Kafka waits for its JVM and PostgreSQL for its disk: side by side they take as long as Kafka alone.
            with ThreadPoolExecutor(len(wanted)) as pool:
                started = {name: pool.submit(native.START[name], folder) for name in wanted}
            for name, future in started.items():
                try:
                    state[name] = future.result()
                except native.ServiceError as error:
                    failures.append(f"{name}: {error}")
        _write(folder, state)
    for name in wanted:
        if name in state:
            say(f"{name}: running at {_address(state[name])} after {state[name].get('seconds', '?')} s")
    for failure in failures:
        say(f"NOT RUNNING {failure}")
    return 1 if failures else 0


def stop(names: list[str], folder: Path) -> int:
    """Ends what this data folder started, and nothing else."""
    if not folder.exists():
        return 0
    with _locked(folder):
        state = _read(folder)
        composed = [name for name in names if state.get(name, {}).get("engine") == "docker"]
        if composed:
            subprocess.run([*_compose(folder), "rm", "--stop", "--force", "--volumes", *composed], check=False)
        for name in names:
            entry = state.pop(name, None)
            if entry is None or entry.get("engine") == "docker":
                continue
            ended = native.end(entry["pid"], entry["started"], native.STOP[name])
            say(f"{name}: {'stopped' if ended else 'was not running'}")
        _write(folder, state)
    return 0


def status(names: list[str], folder: Path) -> int:
    """Prints what runs as JSON. Exit code 0 when all of `names` run."""
    state = _running(folder)
    print(json.dumps({name: state[name] for name in names if name in state}, indent=2))
    return 0 if all(name in state for name in names) else 1


def _compose(folder: Path) -> list[str]:
    project = "loopai-services-" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return ["docker", "compose", "--project-name", project, "--file", str(ROOT / "docker-compose.yml")]


def _compose_up(names: list[str], folder: Path, state: dict[str, Any]) -> list[str]:
    ports = {name: native.free_port() for name in names}
    env = {**os.environ, **{f"SERVICES_{name.upper()}_PORT": str(port) for name, port in ports.items()}}
    say(f"docker compose: starting {', '.join(names)}")
    begun = time.monotonic()
    command = [*_compose(folder), "up", "--detach", "--wait", "--wait-timeout", "180", *names]
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        return [f"{name}: docker compose failed (exit {done.returncode}); its words are above" for name in names]
    for name, port in ports.items():
        seconds = round(time.monotonic() - begun, 1)
        state[name] = {**native.address(name, port), "engine": "docker", "seconds": seconds}
    return []


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            if subprocess.run(command, timeout=10, check=False, **quiet).returncode != 0:  # type: ignore[call-overload]
                return False
        return True
    return False


def _read(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / "services.json").read_text())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _running(folder: Path) -> dict[str, Any]:
    return {
        name: entry
        for name, entry in _read(folder).items()
        if (
            native.answers(entry["port"])
            if entry.get("engine") == "docker"
            else native.same_process(entry["pid"], entry["started"]) and native.answers(entry["port"])
        )
    }


def _write(folder: Path, state: dict[str, Any]) -> None:
    fresh = folder / "services.json.new"
    fresh.write_text(json.dumps(state, indent=2) + "\n")
    fresh.replace(folder / "services.json")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two test runs that start at once must not start two of each."""
    with (folder / "services.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _address(entry: dict[str, Any]) -> str:
    return str(entry.get("bootstrap") or entry.get("url"))


def say(words: str) -> None:
    """One line of progress, on standard error."""
    print(f"services: {words}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="services.py", description="Kafka, Redis and PostgreSQL on loopback.")
    parser.add_argument("verb", choices=["start", "stop", "status"])
    parser.add_argument("--only", default=",".join(NAMES), help="comma-separated: kafka, redis, postgres")
    parser.add_argument("--data-dir", type=Path, default=ROOT / ".services", help="default: .services")
    parser.add_argument("--native", action="store_true", help="no Docker, even where an engine answers")
    options = parser.parse_args(arguments)
    names = [name.strip() for name in options.only.split(",") if name.strip()]
    unknown = sorted(set(names) - set(NAMES))
    if unknown or not names:
        parser.error(f"--only: choose from {', '.join(NAMES)}; unknown: {', '.join(unknown) or 'nothing was named'}")
    folder = options.data_dir.resolve()
    if options.verb == "stop":
        return stop(names, folder)
    if options.verb == "status":
        return status(names, folder)
    return start(names, folder, docker=not options.native and _docker_answers())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
