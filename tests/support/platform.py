"""Starts `loopai serve all` as a user would, and speaks to it from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loopai.cli.client import GatewayClient
from loopai.errors import LoopaiError

ROOT = Path(__file__).resolve().parent.parent.parent
LOOPAI = str(Path(sys.executable).parent / "loopai")


class Platform:
    """A running process group: its gateway, its Kafka, the processes of its roles."""

    def __init__(self, process: subprocess.Popen[str], told: dict[str, Any], log: Path) -> None:
        self.process = process
        self.url: str = told["url"]
        self.kafka: str = told["kafka"]
        self.pids: dict[str, int] = told["pids"]
        self.log = log
        self.client = GatewayClient(self.url)

    def app(self, rows: list[tuple[str, str]], **fields: Any) -> str:
        """A new app that learned from (text, label) rows and runs; returns its id."""
        name = f"t-{uuid.uuid4().hex[:10]}"
        body = {"id": name, "labels": sorted({label for _, label in rows}), **fields}
        self.client.post("/loop-apps", body)
        examples = [{"id": f"e{i}", "input": {"text": t}, "expected": label} for i, (t, label) in enumerate(rows)]
        self.client.post(f"/loop-apps/{name}/examples", examples)
        self.generate(name)
        return name

    def generate(self, app: str, **fields: Any) -> dict[str, Any]:
        """A new version of the app's program, waited for; and deployed when it is the first."""
        run = self.client.post(f"/loop-apps/{app}/programs", fields)
        state = self.client.wait_for_run(run["id"], 120.0, lambda done, step: None)
        assert state["state"] == "succeeded", state
        self.until(lambda: (self.status(app).get("deployment") or {}).get("stable") is not None)
        return state

    def status(self, app: str) -> dict[str, Any]:
        """What the gateway says of an app."""
        found: dict[str, Any] = self.client.get(f"/loop-apps/{app}/status")
        return found

    def until(self, done: Any, seconds: float = 60.0) -> None:
        """Waits for something to become true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(LoopaiError):
                if done():
                    return
            time.sleep(0.1)
        raise AssertionError(f"not within {seconds:.0f} s; the log ends: {self.log.read_text()[-2000:]}")


@contextlib.contextmanager
def running(folder: Path, environment: Mapping[str, str], *words: str) -> Iterator[Platform]:
    """`loopai serve all`, ready, until the context ends; then it must leave by itself on SIGTERM."""
    log = folder / "platform.log"
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LOOPAI_")}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [LOOPAI, "serve", "all", "--port", "0", *words],
            cwd=folder,
            env={**kept, "LOOPAI_DATA_DIR": str(folder / "data"), **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"not started: {log.read_text()[-3000:]}"
        made = Platform(process, json.loads(line), log)
        yield made
        made.client.close()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
