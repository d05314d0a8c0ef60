"""One subject measured from outside: its records a second with what they cost, and its latency at a steady rate.

The subject is never asked. The broker's offsets say how much is done, /proc what it cost, and the results are read
back: each record once, with the right label.
"""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.throughput_peers.environments import FOLDER, Kafka, Unavailable, go_program
from benchmarks.throughput_peers.processes import Running, cpu_of
from benchmarks.throughput_peers.subjects import APP, INPUTS, Subject


@dataclass(frozen=True)
class Load:
    """How much of everything. `seconds` bounds the window of those that are not done with `records` by then; who says
    nothing within `patience` seconds of its start has failed."""

    records: int
    seconds: float
    rounds: int
    rates: tuple[int, ...]
    latency_seconds: float
    settle_seconds: float
    patience: float


@dataclass
class Found:
    """What one turn of one subject found. An empty `trouble` means that it did the job."""

    rate: float | None = None
    cpu: float | None = None
    broker_cpu: float | None = None
    resident: float = 0.0
    proportional: float = 0.0
    latency: dict[int, tuple[float, float]] = field(default_factory=dict)
    verified: dict[str, int] = field(default_factory=dict)
    trouble: str = ""


class Meter:
    """The neutral side of one run."""

    def __init__(self, kafka: Kafka, load: Load, inputs: Path) -> None:
        self._kafka = kafka
        self._load = load
        self._inputs = inputs
        self._go = str(go_program())

    def preload(self) -> None:
        """The inputs, once for all subjects; twice as many as one reads, so that two have work when both are there."""
        self._ask("preload", "-records", str(2 * self._load.records), *self._with_inputs())

    def throughput(self, subject: Subject, *, verify: bool) -> Found:
        """From just after the first result to the last, or to the end of the window."""
        found, group = Found(), _group(subject)
        words = ["-records", str(self._load.records * subject.processes), "-seconds", str(self._load.seconds)]
        if subject.processes > 1:
            words += ["-members", str(subject.processes)]
        with self._telling("count", subject, group, *words) as told:
            base = next(told)["offsets"]
            with self._subject(subject, group, found, {}) as running:
                if running is None:
                    return found
                began = ended = (0.0, None)
                for line in told:
                    if line["event"] == "silent":
                        found.trouble = running.died() or f"no result within {self._load.patience:.0f} s"
                    elif line["event"] == "first":
                        began = running.cpu(), cpu_of(self._kafka.pid)
                    elif line["event"] == "last":
                        ended = running.cpu(), cpu_of(self._kafka.pid)
                        _weigh(found, line, began, ended)
        if verify and not found.trouble:
            found.verified = self._verify(subject, base)
            found.trouble = self._judge(subject, found.verified)
        self._ask("truncate", *self._place(subject, group))
        return found

    def latency(self, subject: Subject) -> Found:
        """p50 and p99 in milliseconds at each rate; a rate it cannot keep has none."""
        found, group = Found(), _group(subject)
        if subject.grouped:
            self._ask("skip", *self._place(subject, group))
        words = [
            "-rates", ",".join(map(str, self._load.rates)), "-seconds", str(self._load.latency_seconds),
            "-settle", str(self._load.settle_seconds), *self._with_inputs(),
        ]  # fmt: skip
        with self._subject(subject, group, found, {"BENCH_FROM_END": "1"}) as running:
            if running is None:
                return found
            with self._telling("latency", subject, group, *words, *_committed(subject)) as told:
                for line in told:
                    if line["event"] == "silent":
                        found.trouble = running.died() or f"no result within {self._load.patience:.0f} s"
                    elif line["event"] == "rate" and line["arrived"] == line["sent"]:
                        found.latency[line["rate"]] = line["p50"], line["p99"]
        self._ask("truncate", *self._place(subject, group))
        return found

    @contextmanager
    def _subject(
        self, subject: Subject, group: str, found: Found, variables: dict[str, str]
    ) -> Iterator[Running | None]:
        try:
            command, given = subject.prepared(self._kafka.bootstrap, group)
        except Unavailable as error:
            found.trouble = str(error)
            yield None
            return
        running = Running(command, subject.processes, {**given, **variables}, FOLDER / "runs" / group)
        try:
            yield running
        finally:
            how = running.end()
            found.resident, found.proportional = running.resident, running.proportional
            if how and not found.trouble and found.rate is None and not found.latency:
                found.trouble = "hung, and was killed"

    @contextmanager
    def _telling(self, command: str, subject: Subject, group: str, *words: str) -> Iterator[Iterator[dict[str, Any]]]:
        """The lines of the Go program while it works; it is ended with the context."""
        process = subprocess.Popen(
            [self._go, command, *self._place(subject, group), "-patience", str(self._load.patience), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield (json.loads(line) for line in process.stdout)
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=10)
            if process.returncode not in (0, -15):
                raise RuntimeError(f"{command}: {errors.strip()[-300:]}")

    def _verify(self, subject: Subject, base: dict[str, int]) -> dict[str, int]:
        words = [*_committed(subject), *([] if subject.labels else ["-labels=false"])]
        answer = self._ask("verify", *self._place(subject, ""), *words, *self._with_inputs(), given=json.dumps(base))
        return {name: value for name, value in json.loads(answer).items() if name != "event"}

    def _judge(self, subject: Subject, verified: dict[str, int]) -> str:
        if subject.transactions and not verified["transactional"]:
            return "not available: it wrote no transactions"
        if verified["wrong"]:
            return f"{verified['wrong']} of {verified['read']} answers are wrong"
        return ""

    def _place(self, subject: Subject, group: str) -> list[str]:
        return ["-brokers", self._kafka.bootstrap, "-in", INPUTS, "-out", subject.results, "-group", group]

    def _with_inputs(self) -> list[str]:
        place = ["-brokers", self._kafka.bootstrap, "-in", INPUTS]
        return [*place, "-file", str(self._inputs), "-header", f"loopai-app={APP}"]

    def _ask(self, *words: str, given: str = "") -> str:
        done = subprocess.run([self._go, *words], input=given, capture_output=True, text=True, timeout=180)
        if done.returncode != 0:
            raise RuntimeError(f"{words[0]}: {done.stderr.strip()[-300:]}")
        return done.stdout


def _weigh(
    found: Found, line: dict[str, Any], began: tuple[float, float | None], ended: tuple[float, float | None]
) -> None:
    found.rate = line.get("rate")
    millions = line["counted"] / 1e6
    if found.rate is None or not millions:
        found.trouble = f"{line['records']} results at once, and then none"
        return
    found.cpu = (ended[0] - began[0]) / millions
    if began[1] is not None and ended[1] is not None:
        found.broker_cpu = (ended[1] - began[1]) / millions


def _committed(subject: Subject) -> list[str]:
    """Readers of transactions see what is committed. What is written is counted as it is written: some commit every
    five seconds, and a short window would see one step or none."""
    return ["-committed"] if subject.transactions else []


def _group(subject: Subject) -> str:
    """A group that nobody was in before."""
    return f"bench-{subject.name}-{uuid.uuid4().hex[:8]}"
